"""The problems that a language server has found in a text: they follow it while it is edited.

Knows offsets, rows and problems; nothing of servers or screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgedit.protocol.replies import Problem, Severity
from dgedit.tui.editor.anchors import Anchor, Anchors
from dgedit.tui.editor.buffer import Buffer

_TALL = 100  # rows of a problem that are marked

Mark = tuple[Severity, int, int]
"""How bad a problem is, and the columns in a row at which it begins and ends."""


@dataclass(frozen=True, slots=True)
class _Held:
    start: Anchor
    end: Anchor
    problem: Problem


class Problems:
    """What is wrong in one text."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors
        self._all: list[_Held] = []
        self._rows: dict[int, list[Mark]] = {}
        self._as_of = -1

    def take(self, found: Sequence[Problem]) -> None:
        """Have these, found in the text as it is now, in place of those before."""
        at = self._anchors.at
        self._all = [_Held(at(one.start), at(one.end), one) for one in found]
        self._as_of = -1

    def __len__(self) -> int:
        return len(self._all)

    def marks(self, buffer: Buffer, row: int) -> Sequence[Mark]:
        """Return what is marked in a row."""
        if not self._all:
            return ()
        if self._as_of != self._anchors.changes:
            self._as_of = self._anchors.changes
            self._rows = {}
            for held in self._all:
                self._spread(buffer, held)
        return self._rows.get(row, ())

    def _spread(self, buffer: Buffer, held: _Held) -> None:
        (top, left), (bottom, right) = map(buffer.location, (held.start.index, held.end.index))
        for row in range(top, min(bottom, top + _TALL) + 1):
            size = len(buffer.lines[row])
            start, end = left if row == top else 0, right if row == bottom else size
            if start == end:  # a place: the character there, or the last one
                start, end = (start, start + 1) if start < size else (max(0, size - 1), size)
            if row == top or end > start:
                self._rows.setdefault(row, []).append((held.problem.severity, start, end))

    def at(self, buffer: Buffer, row: int, column: int) -> list[Problem]:
        """Return those of a row: those that hold a column first, then the worst."""
        index = buffer.index((row, column))
        first, last = buffer.index((row, 0)), buffer.index((row, len(buffer.lines[row])))
        here = [one for one in self._all if one.start.index <= last and first <= one.end.index]

        def order(one: _Held) -> tuple[bool, Severity]:
            return not one.start.index <= index <= one.end.index, one.problem.severity

        return [one.problem for one in sorted(here, key=order)]

    def next(self, index: int, by: int) -> tuple[int, int] | None:
        """Return the place of the next one behind an offset, or before it, around the end, and its
        number from 1; None where there is none.
        """
        starts = sorted(held.start.index for held in self._all)
        if not starts:
            return None
        after = [start for start in starts if start > index]
        before = [start for start in starts if start < index]
        start = (after[0] if after else starts[0]) if by > 0 else (before or starts)[-1]
        return start, starts.index(start) + 1

    def all(self, buffer: Buffer) -> list[tuple[int, int, Problem]]:
        """Return all with their rows and columns, in order."""
        ordered = sorted(self._all, key=lambda one: one.start.index)
        return [(*buffer.location(one.start.index), one.problem) for one in ordered]
