"""The benchmark runs the editor, and prints a table and one line of JSON last."""

from __future__ import annotations

import json

import pytest

from dgedit.tui import bench
from dgedit.tui.bench import Figures, python_of


def test_lines_are_those_of_the_standard_library() -> None:
    text = python_of(3000)
    assert text.count("\n") == len(text.splitlines()) == 3000
    assert python_of(10).splitlines() == text.splitlines()[:10]


def test_figures_are_medians_and_shares_in_milliseconds() -> None:
    times = [(i / 1000, i / 2000) for i in range(100)]
    assert Figures.of("key", times) == Figures("key", 50, 95, 25, 47.5, 100)


@pytest.mark.parametrize("only", ["40 lines", "40 files", "a line of 3,000"])
def test_bench_measures_every_key(only: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--lines", "40", "--keys", "2", "--wide", "3000", "--openings", "1", "--only", only]
    words += ["--files", "40"]
    assert bench.main(words) == 0
    *table, last = capfd.readouterr().out.splitlines()
    figures = json.loads(last)["figures"]
    assert len(table) == len(figures) + 1
    names = {figure["name"]: figure["count"] for figure in figures}
    if only == "40 lines":
        assert names == {
            "key, 40 lines": 2,
            "key, 40 lines, wrapped": 2,
            "key, 40 lines, infill": 2,
            "key, 40 lines, 50 cursors": 2,
            "opening, 40 lines": 1,
        }
    elif only == "40 files":
        assert names == {"opening a project, 40 files": 1}
    else:
        assert names == {"key, a line of 3,000": 2, "key, a line of 3,000, wrapped": 2}
    for figure in figures:
        assert 0 < figure["cpu_p50"] <= figure["cpu_p95"] < 5000
        assert 0 < figure["wall_p50"] <= figure["wall_p95"] < 20_000
