"""Where everything is on the screen while drafts stand in for what the document holds.

A hole is drawn over the document, never into it. The rows that holes touch form a region, which has
at least as many rows as the document has there, and never fewer than it had before, so that text
below moves only when a draft grows. A cursor in a hole keeps its cell whatever is drafted around
it; a cursor after the hole stays on its character.

Knows texts, holes and cells; draws nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from rich.cells import cell_len
from textual.document._document import Location
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Offset

from dgedit.document import Span
from dgedit.tui.buffer import LINE_END, Buffer
from dgedit.visible import visible
from dgedit_engine.types import Draft

EMPTY_HOLE = "░"


class Kind(Enum):
    """What a run of text is."""

    TEXT = "text"
    HOLE = "hole"
    DRAFT = "draft"
    SETTLED = "settled"

    @property
    def held(self) -> bool:
        """Whether the document holds it, character by character."""
        return self in (Kind.TEXT, Kind.HOLE)


class Run(NamedTuple):
    """Text on one row that is drawn in one way."""

    text: str
    """As it is: tabs and control characters included."""
    kind: Kind
    """What it is."""
    at: Location
    """Where the document holds it; for a draft, where its hole ends."""
    changed: bool = False
    """Whether the last step changed it."""


@dataclass(eq=False, slots=True)
class OpenHole:
    """A hole in an open file."""

    start: int
    """Its first code point."""
    end: int
    """The first code point after it."""
    draft: Draft | None = None
    """What stands in for it at this step; None before the first."""
    changed: tuple[bool, ...] = ()
    """Which pieces of the draft differ from the step before."""
    height: int = 1
    """The most rows that any draft of it has taken."""

    @property
    def span(self) -> Span:
        """The document's text that it covers."""
        return Span(self.start, self.end)

    def show(self, draft: Draft) -> None:
        """Let a draft stand in for it."""
        before = self.draft.pieces if self.draft else ()
        same = [one == two for one, two in zip(before, draft.pieces, strict=False)]
        self.changed = tuple(not (i < len(same) and same[i]) for i in range(len(draft.pieces)))
        self.height = max(self.height, len(LINE_END.findall(draft.text)) + 1)
        self.draft = draft

    def clear(self) -> None:
        """Show the document again."""
        self.draft, self.changed, self.height = None, (), 1


@dataclass(frozen=True, slots=True)
class Region:
    """Document rows that holes touch, and the rows drawn in their place."""

    top: int
    """The first document row."""
    bottom: int
    """The last document row."""
    y: int
    """The first drawn row."""
    rows: tuple[tuple[Run, ...], ...]
    """What is drawn; an empty row is kept free for a draft that has been longer."""
    drafted: tuple[tuple[Location, Location], ...]
    """The document's ranges that drafts stand in for."""

    @property
    def extra(self) -> int:
        """How many more rows are drawn than the document has."""
        return len(self.rows) - (self.bottom - self.top + 1)


@dataclass(slots=True)
class _Composer:
    """Puts runs into rows."""

    buffer: Buffer
    rows: list[list[Run]] = field(default_factory=lambda: [[]])

    def held(self, kind: Kind, start: Location, end: Location) -> None:
        """Add what the document holds between two locations."""
        for row in range(start[0], end[0] + 1):
            left = start[1] if row == start[0] else 0
            right = end[1] if row == end[0] else None
            if row > start[0]:
                self.rows.append([])
            self.rows[-1].append(Run(self.buffer[row][left:right], kind, (row, left)))

    def drafted(self, hole: OpenHole, draft: Draft, at: Location) -> None:
        """Add a draft."""
        for piece, settled, changed in zip(draft.pieces, draft.settled, hole.changed, strict=True):
            kind = Kind.SETTLED if settled else Kind.DRAFT
            for part in LINE_END.split(piece):
                if LINE_END.fullmatch(part):
                    self.rows.append([])
                elif part:
                    self.rows[-1].append(Run(part, kind, at, changed))


