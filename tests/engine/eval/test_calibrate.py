"""Weights of the probability that an infill is right, fitted to what was filled."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine.decode.certainty import FEATURES, load_certainty
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.engine import Engine
from dgedit_engine.eval import calibrate
from dgedit_engine.eval.tasks import Task
from dgedit_engine.model.config import Sampling
from small_base import reader

TRUTH = {"own": 1.5, "lead": -0.5, "lines": 0.7}


def rows(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Candidates whose odds of being right follow TRUTH."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        features = {name: draw.gauss(0.5, 2.0) for name in FEATURES}
        odds = sum(TRUTH.get(name, 0.0) * value for name, value in features.items())
        right = draw.random() < 1 / (1 + math.exp(-odds))
        task = {"task": str(number // 2), "kind": "line", "place": number % 2}
        found.append({**task, "right": right, "features": features})
    return found


def test_weights_are_found_again() -> None:
    found = calibrate.fitted(rows(4000))
    for name in FEATURES:
        assert found.weights[name] == pytest.approx(TRUTH.get(name, 0.0), abs=0.12)
    assert abs(found.bias) < 0.2


def test_probabilities_are_those_of_weights_fitted_to_other_tasks() -> None:
    given = rows(2000)
    sure = calibrate.held_back(given)
    said = sum(sure) / len(sure)
    assert said == pytest.approx(sum(row["right"] for row in given) / len(given), abs=0.03)
    for least in (0.2, 0.5, 0.8):
        some = [row["right"] for row, p in zip(given, sure, strict=True) if p >= least]
        assert sum(some) / len(some) > least


def test_feature_that_never_changes_is_no_trouble() -> None:
    given = [{**row, "features": row["features"] | {"circle": 0.0}} for row in rows(200)]
    assert math.isfinite(calibrate.fitted(given).of(given[0]["features"]))


def test_candidates_are_recorded_with_what_was_asked_of_them() -> None:
    opened = reader()
    given = (opened.model, opened.tokenizer, Sampling())
    engine = Engine(*given, name="small", decoding=Decoding(candidates=12))
    text = "def f(a):\n    return total\n\n\ndef g():\n    return a\n"
    task = Task("line", 0, "a.txt", text, text.index("total"), text.index("total") + 5)
    found = list(calibrate.recorded(engine, task, seed=0))
    assert 0 < len(found) <= 4 and [row["place"] for row in found] == [*range(len(found))]
    for row in found:
        assert tuple(row["features"]) == FEATURES
        assert row["features"]["length"] == pytest.approx(math.log1p(len(row["text"].strip())))
        assert row["right"] == (row["text"].split() == ["total"])


def test_command_fits_prints_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(400)))
    assert calibrate.main(["--fit", str(file), "--save", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "400 candidates of 200 spans" in out and "| line | 200 |" in out and "Brier" in out
    saved = load_certainty(tmp_path)
    assert saved is not None and saved.weights["own"] > 1


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n"])
def test_unusable_rows_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    assert calibrate.main(["--fit", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
