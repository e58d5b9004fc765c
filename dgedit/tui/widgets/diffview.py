"""Show a unified diff on a screen of its own.

Lines are distinguished by their first column as well as by colour. Read only. Knows lines, which
`text/readable_diff.py` makes of a diff.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from dgedit.text.readable_diff import AROUND
from dgedit.text.visible import visible
from dgedit.tui.widgets.dialogs import Modal

_FILE = "━"
"""The first character of a line that names a file."""


class DiffView(Modal[None]):
    """Shows a diff until a key closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "close"),
        Binding("n", "change(1)", "next change"),
        Binding("p", "change(-1)", "previous change"),
    ]
    DEFAULT_CSS = """
    DiffView { align: center middle; background: $background 60%; }
    DiffView Vertical { width: 94%; height: 92%; background: $surface; border: round $primary; }
    DiffView Static { height: 1; padding: 0 1; color: $text-muted; }
    DiffView .title { color: $text; text-style: bold; }
    """

    KEYS = "↑ ↓ PgUp PgDn scroll   N next change   P previous   Esc close"
    """The help at the bottom."""

    def __init__(self, title: str, lines: Iterable[str]) -> None:
        """Take the lines of `diff_lines`, or of `file_line` and `hunks_of`."""
        super().__init__()
        self.heading, self.lines = title, list(lines)

    def compose(self) -> ComposeResult:
        """Lay out the title, the lines and the keys."""
        with Vertical():
            yield Static(self._title(), classes="title")
            yield _Lines(self.lines)
            yield Static(self.KEYS)

    def on_mount(self) -> None:
        """Focus the lines."""
        self.query_one(_Lines).focus()

    def show(self, lines: Iterable[str], at: int) -> None:
        """Show other lines, and scroll to the one at index `at`."""
        self.lines = list(lines)
        self.query_one(".title", Static).update(self._title())
        view = self.query_one(_Lines)
        view.show(self.lines)
        top, height = round(view.scroll_target_y), view.size.height
        if not top <= at < top + height - AROUND:
            view.scroll_to(y=at, animate=False)

    def _title(self) -> Content:
        added, removed = (sum(line[:1] == sign for line in self.lines) for sign in "+-")
        return Content(f"{visible(self.heading)}   +{added} −{removed}")

    def action_change(self, by: int) -> None:
        """Go to the next or the previous change."""
        view = self.query_one(_Lines)
        heads = [y for y, line in enumerate(self.lines) if line.startswith("@@")]
        here = round(view.scroll_target_y)
        if by > 0:
            there = next((y for y in heads if y > here), None)
        else:
            there = next((y for y in reversed(heads) if y < here), None)
        if there is not None:
            view.scroll_to(y=there, animate=False)


class _Lines(ScrollView, can_focus=True):
    """The lines of the diff; only visible ones are drawn, so that a long diff opens at once."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"diff--added", "diff--removed", "diff--head"}
    DEFAULT_CSS = """
    _Lines { height: 1fr; background: $surface; scrollbar-size-vertical: 1; }
    _Lines > .diff--added { color: $text-success; background: $success 15%; }
    _Lines > .diff--removed { color: $text-error; background: $error 15%; }
    _Lines > .diff--head { color: $text-primary; text-style: bold; }
    """
    _KINDS: ClassVar[dict[str, str]] = {"+": "added", "-": "removed", "@": "head", _FILE: "head"}

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.show(lines)

    def show(self, lines: list[str]) -> None:
        """Show these lines."""
        self.lines = lines
        widths = (len(line) if line.isascii() else cell_len(line) for line in lines)
        self.virtual_size = Size(max(widths, default=0) + 1, len(lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Render one line, coloured to the right edge by its kind."""
        left, top = self.scroll_offset
        if y + top >= len(self.lines):
            return Strip.blank(self.size.width, self.rich_style)
        line = self.lines[y + top]
        kind = self._KINDS.get(line[:1])
        style = self.get_component_rich_style(f"diff--{kind}") if kind else Style()
        strip = Strip([Segment(line, self.rich_style + style)])
        return strip.crop_extend(left, left + self.size.width, self.rich_style + style)


def file_line(name: str) -> str:
    """Return the line above a file's hunks."""
    return f"{_FILE * 2} {visible(name)}"
