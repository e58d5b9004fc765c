"""The panel that the project is searched in: what to find, what to put there, in which files; below
them all places, file by file.

Only the rows in view are drawn, and so ten thousand places take no longer than ten. Knows fields
and rows; what is found, and what becomes of a place that is chosen, is `project_search.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from dgedit.files.searching import FileHits
from dgedit.text.search import Hit, Query
from dgedit.text.visible import visible
from dgedit.tui.widgets.find_bar import Field, Switches

# Rows that a page key goes.
_PAGE = 10


def _key(keys: str, action: str, words: str, *, show: bool = False) -> Binding:
    """Bind a key; `show`: the row of keys has it."""
    return Binding(keys, action, words, show=show)


class Searcher(Protocol):
    """What the panel asks for, at once, as the find bar does."""

    def ask(self) -> None:
        """Find what the panel asks for now."""

    def choose(self, name: str, hit: Hit) -> None:
        """Go to a place."""

    def replace_all(self) -> None:
        """Show what replacing would change, and ask whether to."""

    def close(self) -> None:
        """Close the panel."""

    def to_text(self) -> None:
        """Go back to the text."""


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
        _key("up", "move(-1)", "up"),
        _key("down", "move(1)", "down"),
        _key("pageup", f"move(-{_PAGE})", "further up"),
        _key("pagedown", f"move({_PAGE})", "further down"),
        _key("home", f"move(-{10**9})", "first"),
        _key("end", f"move({10**9})", "last"),
        _key("enter", "choose", "go there", show=True),
    ]

    def __init__(self, search: Searcher) -> None:
        super().__init__()
        self.files: list[FileHits[Hit]] = []
        """What was found, in the order of the files."""
        self._search = search
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
            self._search.choose(file.name, hit or file.hits[0])

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


class SearchPanel(Vertical):
    """What is to be found in the project, and where it is."""

    DEFAULT_CSS = """
    SearchPanel { height: 50%; max-height: 30; min-height: 7; background: $surface; }
    SearchPanel > Horizontal { height: 1; padding: 0 1; }
    SearchPanel > Static { height: 1; padding: 0 1; color: $text-muted; }
    SearchPanel > .-bad { color: $text-warning; text-style: bold; }
    SearchPanel Horizontal Static { width: auto; color: $text-muted; }
    SearchPanel Horizontal .name { color: $primary; }
    SearchPanel Input {
        width: 1fr; min-width: 10; border: none; height: 1; padding: 0; background: $background;
    }
    SearchPanel Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("escape", "close", "close", show=True),
        _key("down", "to_places", "to the places"),
        _key("alt+r", "switch('regex')", "expression or plain text"),
        _key("alt+c", "switch('case')", "heed capitals, or no longer"),
        _key("alt+w", "switch('words')", "whole words only, or no longer"),
        _key("alt+a", "replace_all", "replace all", show=True),
        _key("tab", "other_field(1)", "next field", show=True),
        _key("shift+tab", "other_field(-1)", "previous field"),
    ]

    def __init__(self, search: Searcher) -> None:
        super().__init__()
        self._search = search
        self.what = Field("find in the project", self.action_to_places)
        self.by = Field("replace by", search.replace_all)
        self.where = Field("all files; or *.py src/ !tests", self.action_to_places)
        self.places = Places(search)
        self._switches, self._told = Switches(), Static()

    def compose(self) -> ComposeResult:
        """Yield a row for each field, one that says how many there are, and the places."""
        with Horizontal():
            yield Static("Search  ", classes="name")
            yield self.what
            yield self._switches
        with Horizontal():
            yield Static("Replace ", classes="name")
            yield self.by
            yield Static(" Alt+A look at all, and replace")
        with Horizontal():
            yield Static("Files   ", classes="name")
            yield self.where
        yield self._told
        yield self.places

    def on_mount(self) -> None:
        """Not yet."""
        self.display = False

    def on_resize(self) -> None:
        """Say the keys of the switches where there is room."""
        self._switches.show()

    @property
    def query_asked(self) -> Query:
        """What is to be found."""
        return replace(self._switches.chosen, text=self.what.value)

    def open(self, query: Query | None, where: str | None = None) -> None:
        """Show the panel, with something to find, and where, if that is given."""
        self.display = True
        with self.prevent(Input.Changed):
            if query is not None:
                self.what.value, self._switches.chosen = query.text, replace(query, text="")
            if where is not None:
                self.where.value = where
        self._switches.show()
        self.what.action_select_all()
        self.screen.set_focus(self.what)

    def enter(self) -> None:
        """Go to the panel as it is: to the places, if there are any."""
        self.screen.set_focus(self.places if self.places.count else self.what)

    def tell(self, words: str, *, bad: bool = False) -> None:
        """Say how many there are, or what is wrong."""
        self._told.update(Content(visible(words)))
        self._told.set_class(bad, "-bad")

    def action_close(self) -> None:
        """Close the panel."""
        self._search.close()

    def action_to_places(self) -> None:
        """Go to the places."""
        self.screen.set_focus(self.places)

    def action_switch(self, name: str) -> None:
        """Turn one of the switches."""
        self._switches.turn(name)
        self._search.ask()

    def action_replace_all(self) -> None:
        """Replace all, after a look."""
        self._search.replace_all()

    def action_other_field(self, by: int) -> None:
        """Go to the next field, the places being the last, and from there to the text."""
        fields = [self.what, self.by, self.where, self.places]
        at = next(i for i, field in enumerate(fields) if field.has_focus) + by
        if 0 <= at < len(fields):
            self.screen.set_focus(fields[at])
        else:
            self._search.to_text()

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input is not self.by:
            self._search.ask()
