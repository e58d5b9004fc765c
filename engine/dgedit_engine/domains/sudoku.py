"""The Sudoku model: 4x4, 6x6 and 9x9 by one set of weights.

A canvas holds the cells alone, row by row. Each bears marks: its row, its column, its box, whether
it is given, and the size of the grid.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import cache

from dgedit_engine.domains.domain import CHARACTERS, Board, Domain, puzzle_recipe, shape
from dgedit_engine.model.config import Sampling
from dgedit_engine.rules import sudoku as rules
from dgedit_engine.rules.sudoku import SHAPES, Grid, GridShape

PUZZLES = {16: 200, 36: 400, 81: 1000}
"""Minimal puzzles from which all others are made, by the number of cells."""

_SHARES = {16: 0.06, 36: 0.4, 81: 1.0}  # of the batches, each up to its bound
_BATCH = {16: 256, 36: 128, 81: 64}
_FEWEST = {16: 4, 36: 9, 81: 22}  # givens at the end of the curriculum, less than any minimal one
_MOST = {16: 10, 36: 22, 81: 56}
_SIZES = (16, 36, 81)


def board(shape: GridShape, puzzle: Grid, solution: Grid) -> Board:
    """Return a puzzle as a canvas."""
    digits = "123456789"[: shape.size]
    return Board(
        "".join(map(str, solution)),
        [number > 0 for number in puzzle],
        rules.marks(shape, [number > 0 for number in puzzle]),
        digits,
    )


@cache
def minimal(cells: int, count: int, seed: int) -> list[tuple[Grid, Grid]]:
    """Return minimal puzzles with their solutions."""
    shape, rng = SHAPES[cells], random.Random(seed * 1000 + cells)
    full = (rules.full_grid(shape, rng) for _ in range(count))
    return [(rules.dug(shape, one, rng), one) for one in full]


def drawn(rng: random.Random, cells: int, givens: int, base: Sequence[tuple[Grid, Grid]]) -> Board:
    """Return a symmetric image of one of the minimal puzzles, with as many givens or its own."""
    shape = SHAPES[cells]
    puzzle, solution = base[rng.randrange(len(base))]
    moved, digits = rules.symmetry(shape, rng)
    turned = [digits[solution[cell]] for cell in moved]
    started = [digits[puzzle[cell]] for cell in moved]
    return board(shape, rules.more_givens(started, turned, givens, rng), turned)


def draw(rng: random.Random, progress: float) -> list[Board]:
    """Return a batch of boards of one size: small ones at first, and ever fewer givens."""
    share = rng.random()
    small = max(0.0, 1 - progress / 0.1)  # the first tenth goes from small grids to large ones
    bounds = {cells: bound + (1 - bound) * small * 0.5 for cells, bound in _SHARES.items()}
    cells = next(cells for cells in _SIZES if share <= bounds[cells])
    ease = max(0.0, 1 - progress / 0.4)
    most, fewest = _MOST[cells], _FEWEST[cells]
    low = round(fewest + (most - fewest) * 0.6 * ease)
    base = minimal(cells, PUZZLES[cells], 1)
    return [drawn(rng, cells, rng.randint(low, most), base) for _ in range(_BATCH[cells])]


def domain(*, minutes: float = 85.0) -> Domain:
    """Return the domain."""
    return Domain(
        name="sudoku",
        suffixes=(".sudoku", ".sdk", ".sdm"),
        characters=CHARACTERS,
        config=shape(
            vocab=16 + len(CHARACTERS),
            dim=128,
            layers=8,
            mlp=256,
            heads=4,
            canvas=81,
            marks=rules.MARKS,
        ),
        recipe=puzzle_recipe(minutes),
        # hotter than released: a wrong digit that others lean on is given up more easily
        sampling=Sampling(steps=32, entropy_bound=0.1, t_min=0.6, t_max=1.0, confidence=0.005),
        draw=draw,
    )


def held_out(cells: int, givens: int, count: int) -> list[Board]:
    """Return test puzzles of other minimal ones than those of the training."""
    base = minimal(cells, count, 2)
    return [
        drawn(random.Random(givens * 10_007 + place), cells, givens, base[place : place + 1])
        for place in range(count)
    ]


def right(board: Board, found: Iterable[str]) -> bool:
    """Say whether a full board breaks no rule, and has its givens."""
    cells = list(found)
    return board.keeps(cells) and rules.solved(SHAPES[len(cells)], [int(one) for one in cells])
