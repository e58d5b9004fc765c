"""The bars below the text for finding, replacing, and going to a line.

Each always exists and is only shown when needed, so that letters typed right after its key arrive
in it. Knows fields and switches; `finding.py` searches.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from dgedit.text.visible import visible
from dgedit.tui.widgets.search_form import Field, Searcher, SearchForm, key


class MatchFinder(Searcher, Protocol):
    """The finder, as the bars call it."""

    def step(self, by: int) -> None:
        """Go to the next match, or the previous one."""

    def replace_one(self) -> None:
        """Replace the selected match."""

    def leave_line(self, *, stay: bool) -> None:
        """Close the line bar; `stay` keeps the new position."""


class FindBar(SearchForm):
    """The query and, when replacing, the replacement."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "close", "back to the text"),
        key("down", "step(1)", "next"),
        key("shift+enter,up", "step(-1)", "previous"),
        key("alt+a", "replace_all", "replace all"),
        key("tab", "other_field(1)", "next field"),
        key("shift+tab", "other_field(-1)", "previous field"),
    ]

    class Asked(Message):
        """The query has changed."""

    def __init__(self, finder: MatchFinder) -> None:
        what = Field("find", partial(finder.step, 1))
        by = Field("replace by", finder.replace_one)
        super().__init__(finder, what, by, lambda: self.post_message(self.Asked()))
        self._finder = finder
        # Kept, not looked up: a search may end when the screen is gone.
        self._count = Static(classes="count")
        self._wrong = Static(classes="wrong")

    def compose(self) -> ComposeResult:
        """Lay out a row to find and one to replace; errors are above, so that the rows stay in
        place.
        """
        yield self._wrong
        with Horizontal():
            yield Static("Find    ", classes="name")
            yield self.what
            yield self.switches
            yield self._count
        with Horizontal(classes="replace"):
            yield Static("Replace ", classes="name")
            yield self.by
            yield Static("Enter one · Alt+A all", classes="keys")

    def open(self, text: str, *, replacing: bool) -> None:
        """Show the bar, with a text to find if it is not empty."""
        self.display = True
        self.set_class(replacing, "-replacing")
        with self.prevent(Input.Changed):
            self.what.value = text or self.what.value
        self.what.action_select_all()
        self.screen.set_focus(self.what)

    def tell(self, words: str, *, bad: bool = False) -> None:
        """Show the number of matches."""
        self._count.update(Content(words))
        self._count.set_class(bad, "-bad")
        self._wrong.display = False

    def complain(self, words: str) -> None:
        """Show why nothing is found or replaced."""
        self.tell("")
        self._wrong.update(Content(visible(words)))
        self._wrong.display = True

    def action_step(self, by: int) -> None:
        """Go to the next match, or the previous one."""
        self._finder.step(by)


class LineBar(Horizontal):
    """The bar that asks for a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "leave", "back to where you were"),
    ]

    class Typed(Message):
        """The field has changed."""

    def __init__(self, finder: MatchFinder) -> None:
        super().__init__()
        self._finder = finder
        self.field = Field("12   12:5   +5   -5", partial(finder.leave_line, stay=True))

    def compose(self) -> ComposeResult:
        """Lay out a field, and an error beside it."""
        yield Static("Line    ", classes="name")
        yield self.field
        yield Static(classes="count")

    def on_mount(self) -> None:
        """Hide the bar at first."""
        self.display = False

    def open(self) -> None:
        """Show the bar."""
        self.display = True
        with self.prevent(Input.Changed):
            self.field.value = ""
        self.tell("")
        self.screen.set_focus(self.field)

    def action_leave(self) -> None:
        """Return to the position before."""
        self._finder.leave_line(stay=False)

    def tell(self, words: str) -> None:
        """Show what is wrong."""
        self.query_one(".count", Static).update(Content(words))

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self.post_message(self.Typed())
