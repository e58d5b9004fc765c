"""Loss curves from logs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dgedit_engine.train.plot import main, read, smoothed


def write(path: Path, *entries: dict[str, float]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def entry(tokens: float, value: float) -> dict[str, float]:
    return {"step": 20, "tokens": tokens, "causal": value, "canvas": value / 2, "text": value}


def test_curves_go_on_over_several_logs(tmp_path: Path) -> None:
    one = write(tmp_path / "a", entry(10, 5), entry(20, 4))
    other = write(tmp_path / "b", entry(5, 3))
    curves = read([one, other])
    assert curves["causal"] == [(10, 5), (20, 4), (25, 3)]
    assert set(curves) == {"causal", "canvas", "text"}


def test_later_entry_of_a_resumed_run_counts(tmp_path: Path) -> None:
    log = write(
        tmp_path / "a", entry(10, 5), entry(20, 4), entry(30, 9), entry(20, 3), entry(30, 2)
    )
    assert read([log])["causal"] == [(10, 5), (20, 3), (30, 2)]


def test_smoothing_keeps_lines_level_and_takes_their_noise(tmp_path: Path) -> None:
    assert smoothed([2.0] * 9) == [2.0] * 9
    noisy = [5 + (-1) ** n for n in range(400)]
    assert all(abs(value - 5) < 0.34 for value in smoothed(noisy))


def test_drawing_is_a_small_svg_without_a_background(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    entries = [entry(n * 1e5, 9 - n / 300) for n in range(1, 1500)]
    log, out = write(tmp_path / "log.jsonl", *entries), tmp_path / "curve.svg"
    assert main([str(log), "--out", str(out)]) == 0
    text = out.read_text()
    assert len(text) < 60_000 and ElementTree.fromstring(text).tag.endswith("svg")
    for word in ("next token, causal", "million processed tokens", "nats a token"):
        assert word in text
    assert main([str(log), "--out", str(tmp_path / "again.svg")]) == 0
    assert (tmp_path / "again.svg").read_text() == text


def test_log_that_cannot_be_drawn_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "curve.svg")]
    assert main([str(tmp_path / "none"), *out]) == 2
    assert main([str(write(tmp_path / "empty")), *out]) == 2
    assert main([str(write(tmp_path / "other", {"a": 1})), *out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and "other, line 1" in lines[2]


def test_missing_matplotlib_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    log = write(tmp_path / "log.jsonl", entry(10, 5))
    assert main([str(log), "--out", str(tmp_path / "curve.svg")]) == 2
    words = capsys.readouterr().err
    assert "matplotlib" in words and "dgedit[train]" in words and words.count("\n") == 1
