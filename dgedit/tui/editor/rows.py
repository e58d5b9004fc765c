"""Map between locations in the document and cells on the screen, with drafts drawn over holes.

Drafts are drawn over the document, never written into it. The rows that holes touch form a region.
While drafts come and go, a region has at least as many rows as the document has there, and never
fewer than before, so that text below moves only when one grows; a result takes just its own rows. A
cursor in a hole keeps its cell whatever is drafted around it; a cursor after the hole stays on its
character. Wrapped, a line takes as many rows as the buffer counts; only those in view are wrapped.

Knows texts, holes and cells; draws nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from textual.document._document import Location
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Offset

from dgedit.text.cells import breaks, cell_of, column_of, shown
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.composer import Composer, part_of, parted
from dgedit.tui.editor.holes import EMPTY_HOLE, Kind, OpenHole, Run

# Rows with a run of more characters are drawn only in part.
_LONG = 1000


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
    """The runs of each drawn row; an empty row is reserved for a longer draft."""
    drafted: tuple[tuple[Location, Location], ...]
    """The document's ranges that drafts are drawn over."""
    numbers: tuple[int | None, ...]
    """The document row whose number each row shows; None for a continued or a new one."""
    extra: int
    """The number of rows more than without drafts; negative for fewer."""
    caret: tuple[int, int] | None = None
    """The row of the region and the run before which the cursor is, if it is in a draft."""


