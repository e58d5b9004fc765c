"""Places in files, each below its file's name.

Only the rows in view are drawn, and so ten thousand places take no longer than ten. Knows rows;
what becomes of a place that is chosen is its owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dgedit.files.searching import FileHits
from dgedit.text.search import Hit
from dgedit.text.visible import visible
from dgedit.tui.widgets.search_form import key

# Rows that a page key goes.
_PAGE = 10


class Places(ScrollView, can_focus=True):
    """The places, each below its file's name."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "places--file",
        "places--number",
        "places--found",
        "places--cursor",
    }
    DEFAULT_CSS = """
    Places { height: 1fr; min-height: 2; scrollbar-size-vertical: 1; background: $background; }
    Places > .places--file { color: $primary; text-style: bold; }
    Places > .places--number { color: $foreground 40%; }
    Places > .places--found { color: $foreground; background: $warning 30%; text-style: underline; }
    Places > .places--cursor { background: $primary 30%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up", "move(-1)", "up"),
        key("down", "move(1)", "down"),
        key("pageup", f"move(-{_PAGE})", "further up"),
        key("pagedown", f"move({_PAGE})", "further down"),
        key("home", f"move(-{10**9})", "first"),
        key("end", f"move({10**9})", "last"),
        key("enter", "choose", "go there", show=True),
    ]

    def __init__(self, choose: Callable[[str, Hit], None]) -> None:
        """Take what goes to a place, given its file's name."""
        super().__init__()
        self.files: list[FileHits[Hit]] = []
        """What was found, in the order of the files."""
        self._choose = choose
        self._rows: list[tuple[FileHits[Hit], Hit | None]] = []  # None: the file's name
        self._at = 1

    @property
    def count(self) -> int:
        """How many places there are."""
        return len(self._rows) - len(self.files)

    def show(self, files: Iterable[FileHits[Hit]]) -> None:
        """Show these instead."""
        self.files, self._rows = [], []
        self.extend(files)

    def extend(self, files: Iterable[FileHits[Hit]]) -> None:
        """Show these as well."""
        for one in files:
            self.files.append(one)
            self._rows += [(one, None), *((one, hit) for hit in one.hits)]
        self._at = max(1, min(self._at, len(self._rows) - 1))
        self.virtual_size = Size(0, len(self._rows))
        self.refresh()

    def begin(self) -> None:
        """Show none, and let the first be the one to go to."""
        self._at = 1
        self.show([])
        self.scroll_to(y=0, animate=False)

    def action_move(self, by: int) -> None:
        """Go up or down; from the first place, to the field above."""
        at = max(0, min(self._at + by, len(self._rows) - 1))
        if self._rows and self._rows[at][1] is None:
            at += 1 if by > 0 or at == 0 else -1
        if at == self._at and by == -1:
            self.screen.focus_previous()
        self._at = at
        top = round(self.scroll_y)
        if not top < at < top + self.size.height:
            self.scroll_to(y=max(0, at - self.size.height // 2), animate=False)
        self.refresh()

    def action_choose(self) -> None:
        """Go to the place at the cursor."""
        if self._at < len(self._rows):
            file, hit = self._rows[self._at]
            self._choose(file.name, hit or file.hits[0])

    def on_click(self, event: events.Click) -> None:
        """Go to the place that is clicked on."""
        at = event.y + round(self.scroll_y)
        if at < len(self._rows):
            self._at = at
            self.refresh()
            self.action_choose()

    def _style(self, name: str) -> Style:
        """Return what a class of the style sheet adds, its colours blended with the ground."""
        added = self.get_component_rich_style(f"places--{name}", partial=True)
        whole = self.get_component_rich_style(f"places--{name}")
        color = whole.color if added.color else None
        return added + Style(color=color, bgcolor=whole.bgcolor if added.bgcolor else None)

    def render_line(self, y: int) -> Strip:
        """Draw a file's name, or a line with a place in it."""
        width, at = self.scrollable_content_region.width, y + round(self.scroll_y)
        base = self.rich_style
        if at >= len(self._rows):
            return Strip.blank(width, base)
        if at == self._at and self.has_focus:
            base += self._style("cursor")
        file, hit = self._rows[at]
        if hit is None:
            style = base + self._style("file")
            words = f"{visible(file.name)}  {len(file.hits):,}"
            return Strip([Segment(words, style)]).crop_extend(0, width, base)
        number = base + self._style("number")
        found = base + self._style("found")
        several = hit.end[0] > hit.start[0]
        end = len(hit.line) if several else hit.at + hit.end[1] - hit.start[1]
        parts = (
            (f"{hit.start[0] + 1:>6} ", number),
            (hit.line[: hit.at], base),
            (hit.line[hit.at : end], found),
            (hit.line[end:], base),
        )
        segments = [Segment(visible(text.replace("\t", " ")), style) for text, style in parts]
        return Strip(segments).crop_extend(0, width, base)
