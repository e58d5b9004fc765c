"""The runs that a row of the editor is made of: the document's text, and drafts in its place.

Knows a buffer, holes and runs; nothing of cells, wrapping or styles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from textual.document._document import Location

from dgedit.text.drafts import BANDS, LEVELS
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import LINE_END, Highlight
from dgedit.tui.editor.holes import EMPTY_HOLE, Kind, OpenHole, Run
from dgedit_engine.types import Draft


@dataclass(slots=True)
class Composer:
    """Arranges runs in rows."""

    buffer: Buffer
    rows: list[list[Run]] = field(default_factory=lambda: [[]])
    heat: bool = False
    caret: tuple[int, int] | None = None

    def held(self, kind: Kind, start: Location, end: Location) -> None:
        """Add the document's text between two locations."""
        for row in range(start[0], end[0] + 1):
            left = start[1] if row == start[0] else 0
            right = end[1] if row == end[0] else None
            if row > start[0]:
                self.rows.append([])
            self.rows[-1].append(Run(self.buffer[row][left:right], kind, (row, left)))

    def drafted(self, hole: OpenHole, draft: Draft, at: Location) -> None:
        """Add a draft."""
        pieces = zip(draft.pieces, draft.settled, hole.changed, draft.confidence, strict=True)
        chosen, line, column = hole.marked, 0, 0
        sure = Kind.UNSURE if hole.unsure and not self.heat else Kind.SETTLED
        for i, (piece, settled, changed, confidence) in enumerate(pieces):
            self._meet(hole, i)
            kind = sure if settled else Kind.DRAFT
            heat = sum(confidence < least for least in BANDS) if self.heat else None
            level = sum(confidence < least for least in LEVELS) if kind is Kind.DRAFT else 0
            # The text, with a line ending at each odd index.
            parts = LINE_END.split(piece) if "\n" in piece or "\r" in piece else (piece,)
            for at_end, part in enumerate(parts):
                if at_end % 2:
                    self.rows.append([])
                    line, column = line + 1, 0
                elif part:
                    known = hole.syntax[line] if line < len(hole.syntax) else ()
                    syntax = clipped(known, column, column + len(part))
                    run = Run(part, kind, at, changed, heat, i in chosen, level, syntax)
                    self.rows[-1].append(run)
                    column += len(part)
        self._meet(hole, len(draft.pieces))
        if hole.noise:
            self.rows[-1].append(Run(EMPTY_HOLE * hole.noise, Kind.DRAFT, at, level=len(LEVELS)))

    def _meet(self, hole: OpenHole, piece: int) -> None:
        if hole.caret == piece:
            self.caret = len(self.rows) - 1, len(self.rows[-1])


def parted(row: list[Run], starts: Sequence[int]) -> tuple[list[list[Run]], list[tuple[int, int]]]:
    """Split a row at columns; return the parts, and for each run its part and index there."""
    parts: list[list[Run]] = [[]]
    places = []
    at, left = 0, list(starts)
    for run in row:
        rest = run
        while left and left[0] <= at + len(rest.text):
            size = left.pop(0) - at
            if size:
                parts[-1].append(part_of(rest, 0, size))
            parts.append([])
            rest, at = part_of(rest, size, None), at + size
        places.append((len(parts) - 1, len(parts[-1])))
        if rest.text or not run.text or not parts[-1]:
            parts[-1].append(rest)
        at += len(rest.text)
    return parts, [*places, (len(parts) - 1, len(parts[-1]))]


def part_of(run: Run, start: int, stop: int | None) -> Run:
    """Return a part of a run."""
    row, column = run.at
    text = run.text[start:stop]
    if run.kind.held:
        return run._replace(text=text, at=(row, column + start))
    return run._replace(text=text, syntax=clipped(run.syntax, start, start + len(text)))


def clipped(highlights: Iterable[Highlight], start: int, stop: int) -> tuple[Highlight, ...]:
    """Return the highlights between two columns, counted from the first of them."""
    found = []
    for begin, end, name in highlights:
        first, last = max(start, begin), stop if end is None else min(stop, end)
        if first < last:
            found.append((first - start, last - start, name))
    return tuple(found)
