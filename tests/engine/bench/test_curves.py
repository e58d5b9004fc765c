"""How times and memory grow: what is asked, how a curve is judged, and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dgedit_engine.bench import __main__ as bench
from dgedit_engine.bench import curves
from dgedit_engine.bench.curves import GROWING, PLANNED, GrowthPoint, asked, growth, planned, report

FEW = {
    "prompt": (100, 400),
    "canvas": (16, 32),
    "holes": (1, 2),
    "candidates": (1, 2),
    "file": (1000, 4000),
    "requests": (1, 3),
}


def row(growing: str, *steps: float, fills: tuple[float, ...] = ()) -> list[GrowthPoint]:
    """A curve of values that double."""
    each = fills or steps
    return [
        GrowthPoint("any", growing, 2**place, step, fill, 100.0)
        for place, (step, fill) in enumerate(zip(steps, each, strict=True))
    ]


@pytest.mark.parametrize(
    ("steps", "factor", "kind"),
    [
        ((10.0, 11.0, 12.0), 1.2, "flat"),
        ((10.0, 12.0, 15.0), 1.5, "below linear"),
        ((10.0, 20.0, 40.0), 4.0, "linear"),
        ((10.0, 40.0, 160.0), 16.0, "above linear"),
        ((10.0, 5.0, 2.5), 0.25, "flat"),
    ],
)
def test_a_curve_is_judged_from_its_first_point_to_its_last(
    steps: tuple[float, ...], factor: float, kind: str
) -> None:
    assert growth(row("canvas", *steps)) == (pytest.approx(factor), kind)


def test_what_should_be_otherwise_is_said() -> None:
    def said(points: list[GrowthPoint]) -> str:
        (line,) = report(points)
        return line.rpartition("x1.00")[2].strip()

    assert said(row("canvas", 10, 40, 160)) == "STEP NOT linear"
    assert said(row("canvas", 10, 20, 40)) == ""
    assert said(row("holes", 10, 20, 40)) == "STEP NOT flat  FILL NOT flat"
    assert said(row("file", 10, 10, 10, fills=(10, 20, 40))) == "FILL NOT flat"
    assert said(row("prompt", 10, 40, 160)) == ""


@pytest.mark.parametrize("growing", GROWING)
def test_one_thing_grows_at_a_time(growing: str) -> None:
    def sizes(value: int) -> tuple[int, int, int | None]:
        request = asked(growing, value)
        (one,) = request.passages
        read = sum(len(part) for part in one.parts if isinstance(part, str)) // 600
        return read, len(request.holes), request.candidates

    first, last = GROWING[growing][0], GROWING[growing][-1]
    small, large = sizes(first), sizes(last)
    changed = [before != after for before, after in zip(small, large, strict=True)]
    place = {"prompt": 0, "holes": 1, "candidates": 2}.get(growing)
    assert changed == [index == place for index in range(3)]


def test_a_file_is_as_large_as_it_says_and_without_a_fault() -> None:
    (one,) = asked("file", 10_000).passages
    assert 9_000 < len(one.above + one.below) <= 10_000
    compile(one.above, "above", "exec")  # a fault would be looked for, line by line


def test_plan_covers_all_and_grows_as_it_should() -> None:
    rows = curves.grouped(list(planned()))
    assert [growing for _, growing in rows] == list(GROWING)
    assert {model for model, _ in rows} == {PLANNED}
    assert not [line for line in report(list(planned())) if "NOT" in line]
    for growing in ("holes", "file", "requests"):
        assert growth(rows[PLANNED, growing])[0] == 1
    step = [one.step_ms for one in rows[PLANNED, "canvas"]]
    assert step == sorted(step) and 1.2 < step[-1] / step[0] < 2, "nearly all experts are read"
    assert 16_000 < rows[PLANNED, "prompt"][0].memory_mb < 18_000


def test_command_measures_tiny_plans_the_26b_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(curves, "GROWING", FEW)
    monkeypatch.setattr("dgedit_engine.bench.picture.GROWING", FEW)
    out = tmp_path / "growth.svg"
    assert bench.main(["--growth", "--model", "tiny", "--rounds", "1", f"--out={out}"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    points = json.loads(last)["points"]
    assert len(lines) == 12 and len(points) == 24
    assert {(one["growing"], one["value"]) for one in points} == {
        (name, value) for name, values in FEW.items() for value in values
    }
    assert all(one["step_ms"] > 0 and one["memory_mb"] > 50 for one in points)
    drawn = out.read_text()
    assert all(unit in drawn for unit in curves.UNITS.values()) and PLANNED in drawn


def test_a_model_that_is_not_there_is_one_line_and_the_plan_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["--growth", "--model", "/nowhere"]) == 0
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and told.out.count(PLANNED) >= len(GROWING)
