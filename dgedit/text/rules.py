"""Find what breaks the rules of a file's kind: a Sudoku's units, the labels of a graph.

The rules are the engine's, which are plain text and loaded when a file of such a kind is looked at.
Knows the names of files and their texts; neither holes nor screens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

_PUZZLES = (".sudoku", ".sdk", ".sdm")
_GRAPHS = (".dot", ".gv")
_LONGEST = 20_000  # characters of a text that is looked at with every edit
_PART = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_KINDS = ("row", "column", "box")


@dataclass(frozen=True, slots=True)
class Break:
    """A character that breaks a rule."""

    start: int
    """Its place in the text."""
    words: str
    """What is wrong with it."""


def ruled(name: str) -> bool:
    """Say whether files of such a name have rules."""
    return PurePath(name).suffix.lower() in (*_PUZZLES, *_GRAPHS)


def breaks(name: str, text: str) -> list[Break]:
    """Return what breaks the rules of its kind in a text, in order; nothing for other kinds, and
    for a text that cannot be read as one.
    """
    if not ruled(name) or len(text) > _LONGEST:
        return []
    found = _labels(text) if PurePath(name).suffix.lower() in _GRAPHS else _cells(text)
    return sorted(found, key=lambda one: one.start)


def _cells(text: str) -> Iterator[Break]:
    """Yield the cells whose number stands twice in a unit: of the text, or of each paragraph or
    line that is a puzzle.
    """
    from dgedit_engine.rules import sudoku

    parts = [(0, text)]
    try:
        sudoku.grid(text)
    except ValueError:
        parts = [(one.start(), one[0]) for one in _PART.finditer(text)]
        parts += [(one.start(), one[0]) for one in re.finditer(r"[^\n]+", text)]
    told = set[int]()
    for start, part in parts:
        try:
            shape, places, numbers = sudoku.grid(part)
        except ValueError:
            continue
        for unit in sudoku.broken(shape, numbers):
            at = shape.units.index(unit)
            there = [numbers[cell] for cell in unit]
            for cell in unit:
                place = start + places[cell]
                if numbers[cell] and there.count(numbers[cell]) > 1 and place not in told:
                    told.add(place)
                    which = f"{_KINDS[at // shape.size]} {at % shape.size + 1}"
                    yield Break(place, f"{numbers[cell]} stands twice in {which}")


def _labels(text: str) -> Iterator[Break]:
    """Yield the labels that cannot be right beside the others."""
    from dgedit_engine.rules import graphs

    try:
        graph, places, labels = graphs.read(text)
    except ValueError:
        return
    for vertex in graphs.wrong(graph, labels):
        what = "a neighbour has this colour" if graph.kind == "c" else "the distance is another"
        yield Break(places[vertex], what)
