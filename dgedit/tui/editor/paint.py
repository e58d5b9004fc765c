"""Paint one row of the editor as styled text.

The state of a draft's piece shows in its attributes, so that it is visible without colour: a
settled piece looks as the file's text does, one that may still change is italic, and dim the less
sure it is. One that the last step changed is underlined, and in the end an infill that may well be
wrong. Colour only repeats this.

Knows runs, cells and styles; nothing of files, keys or steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.document._document import Location

from dgedit.tui.editor.highlighting import Highlight
from dgedit.tui.editor.holes import Kind, Run
from dgedit.tui.editor.look import Ink
from dgedit.tui.editor.rows import Rows

# A run of blanks, or a tab.
_BLANKS = re.compile(r" +|\t")

# For a dark and for a light background; the latter have a contrast of at least 4.5 with white.
_COLORS = {
    ("#565f89", "#646a80"): "comment",
    ("#9ece6a", "#40700f"): "string inline_code markup.raw text.literal",
    (
        "#ff9e64",
        "#96480a",
    ): "number float boolean constant escape string.escape json.null toml.datetime",
    (
        "#bb9af7",
        "#7a3fc0",
    ): "keyword conditional repeat exception include storageclass preproc attribute",
    ("#7aa2f7", "#2257c4"): "function method heading markup.heading list.marker",
    ("#2ac3de", "#006a83"): "type constructor namespace label",
    (
        "#7dcfff",
        "#04627e",
    ): "property field json.label yaml.field css.property toml.type link markup.link",
    ("#89ddff", "#33657f"): "operator punctuation",
    ("#f7768e", "#b5264c"): "tag variable.builtin error",
    ("#e0af68", "#7d5500"): "parameter variable.parameter",
}
_PLAIN = {
    "bold": Style(bold=True),
    "italic": Style(italic=True),
    "strikethrough": Style(strike=True),
}
_DARK, _LIGHT = (
    {name: Style(color=pair[i]) for pair, names in _COLORS.items() for name in names.split()}
    | _PLAIN
    for i in range(2)
)


class Painted:
    """A row being painted, or the part of it from a cell on."""

    def __init__(self, runs: Sequence[Run], rows: Rows, left: int = 0) -> None:
        self._rows = rows
        self._left = left
        self._placed: list[tuple[Run, int, int, int]] = []
        plain, x = "", left
        for run in runs:
            shown = rows.shown(run.text, x)
            self._placed.append((run, len(plain), len(plain) + len(shown), x))
            plain += shown
            x += cell_len(shown)
        self.text = Text(plain, end="", no_wrap=True)
        self.width = x - left
        """The width of the row's own text in cells."""

    def lay_ground(self, style: Style) -> None:
        """Style the whole row."""
        self.text.stylize(style)

    def lay_runs(self, ink: Ink, highlights: Sequence[Sequence[Highlight]]) -> None:
        """Style every run by its syntax, and by its kind."""
        for (run, start, end, x), found in zip(self._placed, highlights, strict=True):
            left, size = run.at[1] if run.kind.held else 0, len(run.text)
            for begin, stop, name in found:
                first, last = max(0, begin - left), size if stop is None else min(size, stop - left)
                if first < last and (style := syntax_style(name, ink.dark)):
                    self._lay(style, run, start, x, first, last)
            if run.kind is not Kind.TEXT:
                style = ink.of(run.kind)
                if run.heat is not None:
                    style += ink.heat[run.heat]
                else:
                    style += ink.levels[run.level]
                    if run.changed:
                        style += ink.changed
                self.text.stylize(style + ink.marked if run.marked else style, start, end)

    def lay_ruler(self, style: Style, x: int, ground: Style) -> None:
        """Style one cell, up to which the row is filled up with its ground."""
        missing = x + 1 - self._left - self.text.cell_len
        if missing > 0:
            self.text.append(" " * missing, ground)
        self.lay_cell(style, x)

    def lay_blanks(self, style: Style, *, trailing: bool) -> None:
        """Draw blanks and tabs of the document as signs; `trailing`: those at the ends of lines."""
        signs = list(self.text.plain)
        for run, start, _, x in self._placed:
            text, (row, left) = run.text, run.at
            line = self._rows.document[row] if run.kind.held else ""
            if not run.kind.held or (trailing and left + len(text) < len(line)):
                continue
            for found in _BLANKS.finditer(text, len(text.rstrip(" \t")) if trailing else 0):
                at = start + len(self._rows.shown(text[: found.start()], x))
                count = len(found[0])
                signs[at : at + count] = "·" * count if found[0] != "\t" else "→"
                self.text.stylize(style, at, at + count)
        self.text.plain = "".join(signs)

    def lay_mark(self, style: Style, mark: str) -> None:
        """Add what stands for folded lines."""
        if mark:
            self.text.append(mark, style)

    def lay_range(self, style: Style, start: Location, end: Location) -> None:
        """Style the document's text between two locations."""
        for run, at, _, x in self._placed:
            if not run.kind.held:
                continue
            row, left = run.at
            first = start[1] - left if row == start[0] else 0 if row > start[0] else len(run.text)
            last = end[1] - left if row == end[0] else len(run.text) if row < end[0] else 0
            first, last = max(0, first), min(last, len(run.text))
            if first < last:
                self._lay(style, run, at, x, first, last)

    def _lay(self, style: Style, run: Run, at: int, x: int, first: int, last: int) -> None:
        if not (run.text.isascii() and run.text.isprintable()):
            first, last = (len(self._rows.shown(run.text[:one], x)) for one in (first, last))
        self.text.stylize(style, at + first, at + last)

    def lay_cell(self, style: Style, x: int) -> None:
        """Style one cell, which may be right of the text."""
        x -= self._left
        if x < 0:
            return
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
def syntax_style(name: str, dark: bool = True) -> Style | None:
    """Return the style of a syntax name, or of its nearest parent: `function.method` is a
    `function`.
    """
    styles = _DARK if dark else _LIGHT
    while name not in styles:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return styles[name]
