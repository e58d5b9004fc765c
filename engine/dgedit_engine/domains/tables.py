"""Measure a domain's model beside others' ways, and write what comes out as tables.

All ways but the last columns' read the same weights; givens are pinned in all of them. A figure has
its 95% Wilson interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dgedit_engine.domains import graphs, sudoku
from dgedit_engine.domains.domain import Board
from dgedit_engine.domains.graphs import GraphBoard
from dgedit_engine.domains.solving import Solved, Solver
from dgedit_engine.rules import graphs as graph_rules
from dgedit_engine.rules import sudoku as rules
from dgedit_engine.rules.graphs import BLANK
from dgedit_engine.rules.sudoku import SHAPES

_GIVENS = {16: (8, 6, 0), 36: (20, 14, 0), 81: (50, 45, 40, 36, 32, 28, 0)}
"""Givens of the Sudokus that are measured, by the number of cells; 0: as few as each has."""

_Z = 1.96


def share(right: int, count: int) -> str:
    """Return a share in per cent with its 95% Wilson interval."""
    mean = right / count
    middle = (mean + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    spread = _Z * (mean * (1 - mean) / count + _Z**2 / (4 * count**2)) ** 0.5 / (1 + _Z**2 / count)
    low, high = max(0.0, middle - spread), min(1.0, middle + spread)
    return f"{100 * mean:.3g} [{100 * low:.0f}, {100 * high:.0f}]"


def of_sudoku(solver: Solver, count: int) -> Iterator[str]:
    """Yield the table of the Sudoku model, a line at a time."""
    yield _line(
        *("grid", "givens", "one step", "up to 32 steps", "steps", "left to right"),
        *("certain first", "cells right", "givens kept", "singles alone"),
    )
    yield _line(*["---"] * 10)
    for cells, levels in _GIVENS.items():
        shape = SHAPES[cells]
        for givens in levels:
            boards = sudoku.held_out(cells, givens, count)
            ways = _ways(solver, boards, sudoku.right)
            logic = sum(rules.by_logic(shape, _puzzle(board)) for board in boards)
            mean = sum(sum(board.given) for board in boards) / count
            yield _line(
                f"{shape.size}x{shape.size}",
                f"{givens}" if givens else f"minimal, {mean:.1f}",
                *ways,
                share(logic, count),
            )


def of_graphs(solver: Solver, count: int) -> Iterator[str]:
    """Yield the table of the graph model, a line at a time."""
    yield _line(
        *("graph", "vertices", "one step", "up to 32 steps", "steps", "left to right"),
        *("certain first", "labels right", "given kept", "greedy by degree"),
    )
    yield _line(*["---"] * 10)
    for kind in ("one answer", "several answers", "distances"):
        for vertices in (8, 12, 16):
            rng = random.Random(f"{kind} {vertices}")  # of a text: the same on every machine
            boards = [
                graphs.measured(vertices, rng)
                if kind == "distances"
                else graphs.coloured(vertices, rng, spare=0.0, open_=kind == "several answers")
                for _ in range(count)
            ]
            greedy = "" if kind == "distances" else share(sum(map(_greedy, boards)), count)
            yield _line(kind, str(vertices), *_ways(solver, boards, _right), greedy)


def _ways(
    solver: Solver, boards: Sequence[Board], right: Callable[[Board, str], bool]
) -> list[str]:
    """Return the cells of a row that come from the model."""
    sampling = solver.domain.sampling
    one = [solver.refined(board, replace(sampling, steps=1)) for board in boards]
    all_steps = [solver.refined(board, sampling) for board in boards]
    ordered, certain = solver.left_to_right(boards), solver.certain_first(boards)

    def solved(found: Sequence[Solved]) -> str:
        good = sum(right(board, each.text) for board, each in zip(boards, found, strict=True))
        return share(good, len(boards))

    blanks = same = kept = givens = 0
    for board, each in zip(boards, all_steps, strict=True):
        for own, given, letter in zip(board.text, board.given, each.text, strict=True):
            blanks, same = blanks + (not given), same + (not given and own == letter)
            givens, kept = givens + given, kept + (given and own == letter)
    steps = sum(each.steps for each in all_steps) / len(boards)
    return [
        *(solved(one), solved(all_steps), f"{steps:.1f}", solved(ordered), solved(certain)),
        *(f"{100 * same / blanks:.1f}", f"{100 * kept / givens:.0f}"),
    ]


def _puzzle(board: Board) -> list[int]:
    return [
        int(letter) if given else 0 for letter, given in zip(board.text, board.given, strict=True)
    ]


def _right(board: Board, found: str) -> bool:
    assert isinstance(board, GraphBoard)
    return graphs.right(board, found)


def _greedy(board: GraphBoard) -> bool:
    labels = [
        letter if given else BLANK for letter, given in zip(board.text, board.given, strict=True)
    ]
    return graphs.right(board, graph_rules.greedy(board.graph, labels))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