class Rows(WrappedDocument):
    """The rows of a buffer with holes drawn over it: from locations to cells and back."""

    def __init__(self, buffer: Buffer, holes: Sequence[OpenHole], tab_width: int) -> None:
        # Not the parent's constructor: it measures every line.
        self.document: Buffer = buffer
        self.holes = holes
        self._tab_width = tab_width
        self._width = 0
        self._regions: list[Region] | None = None

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.document.line_count + sum(region.extra for region in self.regions)

    @property
    def width(self) -> int:
        """The width of the widest draft row in cells."""
        return max((self.row_width(row) for r in self.regions for row in r.rows), default=0)

    @property
    def regions(self) -> list[Region]:
        """Where holes are, from top to bottom."""
        if self._regions is None:
            self._regions = list(self._laid_out())
        return self._regions

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        """Lay out anew."""
        self._tab_width = tab_width or self._tab_width
        self._regions = None

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Lay out anew."""
        self._regions = None

    def row(self, y: int) -> tuple[tuple[Run, ...], int | None, bool]:
        """The runs drawn at a row, the document row to number it by, whether in a region."""
        for region in reversed(self.regions):
            if y >= region.y:
                number = region.top + y - region.y
                if y < region.y + len(region.rows):
                    own = number if number <= region.bottom else None
                    return region.rows[y - region.y], own, True
                y = number - region.extra
                break
        return (Run(self.document[y], Kind.TEXT, (y, 0)),), y, False

    def row_width(self, row: Sequence[Run]) -> int:
        """The cells that a row takes."""
        x = 0
        for run in row:
            x += cell_len(self.shown(run.text, x))
        return x

    def shown(self, text: str, x: int) -> str:
        """What a terminal is given for a text that starts at cell x."""
        if text.isprintable():
            return text
        parts = text.split("\t")
        out = visible(parts[0])
        for part in parts[1:]:
            out += " " * (self._tab_width - (x + cell_len(out)) % self._tab_width) + visible(part)
        return out

    def y_of(self, row: int) -> int:
        """Where a document row is drawn."""
        for region in reversed(self.regions):
            if row > region.bottom:
                return region.y + len(region.rows) + row - region.bottom - 1
            if row >= region.top:
                return region.y + row - region.top
        return row

    def location_to_offset(self, location: Location) -> Offset:
        """The cell of a location."""
        row, column = location
        for region in self.regions:
            if region.top <= row <= region.bottom and not any(
                start <= location <= end for start, end in region.drafted
            ):
                for y, runs in enumerate(region.rows, region.y):
                    for i, run in enumerate(runs):
                        at, left = run.at
                        if run.kind.held and at == row and left <= column <= left + len(run.text):
                            x = self.row_width(runs[:i])
                            return Offset(x + cell_len(self.shown(run.text[: column - left], x)), y)
        return Offset(cell_len(self.shown(self.document[row][:column], 0)), self.y_of(row))

    def offset_to_location(self, offset: Offset) -> Location:
        """The location nearest to a cell."""
        y = min(max(0, offset.y), self.height - 1)
        runs, row, _ = self.row(y)
        if not runs:  # kept free
            region = next(r for r in reversed(self.regions) if y >= r.y)
            return region.bottom, len(self.document[region.bottom])
        x = 0
        for run in runs:
            width = cell_len(self.shown(run.text, x))
            if offset.x < x + width or run is runs[-1]:
                if not run.kind.held:
                    return run.at
                return run.at[0], run.at[1] + self._column(run.text, x, max(0, offset.x))
            x += width
        raise AssertionError(row)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        """The column of a document row nearest to a cell."""
        return self._column(self.document[line_index], 0, x_offset)

    def get_offsets(self, line_index: int) -> list[int]:
        """No line is wrapped."""
        return []

    def get_sections(self, line_index: int) -> list[str]:
        """No line is wrapped."""
        return [self.document[line_index]]

    def _column(self, text: str, start: int, x: int) -> int:
        """How many of the text's characters are left of cell x, if the text starts at another."""
        if text.isascii() and text.isprintable():
            return min(x - start, len(text))
        ends = range(1, len(text) + 1)
        return bisect_right(
            ends, x, key=lambda end: start + cell_len(self.shown(text[:end], start))
        )

    def _laid_out(self) -> Iterator[Region]:
        y = 0  # how far drawn rows are below the document's
        for group in self._groups():
            region = self._region(group, y)
            y += region.extra
            yield region

    def _groups(self) -> list[list[tuple[OpenHole, Location, Location]]]:
        """The holes, those together that share a row."""
        groups: list[list[tuple[OpenHole, Location, Location]]] = []
        for hole in self.holes:
            start, end = self.document.location(hole.start), self.document.location(hole.end)
            if groups and groups[-1][-1][2][0] == start[0]:
                groups[-1].append((hole, start, end))
            else:
                groups.append([(hole, start, end)])
        return groups

    def _region(self, group: list[tuple[OpenHole, Location, Location]], below: int) -> Region:
        composer = _Composer(self.document)
        top, bottom = group[0][1][0], group[-1][2][0]
        done = (top, 0)
        for hole, start, end in group:
            composer.held(Kind.TEXT, done, start)
            if hole.draft is not None:
                composer.drafted(hole, hole.draft, end)
            elif hole.start == hole.end:
                composer.rows[-1].append(Run(EMPTY_HOLE, Kind.DRAFT, end))
            else:
                composer.held(Kind.HOLE, start, end)
            done = end
        composer.held(Kind.TEXT, done, (bottom, len(self.document[bottom])))
        free = max(
            bottom - top + 1 - len(composer.rows),
            sum(hole.height - 1 for hole, _, _ in group) + 1 - len(composer.rows),
        )
        rows = [*map(tuple, composer.rows), *[()] * free]
        drafted = tuple((start, end) for hole, start, end in group if hole.draft is not None)
        return Region(top, bottom, top + below, tuple(rows), drafted)
