"""The text being edited, line by line, each line with its own line ending.

Textual's own document splits lines as Python does and joins them with a single line ending, which
changes files that were only viewed. This one splits at newlines, carriage returns and the two
together, and its `text` is exact after any edit. Where lines start and how wide they are is updated
line by line: a key in 50,000 lines costs 0.1 ms, where measuring all takes 30.

Knows text; nothing of files, holes or screens. `highlighting.py` knows the syntax.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, repeat
from typing import cast

from textual.document._document import Document, EditResult, Location, Newline
from textual.geometry import Size

from dgedit.text.cells import row_count, width_of
from dgedit.text.edits import Change
from dgedit.text.folding import Fold
from dgedit.text.folds import Folds
from dgedit.text.prefix_sums import Tally
from dgedit.tui.editor.highlighting import LINE_END, Parse, Syntax
from dgedit.tui.editor.lexed import Lexed


class Buffer(Document):
    """A document of lines and their endings."""

    def __init__(self, text: str, *, newline: str = "\n", syntax: Syntax | None = None) -> None:
        # Not the parent's constructor: it splits the text its own way.
        self._newline = cast(Newline, newline)
        self._lines, self._ends = _split(text)
        self._text: str | None = text
        self._lengths = Tally(map(int.__add__, map(len, self._lines), map(len, self._ends)))
        self._widths: tuple[int, Tally] | None = None
        self._rows: tuple[int, int, Tally] | None = None
        self.parse: Parse | None = None
        """The syntax tree, if there is a grammar."""
        self.lexed: Lexed | None = None
        """The colours of a text without one."""
        self.marks = bytearray(len(self._lines))
        """A mark for each line, which follows the line through edits; 0 for none."""
        self.folds = Folds()
        """Which lines are folded away. An edit of one shows it again."""
        self.color(syntax)

    @property
    def text(self) -> str:
        """The exact text."""
        if self._text is None:
            parts = [""] * (2 * len(self._lines))
            parts[::2], parts[1::2] = self._lines, self._ends
            self._text = "".join(parts)
        return self._text

    @property
    def length(self) -> int:
        """The number of code points in the text."""
        return self._lengths.total

    def color(self, syntax: Syntax | None) -> None:
        """Use this syntax from now on, or none."""
        self.parse = Parse(syntax, self._lines) if syntax else None
        self.lexed = None if syntax else Lexed()

    def get_size(self, tab_width: int) -> Size:
        """Return the width of the widest line in cells, and the number of lines."""
        if self._widths is None or self._widths[0] != tab_width:
            self._widths = tab_width, Tally(width_of(line, tab_width) for line in self._lines)
        return Size(self._widths[1].most, len(self._lines))

    def row_counts(self, width: int, tab_width: int) -> Tally:
        """Return how many rows each line takes when wrapped at a width in cells, or, at 0, not
        wrapped; none if it is folded away.
        """
        if self._rows is None or self._rows[:2] != (width, tab_width):
            hidden = self.folds.hidden(len(self._lines))
            taken = _row_counts(self._lines, width, tab_width)
            counts = Tally(0 if gone else rows for rows, gone in zip(taken, hidden, strict=True))
            self._rows = width, tab_width, counts
        return self._rows[2]

    def fold(self, folds: Iterable[Fold]) -> None:
        """Fold lines away."""
        self.folds.add(folds, len(self._lines))
        self._rows = None

    def unfold(self, head: int) -> bool:
        """Show again what is folded right below a line; return whether anything is."""
        opened = self.folds.open(head)
        if opened:
            self._rows = None
        return opened

    def unfold_all(self) -> None:
        """Show all lines."""
        self.folds.clear()
        self._rows = None

    def show(self, row: int) -> bool:
        """Show a line, if it is folded away; return whether it was."""
        hidden = self.folds.show(row)
        if hidden:
            self._rows = None
        return hidden

    def index(self, location: Location) -> int:
        """Convert a location to an offset in `text`."""
        row, column = self._clamped(location)
        return self._lengths.before(row) + column

    def location(self, index: int) -> Location:
        """Convert an offset in `text` to a location; inside a line ending, the line's end."""
        row = self._lengths.find(index)
        return row, min(index - self._lengths.before(row), len(self._lines[row]))

    def get_index_from_location(self, location: Location) -> int:
        """Return `index`; the parent's name for it."""
        return self.index(location)

    def get_location_from_index(self, index: int) -> Location:
        """Return `location`; the parent's name for it."""
        return self.location(index)

    def get_text_range(self, start: Location, end: Location) -> str:
        """Return the text between two locations, line endings as they are."""
        (top, left), (bottom, right) = sorted((self._clamped(start), self._clamped(end)))
        if top == bottom:
            return self._lines[top][left:right]
        middle = (
            line + end
            for line, end in zip(self._lines[top:bottom], self._ends[top:bottom], strict=True)
        )
        return "".join(middle)[left:] + self._lines[bottom][:right]

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Replace the text between two locations; line endings stay as given."""
        top, bottom = sorted((self._clamped(start), self._clamped(end)))
        if self.folds.any:
            self.show(top[0])
            self.show(bottom[0])
        replaced = self._held(top, bottom)
        points = (self.parse.point(top), self.parse.point(bottom)) if self.parse else None

        lines, ends = text.rows() if isinstance(text, Held) else _split(text)
        self._move_marks(top, bottom, len(lines))
        self._move_folds(top, bottom, len(lines))
        plain = "\n".join(lines)
        lines[0] = self._lines[top[0]][: top[1]] + lines[0]
        result = EditResult((top[0] + len(lines) - 1, len(lines[-1])), replaced)
        lines[-1] += self._lines[bottom[0]][bottom[1] :]
        ends[-1] = self._ends[bottom[0]]
        rows = slice(top[0], bottom[0] + 1)
        self._lines[rows], self._ends[rows] = lines, ends
        if 2 * len(ends) > len(self._ends):  # most of the text is new
            self.end_lines_with(self._usual_end())
        self._measure(rows, lines, ends)

        if self.parse and points:
            self.parse.edited(*points, top[1], bottom[1], plain)
        if self.lexed:
            self.lexed.edited(top, bottom, plain)
        return result

    def end_lines_with(self, newline: str) -> None:
        """End the lines so that are put in from now on."""
        self._newline = cast(Newline, newline)

    def _usual_end(self) -> str:
        """Return what most lines end with; what was usual before counts where as many do so."""
        usual = (self._newline, "\n", "\r\n", "\r")
        return max(usual, key=self._ends.count)

    @contextmanager
    def keeping_folds(self, change: Change) -> Iterator[None]:
        """Keep the folds that a change of several places leaves alone; it is applied within."""
        kept = self._left_alone(change) if self.folds.any and len(change.parts) > 1 else []
        yield
        if kept:
            rows = ((self.location(start)[0], self.location(end)[0]) for start, end in kept)
            self.fold(Fold(first - 1, last) for first, last in rows)

    def _left_alone(self, change: Change) -> list[tuple[int, int]]:
        """Return where the lines folded away will be that a change does not meet."""
        found = []
        ends = [part.end for part in change.parts]
        grown = [len(part.text) - (part.end - part.start) for part in change.parts]
        by = list(accumulate(grown, initial=0))
        top, bottom = self.location(change.parts[0].start)[0], self.location(ends[-1])[0]
        for head, last in self.folds:
            if top <= head and last <= bottom:
                start, end = self.index((head + 1, 0)), self.index((last, len(self._lines[last])))
                at = bisect_left(ends, start)
                if at == len(ends) or change.parts[at].start > end:
                    found.append((start + by[at], end + by[at]))
        return found

    def _move_marks(self, top: Location, bottom: Location, count: int) -> None:
        """Leave their marks to what remains of the first and the last line replaced by `count`."""
        (first, left), (last, right) = top, bottom
        marks = bytearray(count)
        if left or first == last == first + count - 1:
            marks[0] = self.marks[first]
        if not marks[-1] and right < len(self._lines[last]):
            marks[-1] = self.marks[last]
        self.marks[first : last + 1] = marks

    def _move_folds(self, top: Location, bottom: Location, count: int) -> None:
        """Leave what is folded below the last line replaced below what remains of it."""
        (first, _), (last, right) = top, bottom
        kept = first == last and count == 1
        if not kept and right == len(self._lines[last]):
            self.unfold(last)
        self.folds.replaced(first, last, count)

    def _held(self, top: Location, bottom: Location) -> Held:
        (first, left), (last, right) = top, bottom
        lines = self._lines[first : last + 1]
        lines[-1] = lines[-1][:right]
        lines[0] = lines[0][left:]
        return Held.of(lines, [*self._ends[first:last], ""])

    def _measure(self, rows: slice, lines: list[str], ends: list[str]) -> None:
        self._text = None
        lengths = map(int.__add__, map(len, lines), map(len, ends))
        self._lengths.replace(rows.start, rows.stop, lengths)
        if self._widths is not None:
            tab_width, widths = self._widths
            widths.replace(rows.start, rows.stop, (width_of(line, tab_width) for line in lines))
        if self._rows is not None:
            width, tab_width, counts = self._rows
            counts.replace(rows.start, rows.stop, _row_counts(lines, width, tab_width))

    def _clamped(self, location: Location) -> Location:
        row, column = location
        if row >= len(self._lines):
            return self.end
        return max(0, row), min(max(0, column), len(self._lines[row]))


class Held(str):
    """A text that was removed, together with its rows.

    Putting it back restores the same rows, even where an edit had brought a \\r and a \\n together
    that counted as two line endings before.
    """

    lines: tuple[str, ...]
    ends: tuple[str, ...]

    @classmethod
    def of(cls, lines: list[str], ends: list[str]) -> Held:
        """Make the text of such rows."""
        held = cls("".join([part for pair in zip(lines, ends, strict=True) for part in pair]))
        held.lines, held.ends = tuple(lines), tuple(ends)
        return held

    def rows(self) -> tuple[list[str], list[str]]:
        """Return its lines, and their endings."""
        return list(self.lines), list(self.ends)


def _row_counts(lines: list[str], width: int, tab_width: int) -> Iterable[int]:
    return (row_count(line, width, tab_width) for line in lines) if width else repeat(1, len(lines))


def _split(text: str) -> tuple[list[str], list[str]]:
    parts = LINE_END.split(text)
    return parts[0::2], [*parts[1::2], ""]
