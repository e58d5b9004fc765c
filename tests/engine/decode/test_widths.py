"""How wide a canvas a hole gets from the text around it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dgedit_engine.bench.shapes import released
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.starts import fresh, starts
from dgedit_engine.decode.widths import ALONE, OPEN, PART, REST, lines, width
from dgedit_engine.decode.work import Work
from dgedit_engine.engine import Engine
from dgedit_engine.infill import EagerRefiner
from dgedit_engine.prompt.prompt import build
from dgedit_engine.types import Hole, InfillRequest, Passage
from dgedit_engine.warming.dry import sizes


def split(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("before", "behind", "found"),
    [
        ("x = f(", ", 3)\n", PART),
        ("    ", " = 3\n", REST),
        ("", "x = 3\n", REST),
        ("x = ", "\ny = 3\n", REST),
        ("x = 1\n", "\ny = 3\n", ALONE),
        ("x = 1\n    ", "\n\ny = 3\n", ALONE),
        ("def f():\n    ", "\n\ny = 3\n", OPEN),
        ("f(\n", "\n)\n", OPEN),
        ("x = 1\n", "\n\n", OPEN),
        ("x = 1\n", "", OPEN),
    ],
)
def test_kind_of_span(before: str, behind: str, found: float) -> None:
    assert lines(before, behind) == found


def test_width_follows_the_lines_near_by() -> None:
    short, long = "a b c\n" * 20, "w " * 30 + "\n"
    assert width(short + "x = f(", ")\n", split, own=256) == 16
    assert width(short, "\nx\n", split, own=256) == 32
    assert width(short + "if x:\n    ", "\nx\n", split, own=256) == 64
    assert width(long * 20, "\n" + long * 20, split, own=256) == 128
    assert width(long * 20, "\n" + long * 20, split, own=64) == 64
    assert width("", "", split, own=256) == 64
    assert width(short + "x = ", "\n", split, own=256, tail=20) == 64
    one = short * 3 + long  # a line alone decides nothing
    assert width(one + "x = f(", ")\n", split, own=256) == 16


def test_every_width_is_one_that_kernels_are_warmed_for() -> None:
    config = released()
    for count in (1, 5, 20, 60, 200, 1000):
        text = ("w " * count + "\n") * 5
        for before, behind in (("x = ", "\n"), (text, text), (text + "a:\n", text), (text, "")):
            assert width(text + before, behind, split, own=256) in sizes(config)


def work(engine: Engine, decoding: Decoding, *parts: str | Hole) -> Work:
    request = InfillRequest((Passage("a.py", parts),), steps=4)
    prompt = build(request, engine.tokenizer, context=1024)
    refiner = EagerRefiner(engine.model, engine.cache)
    return Work(
        *(engine.model, engine.tokenizer, engine.cache, engine.sampling, decoding),
        *(request, prompt, refiner, torch.Generator()),
    )


@pytest.mark.parametrize(("fitted", "slots", "most"), [(False, 64, 0), (True, 16, 64)])
def test_a_lone_hole_gets_what_it_needs_where_the_model_says_so(
    tiny: Engine, fitted: bool, slots: int, most: int
) -> None:
    asked = work(tiny, Decoding(fitted=fitted), "x = 1\ny = f(", Hole(), ", 2)\n")
    ((origin, start),) = starts(asked, ["canvas"], [], ())
    assert (origin, start.seed.canvas.slots, start.most) == ("canvas", slots, most)


def test_several_holes_and_a_length_that_is_told_stay_as_they_are(tiny: Engine) -> None:
    both = work(tiny, Decoding(fitted=True), "x = ", Hole(), "\ny = ", Hole(), "\n")
    assert fresh(both, both.prompt.holes, 64).most == 0
    told = work(tiny, Decoding(fitted=True, slots=9), "x = ", Hole(), "\n")
    start = fresh(told, told.prompt.holes, 64)
    assert (start.seed.canvas.slots, start.most) == (9, 0)


def test_candidates_of_a_fitted_canvas_are_all_as_wide(tiny: Engine) -> None:
    both = Decoding(candidates=2, fitted=True, canvases=(64, 32))
    asked = work(tiny, both, "x = 1\ny = f(", Hole(), ", 2)\n")
    found = starts(asked, ["canvas", "canvas"], [], ())
    assert [start.seed.canvas.slots for _, start in found] == [16, 16]
    plain = starts(replace(asked, decoding=replace(both, fitted=False)), ["canvas"] * 2, [], ())
    assert [start.seed.canvas.slots for _, start in plain] == [64, 32]
