"""One row of the editor as styled text.

What a piece of a draft is shows in its attributes, so that it shows without colour too: a settled
piece is bold, one that may still change is dim and italic, one that the last step changed is
underlined. Colour only repeats it.

Knows runs, cells and styles; nothing of files, keys or steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.document._document import Location

from dgedit.tui.buffer import Highlight
from dgedit.tui.overlay import Kind, Rows, Run

_COLORS = {
    "#565f89": "comment",
    "#9ece6a": "string inline_code markup.raw text.literal",
    "#ff9e64": "number float boolean constant escape string.escape json.null toml.datetime",
    "#bb9af7": "keyword conditional repeat exception include storageclass preproc attribute",
    "#7aa2f7": "function method heading markup.heading list.marker",
    "#2ac3de": "type constructor namespace label",
    "#7dcfff": "property field json.label yaml.field css.property toml.type link markup.link",
    "#89ddff": "operator punctuation",
    "#f7768e": "tag variable.builtin error",
    "#e0af68": "parameter variable.parameter",
}
_SYNTAX = {name: Style(color=color) for color, names in _COLORS.items() for name in names.split()}
_SYNTAX |= {
    "bold": Style(bold=True),
    "italic": Style(italic=True),
    "strikethrough": Style(strike=True),
}


@dataclass(frozen=True, slots=True)
class Ink:
    """The styles that the style sheet gives."""

    base: Style
    """The editor itself."""
    cursor: Style
    """The cell of the cursor."""
    cursor_line: Style
    """The row of the cursor."""
    selection: Style
    """What is selected."""
    bracket: Style
    """The bracket at the cursor and its partner."""
    hole: Style
    """Masked text before its first draft."""
    draft: Style
    """A piece that may still change."""
    settled: Style
    """A piece that was accepted."""
    changed: Style
    """Added to either when the last step changed it."""


class Painted:
    """A row being painted."""

    def __init__(self, runs: Sequence[Run], rows: Rows) -> None:
        self._rows = rows
        self._placed: list[tuple[Run, int, int, int]] = []
        plain, x = "", 0
        for run in runs:
            shown = rows.shown(run.text, x)
            self._placed.append((run, len(plain), len(plain) + len(shown), x))
            plain += shown
            x += cell_len(shown)
        self.text = Text(plain, end="", no_wrap=True)

    def lay_ground(self, style: Style) -> None:
        """Style the whole row."""
        self.text.stylize(style)

    def lay_runs(self, ink: Ink, highlights: dict[int, list[Highlight]]) -> None:
        """Style every run by what it is, and the document's text by its syntax."""
        for run, start, end, _ in self._placed:
            if run.kind.held:
                row, left = run.at
                for begin, stop, name in highlights.get(row, ()):
                    right = left + len(run.text) if stop is None else stop
                    if style := syntax_style(name):
                        self.lay_range(style, (row, begin), (row, right))
            if run.kind is not Kind.TEXT:
                style = {Kind.HOLE: ink.hole, Kind.SETTLED: ink.settled}.get(run.kind, ink.draft)
                self.text.stylize(style + ink.changed if run.changed else style, start, end)

    def lay_range(self, style: Style, start: Location, end: Location) -> None:
        """Style what the document holds between two locations."""
        for run, at, _, x in self._placed:
            if not run.kind.held:
                continue
            row, left = run.at
            first = start[1] - left if row == start[0] else 0 if row > start[0] else len(run.text)
            last = end[1] - left if row == end[0] else len(run.text) if row < end[0] else 0
            first, last = max(0, first), min(last, len(run.text))
            if first < last:
                shown = [len(self._rows.shown(run.text[:column], x)) for column in (first, last)]
                self.text.stylize(style, at + shown[0], at + shown[1])

    def lay_cell(self, style: Style, x: int) -> None:
        """Style one cell, which may be right of the text."""
        plain = self.text.plain
        width = cell_len(plain)
        if width <= x:
            self.text.append(" " * (x + 1 - width))
            at = len(plain) + x - width
        elif width == len(plain):
            at = x
        else:
            at = next(i for i in range(len(plain)) if cell_len(plain[: i + 1]) > x)
        self.text.stylize(style, at, at + 1)


@lru_cache(maxsize=256)
def syntax_style(name: str) -> Style | None:
    """The style of a syntax name, or of what it is a kind of: `function.method` is a `function`."""
    while name not in _SYNTAX:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return _SYNTAX[name]
