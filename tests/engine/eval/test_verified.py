"""Tokens that a pass gives are counted, and texts compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dgedit_engine.eval import verified
from small_base import write


def test_every_block_is_held_against_a_pass_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "one.gguf")
    asked = ["--model", str(tmp_path / "one.gguf"), "--spans", "2", "--tokens", "9"]
    assert verified.main([*asked, "--block", "0", "4"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    one, plain, four = report["rows"]
    assert report["spans"] == 2 and [row["block"] for row in report["rows"]] == [1, 0, 4]
    assert one["passes"] == one["tokens"] and plain["passes"] == plain["tokens"]
    assert four["same"] == "2 of 2" and four["tokens"] == one["tokens"]
    assert four["passes"] <= four["tokens"]


def test_what_is_wrong_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert verified.main(["--model", "/nowhere"]) == 5
    assert capsys.readouterr().err.count("\n") == 1
