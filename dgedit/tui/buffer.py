"""The text being edited, line by line, each line with the ending it came with.

Textual's own document splits where Python does and joins with a single line ending, which rewrites
files that it was only meant to show. This one splits at newlines, carriage returns and the two
together, and its `text` is exact after any edit. Syntax is parsed when something is drawn, once for
any number of edits, and queried for the rows that are drawn.

Knows text and syntax trees; nothing of files, holes or screens.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, cast

from rich.cells import cell_len
from textual._tree_sitter import get_language
from textual.document._document import Document, EditResult, Location, Newline
from textual.geometry import Size
from textual.widgets import TextArea
from tree_sitter import Language, Parser, Query, QueryCursor, Tree

LINE_END = re.compile(r"(\r\n|\n|\r)")

# Above either, a keystroke with syntax colours takes longer than a tenth of a second.
_MANY_LINES = 10_000
_MANY_CHARACTERS = 1_000_000

_LANGUAGES = {
    "python": ".py .pyi",
    "markdown": ".md .markdown",
    "json": ".json",
    "toml": ".toml",
    "yaml": ".yaml .yml",
    "html": ".html .htm",
    "css": ".css",
    "javascript": ".js .mjs .cjs .jsx",
    "rust": ".rs",
    "go": ".go",
    "sql": ".sql",
    "java": ".java",
    "bash": ".sh .bash",
    "xml": ".xml .svg",
}
_BY_SUFFIX = {suffix: name for name, all_ in _LANGUAGES.items() for suffix in all_.split()}

Highlight = tuple[int, int | None, str]
"""First column, column after the last (None: to the line's end), name."""


class Syntax(NamedTuple):
    """What it takes to colour a language."""

    language: Language
    """The grammar."""
    query: Query
    """Which nodes have which name."""


def syntax_of(path: Path, text: str) -> Syntax | None:
    """The syntax of a file by its name; None when unknown, or when the text is too large for it."""
    name = _BY_SUFFIX.get(path.suffix.lower())
    if name is None or len(text) > _MANY_CHARACTERS or text.count("\n") > _MANY_LINES:
        return None
    return _load_syntax(name)


class Buffer(Document):
    """A text as lines and their endings, with its syntax tree."""

    def __init__(self, text: str, *, newline: str = "\n", syntax: Syntax | None = None) -> None:
        # Not the parent's constructor: it splits the text its own way.
        self._newline = cast(Newline, newline)
        self._lines, self._ends = _split(text)
        self._starts: list[int] | None = None
        self._parser = Parser(syntax.language) if syntax else None
        self._query = syntax.query if syntax else None
        self._tree: Tree | None = None
        self._parsed = False
        self.edited: Callable[[int, int, int], None] = lambda start, end, length: None
        """Called after each edit: code points `start` to `end` gave way to `length` others."""

    @property
    def text(self) -> str:
        """The exact text."""
        return "".join(
            [part for pair in zip(self._lines, self._ends, strict=True) for part in pair]
        )

    def get_size(self, tab_width: int) -> Size:
        """Width of the widest line in cells, and the number of lines."""
        widths = (
            len(line)
            if line.isascii() and "\t" not in line
            else cell_len(line.expandtabs(tab_width))
            for line in self._lines
        )
        return Size(max(widths), len(self._lines))

    def index(self, location: Location) -> int:
        """The offset of a location in `text`."""
        row, column = self._clamped(location)
        return self._line_starts()[row] + column

    def location(self, index: int) -> Location:
        """The location of an offset in `text`; inside a line ending, the line's end."""
        starts = self._line_starts()
        row = bisect_right(starts, index) - 1
        return row, min(index - starts[row], len(self._lines[row]))

    def get_index_from_location(self, location: Location) -> int:
        """As the parent names it."""
        return self.index(location)

    def get_location_from_index(self, index: int) -> Location:
        """As the parent names it."""
        return self.location(index)

    def get_text_range(self, start: Location, end: Location) -> str:
        """The text between two locations, line endings as they are."""
        (top, left), (bottom, right) = sorted((self._clamped(start), self._clamped(end)))
        if top == bottom:
            return self._lines[top][left:right]
        middle = (
            line + end
            for line, end in zip(self._lines[top:bottom], self._ends[top:bottom], strict=True)
        )
        return "".join(middle)[left:] + self._lines[bottom][:right]

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Put a text, line endings as they are, in the place of what is between two locations."""
        top, bottom = sorted((self._clamped(start), self._clamped(end)))
        replaced = self.get_text_range(top, bottom)
        first = self.index(top)
        mark = self._byte(top), self._point(top), self._byte(bottom), self._point(bottom)

        lines, ends = _split(text)
        lines[0] = self._lines[top[0]][: top[1]] + lines[0]
        result = EditResult((top[0] + len(lines) - 1, len(lines[-1])), replaced)
        lines[-1] += self._lines[bottom[0]][bottom[1] :]
        ends[-1] = self._ends[bottom[0]]
        self._lines[top[0] : bottom[0] + 1] = lines
        self._ends[top[0] : bottom[0] + 1] = ends
        self._starts = None

        self._edit_tree(*mark, result.end_location)
        self.edited(first, first + len(replaced), len(text))
        return result

    def highlights(self, top: int, bottom: int) -> dict[int, list[Highlight]]:
        """The syntax of rows `top` to `bottom`, the latter excluded; columns in code points."""
        if self._query is None or self._parser is None:
            return {}
        if not self._parsed:
            source = _encode("\n".join(self._lines))
            self._tree = (
                self._parser.parse(source, self._tree) if self._tree else self._parser.parse(source)
            )
            self._parsed = True
        assert self._tree is not None
        cursor = QueryCursor(self._query)
        cursor.set_point_range((top, 0), (bottom, 0))
        found: dict[int, list[Highlight]] = {}
        for name, nodes in cursor.captures(self._tree.root_node).items():
            for node in nodes:
                (first, left), (last, right) = node.start_point, node.end_point
                for row in range(max(first, top), min(last, bottom - 1) + 1):
                    begin = self._column(row, left) if row == first else 0
                    end = self._column(row, right) if row == last else None
                    found.setdefault(row, []).append((begin, end, name))
        return found

    def _clamped(self, location: Location) -> Location:
        row, column = location
        if row >= len(self._lines):
            return self.end
        return max(0, row), min(max(0, column), len(self._lines[row]))

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            lengths = map(int.__add__, map(len, self._lines), map(len, self._ends))
            self._starts = list(accumulate(lengths, initial=0))[:-1]
        return self._starts

    # To the parser, every line ends in one newline, and what UTF-8 cannot hold is a question mark.

    def _byte(self, location: Location) -> int:
        if self._tree is None:
            return 0
        return (
            sum(len(_encode(line)) + 1 for line in self._lines[: location[0]])
            + self._point(location)[1]
        )

    def _point(self, location: Location) -> tuple[int, int]:
        row, column = location
        return row, len(_encode(self._lines[row][:column]))

    def _column(self, row: int, byte: int) -> int:
        if row >= len(self._lines):
            return 0
        line = self._lines[row]
        return byte if line.isascii() else len(_encode(line)[:byte].decode("utf-8", "ignore"))

    def _edit_tree(
        self,
        start_byte: int,
        start_point: tuple[int, int],
        old_end_byte: int,
        old_end_point: tuple[int, int],
        end: Location,
    ) -> None:
        if self._tree is None:
            return
        self._tree.edit(
            start_byte=start_byte,
            old_end_byte=old_end_byte,
            new_end_byte=self._byte(end),
            start_point=start_point,
            old_end_point=old_end_point,
            new_end_point=self._point(end),
        )
        self._parsed = False


def _split(text: str) -> tuple[list[str], list[str]]:
    parts = LINE_END.split(text)
    return parts[0::2], [*parts[1::2], ""]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@lru_cache
def _load_syntax(name: str) -> Syntax | None:
    language = get_language(name)
    query = TextArea._get_builtin_highlight_query(name)
    return Syntax(language, Query(language, query)) if language and query else None
