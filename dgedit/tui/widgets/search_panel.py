"""The panel that the project is searched in: what to find, what to put there, in which files; below
them all places, file by file.

Knows fields and rows; what is found, and what becomes of a place that is chosen, is
`project_search.py`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from dgedit.text.search import Hit, Query
from dgedit.text.visible import visible
from dgedit.tui.widgets.places import Places
from dgedit.tui.widgets.search_form import Field, Searcher, SearchForm, key


class ProjectSearcher(Searcher, Protocol):
    """What the panel asks for."""

    def ask(self) -> None:
        """Find what the panel asks for now."""

    def choose(self, name: str, hit: Hit) -> None:
        """Go to a place."""


class SearchPanel(SearchForm):
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
        key("escape", "close", "close", show=True),
        key("down", "to_places", "to the places"),
        key("alt+a", "replace_all", "replace all", show=True),
        key("tab", "other_field(1)", "next field", show=True),
        key("shift+tab", "other_field(-1)", "previous field"),
    ]

    def __init__(self, search: ProjectSearcher) -> None:
        what = Field("find in the project", self.action_to_places)
        super().__init__(search, what, Field("replace by", search.replace_all), search.ask)
        self.where = Field("all files; or *.py src/ !tests", self.action_to_places)
        self.places = Places(search.choose)
        self._told = Static()

    def compose(self) -> ComposeResult:
        """Yield a row for each field, one that says how many there are, and the places."""
        with Horizontal():
            yield Static("Search  ", classes="name")
            yield self.what
            yield self.switches
        with Horizontal():
            yield Static("Replace ", classes="name")
            yield self.by
            yield Static(" Alt+A look at all, and replace")
        with Horizontal():
            yield Static("Files   ", classes="name")
            yield self.where
        yield self._told
        yield self.places

    def open(self, query: Query | None, where: str | None = None) -> None:
        """Show the panel, with something to find, and where, if that is given."""
        self.display = True
        with self.prevent(Input.Changed):
            if query is not None:
                self.what.value, self.switches.chosen = query.text, replace(query, text="")
            if where is not None:
                self.where.value = where
        self.switches.show()
        self.what.action_select_all()
        self.screen.set_focus(self.what)

    def enter(self) -> None:
        """Go to the panel as it is: to the places, if there are any."""
        self.screen.set_focus(self.places if self.places.count else self.what)

    def tell(self, words: str, *, bad: bool = False) -> None:
        """Say how many there are, or what is wrong."""
        self._told.update(Content(visible(words)))
        self._told.set_class(bad, "-bad")

    def action_to_places(self) -> None:
        """Go to the places."""
        self.screen.set_focus(self.places)
