"""The syntax tree of a text being edited, and its highlights.

The text is parsed in slices of time, since Tree-sitter holds the interpreter lock while it parses:
in 50,000 lines of Python an edit takes it 5 to 60 ms, the first parse 0.2 s, and one `\"\"\"` at
the top 3 s. Until the tree is ready, rows keep their old colours, moved along with their text. Only
rows that are asked for are queried, a block at a time, and of a very long row only a part.

Knows lines, bytes and trees; nothing of styles, files or screens.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from textual.document._document import Location
from textual.widgets import TextArea
from tree_sitter import Language, Node, Parser, Point, Query, QueryCursor, QueryError, Range, Tree

from dgedit.text.languages import grammar_of, language_of, query_of
from dgedit.text.prefix_sums import Tally

LINE_END = re.compile(r"(\r\n|\n|\r)")

# Texts of up to this many bytes are parsed before they are drawn: 4 ms from scratch. Where more
# rows have changed, as several cursors do it, the colours move along and parsing waits for a pause.
_SMALL = 40_000
_FEW = 24
# Seconds after which parsing such a text goes on in slices after all.
_AT_ONCE = 0.01

# Rows whose syntax is queried together.
_BLOCK = 64
# A row of more bytes is queried on its own, this many characters around what is drawn.
_LONG = 2048

# Bytes passed to the parser at a time, as a copy: a bytearray with an exported view cannot grow.
_CHUNK = 4096

Highlight = tuple[int, int | None, str]
"""First column, column after the last (None: to the line's end), name."""

DraftSyntax = tuple[tuple[Highlight, ...], ...]
"""The highlights of each line of a draft, in columns of that line."""


class Syntax(NamedTuple):
    """A language's grammar and highlight query."""

    language: Language
    """The grammar."""
    query: Query
    """The query that assigns names to nodes."""


def syntax_of(path: Path) -> Syntax | None:
    """Return the syntax of a file by its name; None if unknown."""
    name = language_of(path)
    return _load_syntax(name) if name else None


class Parse:
    """The syntax tree of some lines.

    For the parser, each line ends in one newline, and characters that UTF-8 cannot hold are
    question marks.
    """

    def __init__(self, syntax: Syntax, lines: list[str]) -> None:
        self._lines = lines
        self.syntax = syntax
        self._query = syntax.query
        self._parser = Parser(syntax.language)
        text = "\n".join(lines)
        self._source = bytearray(_encode(text))
        plain = len(self._source) == len(text)
        self._bytes = Tally((len(line) if plain else len(_encode(line))) + 1 for line in lines)
        self._tree: Tree | None = None
        self.current = False
        """True if the tree matches the present text."""
        self._known: dict[int, list[Highlight]] = {}
        self._parts: dict[int, tuple[int, int]] = {}  # the queried columns of long rows
        # For long rows: the known highlights, their starts, and the furthest end up to each.
        self._order: dict[int, tuple[list[Highlight], list[int], list[int]]] = {}
        self._touched: set[int] = set()  # rows edited since the last tree

    def point(self, location: Location) -> Point:
        """Convert a location to the parser's row and byte column."""
        row, column = location
        return Point(row, len(_encode(self._lines[row][:column])))

    def edited(self, start: Point, stop: Point, left: int, right: int, text: str) -> None:
        """Follow an edit: `text`, with newlines as line endings, replaced what was between two
        points, which are in the columns `left` and `right`.
        """
        data = _encode(text)
        parts = data.split(b"\n")
        first = self._bytes.before(start.row) + start.column
        last = self._bytes.before(stop.row) + stop.column
        sizes = [len(part) + 1 for part in parts]
        sizes[-1] += self._bytes[stop.row] - 1 - stop.column
        sizes[0] += start.column
        self._source[first:last] = data
        self._bytes.replace(start.row, stop.row + 1, sizes)
        end = Point(
            start.row + len(parts) - 1, len(parts[-1]) + (start.column if len(parts) == 1 else 0)
        )
        self._parser.reset()
        self.current = False
        self._move(start.row, stop.row, left, right, text)
        if self._tree is not None:
            self._tree.edit(
                start_byte=first,
                old_end_byte=last,
                new_end_byte=first + len(data),
                start_point=start,
                old_end_point=stop,
                new_end_point=end,
            )

    def step(self, seconds: float) -> bool:
        """Parse for some seconds; return whether the tree is current then."""
        if not self.current:
            until = perf_counter() + seconds
            stop = partial(_is_late, until)
            old, source = self._tree, self._source

            # A tree keeps what it was read by: if that knew us, nobody could ever let us go.
            def read(offset: int, point: Point) -> bytes:
                return bytes(source[offset : offset + _CHUNK])

            try:
                if old is None:
                    self._tree = self._parser.parse(read, progress_callback=stop)
                else:
                    self._tree = self._parser.parse(read, old, progress_callback=stop)
                    self._forget(old.changed_ranges(self._tree))
            except ValueError:  # raised when stopped; the next call resumes
                return False
            self.current = True
        return True

    def highlights(self, row: int, left: int = 0, right: int = 0) -> list[Highlight]:
        """Return the highlights of a row, outer nodes first; of a long row, those between two
        columns.
        """
        small = len(self._source) <= _SMALL and len(self._touched) <= _FEW
        if not self.current and small:
            self.step(_AT_ONCE)
        if self.current and not self._knows(row, left, right):
            if self._bytes[row] > _LONG:
                self._parts[row] = part = max(0, left - _LONG), right + _LONG
                self._known[row] = self._found(row, row + 1, *part).get(row, [])
            else:
                self._learn(row // _BLOCK * _BLOCK)
        found = self._known.get(row, [])
        return self._between(row, found, left, right) if row in self._parts else found

    @property
    def begun(self) -> bool:
        """True once there has been a tree."""
        return self._tree is not None

    @property
    def tree(self) -> Tree:
        """The tree of the present text; parses to the end if need be."""
        while not self.step(1):
            pass
        assert self._tree is not None
        return self._tree

    def around(self, first: Location, last: Location) -> Iterator[tuple[Location, Location]]:
        """Return where the parts of the text are that hold what is between two places, from the
        inside.
        """
        node: Node | None = self.tree.root_node.descendant_for_point_range(
            self.point(first), self.point(last)
        )
        while node is not None:
            (top, left), (bottom, right) = node.start_point, node.end_point
            yield (top, self._column(top, left)), (bottom, self._column(bottom, right))
            node = node.parent

    def _forget(self, changed: list[Range]) -> None:
        """Drop the highlights of edited rows, and of rows where the tree has changed."""
        for found in changed:
            self._touched.update(range(found.start_point.row, found.end_point.row + 1))
        for row in self._touched & self._known.keys():
            del self._known[row]
        for row in self._touched & self._parts.keys():
            del self._parts[row]
            self._order.pop(row, None)
        self._touched.clear()

    def _knows(self, row: int, left: int, right: int) -> bool:
        if row not in self._known:
            return False
        known = self._parts.get(row)
        return known is None or (known[0] <= left and right <= known[1])

    def _learn(self, top: int) -> None:
        """Query a block, except its long rows."""
        bottom = min(top + _BLOCK, len(self._lines))
        start = top
        for row in range(top, bottom + 1):
            if row == bottom or row in self._known or self._bytes[row] > _LONG:
                if start < row:
                    found = self._found(start, row)
                    self._known |= {at: found.get(at, []) for at in range(start, row)}
                start = row + 1

    def _between(self, row: int, found: list[Highlight], left: int, right: int) -> list[Highlight]:
        """Return the highlights of a long row that overlap the columns: a few of hundreds."""
        if row not in self._order or self._order[row][0] is not found:
            begins = [begin for begin, _, _ in found]
            ends = [len(self._lines[row]) if end is None else end for _, end, _ in found]
            self._order[row] = found, begins, list(accumulate(ends, max))
        _, begins, furthest = self._order[row]
        some = found[bisect_right(furthest, left) : bisect_left(begins, right)]
        return [one for one in some if one[1] is None or one[1] > left]

    def _found(
        self, top: int, bottom: int, left: int = 0, right: int = 0
    ) -> dict[int, list[Highlight]]:
        """Query rows `top` up to but not including `bottom`; with `right`, columns of one row."""
        assert self._tree is not None
        cursor = QueryCursor(self._query)
        if right:
            cursor.set_point_range(self.point((top, left)), self.point((top, right)))
        else:
            cursor.set_point_range(Point(top, 0), Point(bottom, 0))
        nodes = sorted(
            (node.start_byte, -node.end_byte, pattern, name, *node.start_point, *node.end_point)
            for pattern, captures in cursor.matches(self._tree.root_node)
            for name, nodes in captures.items()
            for node in nodes
        )
        found: dict[int, list[Highlight]] = {}
        for _, _, _, name, first, left, last, right in nodes:
            for row in range(max(first, top), min(last, bottom - 1) + 1):
                begin = self._column(row, left) if row == first else 0
                end = self._column(row, right) if row == last else None
                if end != 0:
                    found.setdefault(row, []).append((begin, end, name))
        return found

    def _column(self, row: int, byte: int) -> int:
        line = self._lines[row] if row < len(self._lines) else ""
        return byte if line.isascii() else len(_encode(line)[:byte].decode("utf-8", "ignore"))

    def _move(self, top: int, bottom: int, left: int, right: int, text: str) -> None:
        """Move the highlights of known rows along with their text."""
        new = text.split("\n")
        down = len(new) - 1 - (bottom - top)
        self._touched = {row + down if row > bottom else row for row in self._touched}
        self._touched.update(range(top, top + len(new)))
        if down or top != bottom:
            self._parts.clear()
            self._order.clear()
        elif top in self._known and top in self._parts:
            more = len(text) - (right - left)
            self._parts[top] = self._parts[top][0], self._parts[top][1] + more
        self._known = moved(self._known, top, bottom, left, right, new)


def moved(
    known: dict[int, list[Highlight]], top: int, bottom: int, left: int, right: int, new: list[str]
) -> dict[int, list[Highlight]]:
    """Return the highlights of rows once lines have replaced what was between two places: rows
    `top` and `bottom`, columns `left` and `right`. May change what it is given.
    """
    down = len(new) - 1 - (bottom - top)
    if down or top != bottom:
        head: list[Highlight] = [
            (begin, left if end is None or end > left else end, name)
            for begin, end, name in known.get(top, ())
            if begin < left
        ]
        tail = _shifted(known.get(bottom, []), right, len(new[-1]) - right)
        if len(new) == 1:
            head += _shifted(tail, 0, left)
        after = {row: found for row, found in known.items() if row < top}
        after |= {row + down: found for row, found in known.items() if row > bottom}
        if len(new) > 1:
            after[bottom + down] = tail
        return after | {top: head}
    if top in known:
        more = len(new[0]) - (right - left)
        known[top] = [
            (_later(begin, left, right, more), end and _later(end, left, right, more), name)
            for begin, end, name in known[top]
        ]
    return known


def _is_late(until: float, offset: int, failed: bool) -> bool:
    return perf_counter() > until


def _later(column: int, left: int, right: int, more: int) -> int:
    """Return where a column is after an edit between two others."""
    return column + more if column >= right else min(column, left)


def _shifted(found: list[Highlight], start: int, by: int) -> list[Highlight]:
    """Return the highlights right of a column, moved by a distance."""
    return [
        (max(begin, start) + by, end and end + by, name)
        for begin, end, name in found
        if end is None or end > start
    ]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@lru_cache
def _load_syntax(name: str) -> Syntax | None:
    language = grammar_of(name)
    query = language and (TextArea._get_builtin_highlight_query(name) or query_of(name))
    try:
        return Syntax(language, Query(language, query)) if language and query else None
    except QueryError:  # it is for another version of the grammar
        return None
