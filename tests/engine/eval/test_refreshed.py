"""What a masked model loses where the text before a hole is read every few steps is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dgedit_engine.eval import refresh
from dgedit_engine.eval.tasks import Task
from masked import dream
from small_base import write


def test_intervals_are_held_against_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dream(tmp_path, expands=False)
    # short files: a window of a thousand tokens takes its time
    few = [Task("line", at, "a.py", f"a = 1\nb = a + {at}\n", 10, 15) for at in range(2)]
    monkeypatch.setattr(refresh, "draw", lambda corpus, limit, seed: few[:limit])
    asked = ["--model", str(tmp_path), "--spans", "2", "--every", "3"]
    assert refresh.main(asked) == 0
    *_, line = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    one, three = report["rows"]
    assert report["spans"] == 2 and (one["every"], three["every"]) == (1, 3)
    assert (one["same tokens"], one["same texts"]) == ("100.0%", "2 of 2")
    assert 0 <= float(three["same tokens"].rstrip("%")) <= 100
    assert all(row["ms a step"] > 0 for row in report["rows"])


def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refresh.main(["--model", "/nowhere"]) == 5
    write(tmp_path / "one.gguf")
    assert refresh.main(["--model", str(tmp_path / "one.gguf")]) == 5
    said = capsys.readouterr().err
    assert said.count("\n") == 2 and "one is no masked model" in said
