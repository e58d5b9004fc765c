"""Sudoku: puzzles have one solution, symmetries and more givens keep that, and rules are seen."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from dgedit_engine.rules import sudoku
from dgedit_engine.rules.sudoku import SHAPES, GridShape

ALL = pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
SMALL = """
. .  4 3    # the upper half
. .  1 .
---+----
2 1  . .
. 3  . .
"""


def made(shape: GridShape, seed: int = 0) -> tuple[list[int], list[int]]:
    rng = random.Random(seed)
    full = sudoku.full_grid(shape, rng)
    return sudoku.dug(shape, full, rng), full


@ALL
def test_minimal_puzzles_have_one_solution_and_need_every_given(shape: GridShape) -> None:
    puzzle, full = made(shape)
    assert sudoku.solved(shape, full)
    assert sudoku.solutions(shape, puzzle) == [full]
    for cell in [cell for cell, number in enumerate(puzzle) if number][:6]:
        fewer = [*puzzle[:cell], 0, *puzzle[cell + 1 :]]
        assert len(sudoku.solutions(shape, fewer)) == 2


@ALL
def test_symmetries_and_more_givens_keep_the_one_solution(shape: GridShape) -> None:
    puzzle, full = made(shape, 1)
    rng = random.Random(2)
    for _ in range(5):
        moved, digits = sudoku.symmetry(shape, rng)
        assert sorted(moved) == list(range(shape.cells))
        turned = [digits[puzzle[cell]] for cell in moved]
        answer = [digits[full[cell]] for cell in moved]
        assert sudoku.solutions(shape, turned) == [answer]
        givens = sum(map(bool, puzzle)) + 3
        eased = sudoku.more_givens(turned, answer, givens, rng)
        assert sum(map(bool, eased)) == givens
        assert all(not one or one == other for one, other in zip(turned, eased, strict=True))
        assert sudoku.solutions(shape, eased) == [answer]


def test_solver_finds_none_one_and_many() -> None:
    shape = SHAPES[16]
    assert sudoku.solutions(shape, [1, 1, *[0] * 14]) == []
    assert len(sudoku.solutions(shape, [0] * 16, limit=7)) == 7
    no_place = [1, 2, 3, 0, 0, 0, 0, 4, *[0] * 8]  # the row wants a 4, its column has one
    assert sudoku.solutions(shape, no_place) == []


@pytest.mark.parametrize(
    ("cell", "units"), [(0, "row 0 column 0 box 0"), (35, "row 5 column 5 box 5")]
)
def test_boxes_of_six_are_two_rows_high(cell: int, units: str) -> None:
    row, column, box = SHAPES[36].places[cell]
    assert f"row {row} column {column} box {box}" == units
    boxes = SHAPES[36].units[12:]
    assert boxes[0] == (0, 1, 2, 6, 7, 8)


def test_broken_units_are_named() -> None:
    shape = SHAPES[16]
    grid = [1, 0, 0, 1, *[0] * 12]
    assert sudoku.broken(shape, grid) == [(0, 1, 2, 3)]
    assert not sudoku.solved(shape, grid)
    assert sudoku.broken(shape, [0] * 16) == []


def test_grid_is_read_whatever_draws_its_lines() -> None:
    shape, places, numbers = sudoku.grid(SMALL)
    assert shape == SHAPES[16]
    assert "".join(SMALL[place] for place in places) == "..43..1.21...3.."
    assert numbers[2:4] == [4, 3]
    assert sudoku.grid("0" * 80 + "9")[0] == SHAPES[81]


@pytest.mark.parametrize(
    ("text", "words"), [("12.", "16, 36 or 81 cells, not 3"), ("5" + "." * 15, "has no 5")]
)
def test_what_is_no_grid_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sudoku.grid(text)


def test_logic_solves_the_easy_and_gives_up_on_the_empty() -> None:
    shape = SHAPES[81]
    puzzle, full = made(shape, 3)
    easy = sudoku.more_givens(puzzle, full, 70, random.Random(0))
    assert sudoku.by_logic(shape, easy)
    assert not sudoku.by_logic(shape, [0] * 81)


def test_marks_tell_rows_columns_boxes_and_givens_apart() -> None:
    shape = SHAPES[81]
    found: Sequence[tuple[int, ...]] = sudoku.marks(shape, [True] + [False] * 80)
    assert len(set(found)) == 81
    assert all(0 < mark < sudoku.MARKS for marks in found for mark in marks)
    assert found[0][3] != found[1][3]