class Rows(WrappedDocument):
    """The rows of a buffer with holes drawn over it; converts locations to cells and back."""

    def __init__(self, buffer: Buffer, holes: Sequence[OpenHole], tab_width: int) -> None:
        # Not the parent's constructor: it measures every line.
        self.document: Buffer = buffer
        self.holes = holes
        self._tab_width = tab_width
        self._width = 0  # the width of a row in cells; 0 if lines are not wrapped
        self._regions: list[Region] | None = None
        self.heat = False
        """True if the confidence of each piece is shown."""

    @property
    def height(self) -> int:
        """The number of rows."""
        extra = sum(region.extra for region in self.regions)
        return self._y(self.document.line_count) + extra

    @property
    def width(self) -> int:
        """The width of the widest draft row in cells."""
        return max((self.row_width(row) for r in self.regions for row in r.rows), default=0)

    @property
    def regions(self) -> list[Region]:
        """The regions of the holes, from top to bottom. No hole is folded away."""
        if self._regions is None:
            self._show_holes()
            self._regions = list(self._laid_out())
        return self._regions

    @property
    def caret(self) -> Offset | None:
        """The cell of the cursor, if it is in a draft."""
        for region in self.regions:
            if region.caret is not None:
                row, run = region.caret
                return Offset(self.row_width(region.rows[row][:run]), region.y + row)
        return None

    def wrap_at(self, width: int, tab_width: int) -> None:
        """Wrap lines at a width in cells; at 0, wrap none."""
        if width != self._width:
            for hole in self.holes:
                hole.wrapped = 0
        self._width, self._tab_width = width, tab_width
        self._regions = None

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        """Lay out the holes again, and wrap lines if a width is given."""
        self.wrap_at(width or self._width, tab_width or self._tab_width)

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Lay out the holes again; the buffer itself counts the rows of its lines."""
        self._regions = None

    def row(self, y: int) -> tuple[tuple[Run, ...], int | None, bool]:
        """Return a row's runs, the document row of its number, and whether a region has it."""
        for region in reversed(self.regions):
            if y >= region.y:
                if y < region.y + len(region.rows):
                    return region.rows[y - region.y], region.numbers[y - region.y], True
                y -= region.y - self._y(region.top) + region.extra
                break
        if not (self._width or self.document.folds.any):
            return (Run(self.document[y], Kind.TEXT, (y, 0)),), y, False
        counts = self.document.row_counts(self._width, self._tab_width)
        row = counts.find(y)
        part = y - counts.before(row)
        starts = [0, *self.get_offsets(row), None]
        text = self.document[row][starts[part] : starts[part + 1]]
        return (Run(text, Kind.TEXT, (row, starts[part] or 0)),), None if part else row, False

    def folded(self, y: int) -> int:
        """Count the lines that are folded away right below a row."""
        if not self.document.folds.any:
            return 0
        runs = self.row(y)[0]
        if not (runs and runs[-1].kind.held):
            return 0
        row, column = runs[-1].at
        last = column + len(runs[-1].text) == len(self.document[row])
        return self.document.folds.size(row) if last else 0

    def window(self, runs: tuple[Run, ...], left: int, right: int) -> tuple[tuple[Run, ...], int]:
        """Return the visible part of a row and the cell at which it starts; short rows whole."""
        if all(len(run.text) <= _LONG for run in runs):
            return runs, 0
        found: list[Run] = []
        first = x = 0
        for run in runs:
            end = self._cell(run.text, len(run.text), x)
            if left <= end and x <= right:
                begin = self._column(run.text, x, left)
                stop = self._column(run.text, x, right) + 1
                if not found:
                    first = self._cell(run.text, begin, x)
                found.append(part_of(run, begin, stop))
            x = end
        return tuple(found), first

    def row_width(self, row: Sequence[Run]) -> int:
        """Return the width of a row in cells."""
        x = 0
        for run in row:
            x = self._cell(run.text, len(run.text), x)
        return x

    def shown(self, text: str, x: int) -> str:
        """Return what the terminal is given for a text that starts at cell x."""
        return shown(text, x, self._tab_width)

    def y_of(self, row: int) -> int:
        """Return the first drawn row of a document row; of one folded away, that of the line above
        the fold.
        """
        row = self.document.folds.above(row)
        for region in reversed(self.regions):
            if row > region.bottom:
                return region.y + len(region.rows) + self._y(row) - self._y(region.bottom + 1)
            if row >= region.top:
                below = self._y(row) - self._y(region.top)
                return region.y + min(below, len(region.rows) - 1)
        return self._y(row)

    def location_to_offset(self, location: Location) -> Offset:
        """Return the cell of a location."""
        if self.document.folds.hides(location[0]):
            head = self.document.folds.above(location[0])
            location = head, len(self.document[head])
        row, column = location
        last = self.height
        for region in self.regions:
            if not region.top <= row <= region.bottom:
                continue
            last = region.y + len(region.rows) - 1
            if not any(start <= location <= end for start, end in region.drafted):
                for y, runs in enumerate(region.rows):
                    for i, run in enumerate(runs):
                        at, left = run.at
                        if (
                            run.kind.held
                            and at == row
                            and left <= column <= left + len(run.text)
                            and not _goes_on(runs[i:], location, region.rows[y + 1 : y + 2])
                        ):
                            x = self.row_width(runs[:i])
                            return Offset(self._cell(run.text, column - left, x), region.y + y)
        starts = [0, *self.get_offsets(row)]
        part = bisect_right(starts, column) - 1
        text = self.document[row][starts[part] :]
        y = min(self.y_of(row) + part, last)
        return Offset(self._cell(text, column - starts[part], 0), y)

    def offset_to_location(self, offset: Offset) -> Location:
        """Return the location nearest to a cell."""
        y = min(max(0, offset.y), self.height - 1)
        runs, row, _ = self.row(y)
        if not runs:  # a reserved row
            region = next(r for r in reversed(self.regions) if y >= r.y)
            return region.bottom, len(self.document[region.bottom])
        x = 0
        for run in runs:
            end = self._cell(run.text, len(run.text), x)
            if offset.x < end or run is runs[-1]:
                if not run.kind.held:
                    return run.at
                column = self._column(run.text, x, max(0, offset.x))
                last = (run.at[0], run.at[1] + len(run.text))
                if column == len(run.text) and self._width and y + 1 < self.height:
                    column -= _goes_on((run,), last, (self.row(y + 1)[0],))
                return run.at[0], run.at[1] + column
            x = end
        raise AssertionError(row)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        """Return the column nearest to a cell of one of a line's rows."""
        starts = [0, *self.get_offsets(line_index)]
        line = self.document[line_index]
        start = starts[y_offset]
        rest = starts[starts.index(start) + 1 :]
        column = start + self._column(line[start:], 0, x_offset)
        return min(column, rest[0] - 1) if rest else column

    def get_offsets(self, line_index: int) -> list[int]:
        """Return the columns at which the second and later rows of a line start."""
        if not self._width:
            return []
        return list(breaks(self.document[line_index], self._width, self._tab_width))

    def get_sections(self, line_index: int) -> list[str]:
        """Return the rows of a line."""
        line = self.document[line_index]
        starts = [0, *self.get_offsets(line_index), len(line)]
        return [line[start:stop] for start, stop in pairwise(starts)]

    def _y(self, row: int) -> int:
        """Return where a document row would be drawn without holes."""
        if not (self._width or self.document.folds.any):
            return row
        return self.document.row_counts(self._width, self._tab_width).before(row)

    def _cell(self, text: str, column: int, x: int) -> int:
        """Return the cell of a column of a text that starts at cell x."""
        return cell_of(text, column, x, self._tab_width)

    def _column(self, text: str, start: int, x: int) -> int:
        """Return how many characters of a text that starts at cell `start` are left of cell x."""
        return column_of(text, x, start, self._tab_width)

    def _show_holes(self) -> None:
        document = self.document
        if document.folds.any:
            for hole in self.holes:
                first, last = (document.location(index)[0] for index in (hole.start, hole.end))
                while (row := document.folds.first_hidden(first, last)) is not None:
                    document.show(row)

    def _laid_out(self) -> Iterator[Region]:
        y = 0  # the rows added so far by regions above
        for group in self._groups():
            region = self._region(group, y)
            y += region.extra
            yield region

    def _groups(self) -> list[list[tuple[OpenHole, Location, Location]]]:
        """Group the holes that share a row."""
        groups: list[list[tuple[OpenHole, Location, Location]]] = []
        for hole in self.holes:
            start, end = self.document.location(hole.start), self.document.location(hole.end)
            if groups and groups[-1][-1][2][0] == start[0]:
                groups[-1].append((hole, start, end))
            else:
                groups.append([(hole, start, end)])
        return groups

    def _region(self, group: list[tuple[OpenHole, Location, Location]], below: int) -> Region:
        composer = Composer(self.document, heat=self.heat)
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
        rows, numbers, caret = self._wrapped(composer, top, bottom)
        alone = self._y(bottom + 1) - self._y(top)
        kept = sum(hole.height - 1 for hole, _, _ in group) + 1
        if self._width:
            drafts = [hole for hole, _, _ in group if hole.draft is not None]
            kept = max([kept, *(hole.wrapped for hole in drafts)])
            for hole in drafts:
                hole.wrapped = max(kept, len(rows))
        least = 0 if any(hole.fits for hole, _, _ in group) else alone
        free = max(least, kept) - len(rows)
        numbers += [
            at if at <= bottom and not self._width else None
            for at in range(top + len(rows), top + len(rows) + free)
        ]
        rows += [()] * free
        return Region(
            top,
            bottom,
            self._y(top) + below,
            tuple(rows),
            tuple((start, end) for hole, start, end in group if hole.draft is not None),
            tuple(numbers),
            len(rows) - alone,
            caret,
        )

    def _wrapped(
        self, composer: Composer, top: int, bottom: int
    ) -> tuple[list[tuple[Run, ...]], list[int | None], tuple[int, int] | None]:
        """Wrap composed rows; return them, the document row of each, and the caret's place."""
        rows: list[tuple[Run, ...]] = []
        numbers: list[int | None] = []
        caret = None
        for i, row in enumerate(composer.rows):
            text = "".join(run.text for run in row)
            starts = breaks(text, self._width, self._tab_width) if self._width else ()
            parts, places = parted(row, starts)
            if composer.caret is not None and composer.caret[0] == i:
                part, run = places[composer.caret[1]]
                caret = len(rows) + part, run
            rows += map(tuple, parts)
            numbers += [top + i if top + i <= bottom else None, *[None] * len(starts)]
        return rows, numbers, caret


def _goes_on(runs: Sequence[Run], location: Location, below: Sequence[tuple[Run, ...]]) -> bool:
    """Say whether a location at the end of a row is the start of the next."""
    run = runs[0]
    ends = len(runs) == 1 and (run.at[0], run.at[1] + len(run.text)) == location
    if not (ends and run.text and below and below[0]):
        return False
    return below[0][0].kind.held and below[0][0].at == location
