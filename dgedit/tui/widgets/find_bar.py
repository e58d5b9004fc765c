"""The bars below the text for finding, replacing, and going to a line.

Each always exists and is only shown when needed, so that letters typed right after its key arrive
in it. Knows fields and switches; `finding.py` searches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, Protocol

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from dgedit.text.search import Query
from dgedit.text.visible import visible
from dgedit.tui.terminal.keys import is_text
from dgedit.tui.widgets.line_input import LineInput

# From this many columns on, the switches show their keys.
_ROOMY = 80


def _key(keys: str, action: str, words: str) -> Binding:
    return Binding(keys, action, words, show=False)


class Search(Protocol):
    """The finder, as the bars call it. These are direct calls, not messages, as the next keys may
    be meant for the widget that then has the focus.
    """

    def step(self, by: int) -> None:
        """Go to the next match, or the previous one."""

    def replace_one(self) -> None:
        """Replace the selected match."""

    def replace_all(self) -> None:
        """Replace every match."""

    def close(self) -> None:
        """Close the find bar."""

    def to_text(self) -> None:
        """Move the focus to the text."""

    def leave_line(self, *, stay: bool) -> None:
        """Close the line bar; `stay` keeps the new position."""


class Field(LineInput):
    """A field of a bar. Keys are handled strictly in order, as in the text: those after Enter may
    belong to the widget that Enter moved the focus to.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("ctrl+v", "app.do('paste')", "paste"),
        _key("ctrl+a", "select_all", "select all"),
        _key("ctrl+f", "app.do('find')", "find"),
    ]

    def __init__(self, words: str, entered: Callable[[], None]) -> None:
        """Take the placeholder, and the function that Enter calls."""
        super().__init__(placeholder=words, select_on_focus=False)
        self._entered = entered

    async def action_submit(self) -> None:
        """Handle Enter."""
        self._entered()

    async def _on_key(self, event: events.Key) -> None:
        front = self.screen.focused
        if front is not None and front is not self:
            front.post_message(events.Key(event.key, event.character))
        elif is_text(event) or not (
            await self.app._check_bindings(event.key) or event.is_printable
        ):
            return  # the line input handles it
        event.stop()
        event.prevent_default()


class Switches(Static):
    """How it is to be found: as an expression, heeding capitals, as whole words."""

    def __init__(self) -> None:
        super().__init__(classes="switches")
        self.chosen = Query("")
        """Those that are on."""

    def turn(self, name: str) -> None:
        """Turn one of them."""
        on = self.chosen
        self.chosen = {
            "regex": replace(on, regex=not on.regex),
            "case": replace(on, case=not on.case),
            "words": replace(on, words=not on.words),
        }[name]
        self.show()

    def show(self) -> None:
        """Show which are on, with their keys where there is room."""
        parts: list[tuple[str, str]] = []
        for key, sign, is_on in (
            ("Alt+R", ".*", self.chosen.regex),
            ("Alt+C", "Aa", self.chosen.case),
            ("Alt+W", "word", self.chosen.words),
        ):
            parts.append((f" {key}" * (self.app.size.width >= _ROOMY), "$text-muted"))
            parts.append((f" {sign} ", "reverse bold" if is_on else "dim"))
        self.update(Content.assemble(*parts))


class FindBar(Vertical):
    """The query and, when replacing, the replacement."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("escape", "close", "back to the text"),
        _key("down", "step(1)", "next"),
        _key("shift+enter,up", "step(-1)", "previous"),
        _key("alt+r", "switch('regex')", "expression or plain text"),
        _key("alt+c", "switch('case')", "heed capitals, or no longer"),
        _key("alt+w", "switch('words')", "whole words only, or no longer"),
        _key("alt+a", "replace_all", "replace all"),
        _key("tab", "other_field(1)", "next field"),
        _key("shift+tab", "other_field(-1)", "previous field"),
    ]

    class Asked(Message):
        """The query has changed."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search
        self._switches = Switches()
        self.what = Field("find", partial(search.step, 1))
        self.by = Field("replace by", search.replace_one)
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
            yield self._switches
            yield self._count
        with Horizontal(classes="replace"):
            yield Static("Replace ", classes="name")
            yield self.by
            yield Static("Enter one · Alt+A all", classes="keys")

    def on_mount(self) -> None:
        """Hide the bar at first."""
        self.display = False

    def on_resize(self) -> None:
        """Say the keys of the switches where there is room."""
        self._switches.show()

    @property
    def query_asked(self) -> Query:
        """What is to be found."""
        return replace(self._switches.chosen, text=self.what.value)

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

    def action_switch(self, name: str) -> None:
        """Turn one of the switches."""
        self._switches.turn(name)
        self.post_message(self.Asked())

    def action_close(self) -> None:
        """Close the bar."""
        self._search.close()

    def action_step(self, by: int) -> None:
        """Go to the next match, or the previous one."""
        self._search.step(by)

    def action_replace_all(self) -> None:
        """Replace every match."""
        self._search.replace_all()

    def action_other_field(self, by: int) -> None:
        """Go to the other field or, past the last one, to the text."""
        fields = [self.what, self.by] if self.has_class("-replacing") else [self.what]
        at = next(i for i, field in enumerate(fields) if field.has_focus) + by
        if 0 <= at < len(fields):
            self.screen.set_focus(fields[at])
        else:
            self._search.to_text()

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input is self.what:
            self.post_message(self.Asked())


class LineBar(Horizontal):
    """The bar that asks for a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("escape", "leave", "back to where you were"),
    ]

    class Typed(Message):
        """The field has changed."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search
        self.field = Field("12   12:5   +5   -5", partial(search.leave_line, stay=True))

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
        self._search.leave_line(stay=False)

    def tell(self, words: str) -> None:
        """Show what is wrong."""
        self.query_one(".count", Static).update(Content(words))

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self.post_message(self.Typed())
