"""Sweeps over settings, and the ways of filling that they and the evaluation compare."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.engine import Engine
from dgedit_engine.eval import fillers as module
from dgedit_engine.eval import sweep
from dgedit_engine.eval.fillers import fillers, without_line_above
from dgedit_engine.types import Hole, InfillRequest, Passage

REQUEST = InfillRequest((Passage("a.py", ("x = 1\ny = 2\nz = ", Hole(), "\nprint(z)\n")),), steps=2)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends."""
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 8)


def test_sweep_measures_every_combination(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--steps", "1", "3", "--entropy-bound", "0.1", "1", "--heat", "0.8:0.4")
    assert sweep.main(["--model", str(tiny_folder), "--limit", "1", *arguments]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert len(rows) == len(found["rows"]) == 4 and found["spans"] == 4
    settings = {(row["steps"], row["entropy_bound"]) for row in found["rows"]}
    assert settings == {(1, 0.1), (1, 1.0), (3, 0.1), (3, 1.0)}
    assert all(row["taken"] <= row["steps"] for row in found["rows"])


def test_sweep_over_effort_costs_more_with_more(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["--model", str(tiny_folder), "--limit", "1", "--effort", "0", "1"]) == 0
    low, high = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert low["taken"] < high["taken"]


@pytest.mark.parametrize(
    ("more", "code", "word"),
    [
        (["--way", "nope", "--steps", "1"], 2, "nope"),
        (["--corpus", "/nonexistent", "--steps", "1"], 3, "/nonexistent"),
        (["--model", "/nonexistent", "--steps", "1"], 5, "/nonexistent"),
    ],
)
def test_sweep_says_what_is_wrong_in_a_line(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, word: str
) -> None:
    assert sweep.main(["--model", str(tiny_folder), "--limit", "1", *more]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and word in said


def test_each_way_switches_one_idea_off(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Decoding(
        candidates=4,
        origins=("draft", "sample", "canvas", "revised"),
        canvases=(32, 16),
        cuts=8,
        repairs=2,
    )
    asked: dict[str, Decoding] = {}
    infill = module.infill

    def spied(*given: Any, decoding: Decoding, **more: Any) -> Any:
        asked[way] = decoding
        return infill(*given, decoding=decoding, **more)

    monkeypatch.setattr(module, "infill", spied)
    tiny.decoding = ours
    for name, fill in fillers(tiny).items():
        way = name
        fill(REQUEST, 3)
    assert asked["fill"] == ours
    assert asked["no-cuts"] == replace(ours, cuts=0)
    assert asked["no-veto"] == replace(ours, veto=False)
    assert asked["no-repair"] == replace(ours, repairs=0)
    assert asked["no-following"] == replace(ours, following=0.0)
    assert asked["no-length"] == replace(ours, canvases=())
    assert asked["no-draft"].origins == ("canvas",)
    assert "revised" not in asked["no-revision"].origins
    assert asked["canvas"] == Decoding() and asked["causal"] == Decoding(origins=("draft",))
    assert asked["oracle"].slots == 3 and "empty" not in asked


def test_only_the_oracle_looks_at_the_gold_length(tiny: Engine) -> None:
    """With another length, every other way gives the same."""
    for way, fill in fillers(tiny).items():
        same = fill(REQUEST, 2).pieces == fill(REQUEST, 7).pieces
        assert same or way == "oracle"


def test_request_before_an_edit_lacks_the_line_above() -> None:
    (passage,) = without_line_above(REQUEST).passages
    assert passage.parts == ("x = 1\nz = ", Hole(), "\nprint(z)\n")
    short = replace(REQUEST, passages=(Passage("a.py", ("z = ", Hole())),))
    assert without_line_above(short) == short


def test_warm_way_starts_from_the_infill_before_the_edit(tiny: Engine) -> None:
    passage = Passage("a.py", ("a = 0\n" * 30 + "x = 1\ny = 2\nz = ", Hole(), "\nprint(z)\n" * 9))
    assert fillers(tiny)["warm"](replace(REQUEST, passages=(passage,)), 3).origin == "warm"
