"""What the find bar and the search panel have in common: fields for what to find and what to put
there, and switches for how.

Knows fields and switches; the bar and the panel lay them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Protocol

from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from dgedit.text.search import Query
from dgedit.tui.terminal.keys import is_text
from dgedit.tui.widgets.line_input import LineInput

# From this many columns on, the switches show their keys.
_ROOMY = 80


def key(keys: str, action: str, words: str, *, show: bool = False) -> Binding:
    """Bind a key; `show`: the row of keys has it."""
    return Binding(keys, action, words, show=show)


class Searcher(Protocol):
    """What a form asks for. These are direct calls, not messages, as the next keys may be meant for
    the widget that then has the focus.
    """

    def replace_all(self) -> None:
        """Replace all that is found."""

    def close(self) -> None:
        """Close the form."""

    def to_text(self) -> None:
        """Move the focus to the text."""


class Field(LineInput):
    """A field of a bar. Keys are handled strictly in order, as in the text: those after Enter may
    belong to the widget that Enter moved the focus to.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("ctrl+v", "app.do('paste')", "paste"),
        key("ctrl+a", "select_all", "select all"),
        key("ctrl+f", "app.do('find')", "find"),
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
        for keys, sign, is_on in (
            ("Alt+R", ".*", self.chosen.regex),
            ("Alt+C", "Aa", self.chosen.case),
            ("Alt+W", "word", self.chosen.words),
        ):
            parts.append((f" {keys}" * (self.app.size.width >= _ROOMY), "$text-muted"))
            parts.append((f" {sign} ", "reverse bold" if is_on else "dim"))
        self.update(Content.assemble(*parts))


class SearchForm(Vertical):
    """What to find, what to put there, and how it is to be found."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("alt+r", "switch('regex')", "expression or plain text"),
        key("alt+c", "switch('case')", "heed capitals, or no longer"),
        key("alt+w", "switch('words')", "whole words only, or no longer"),
    ]

    def __init__(
        self, search: Searcher, what: Field, by: Field, asked: Callable[[], object]
    ) -> None:
        """Take the function that is called when something else is to be found."""
        super().__init__()
        self.what, self.by = what, by
        self.switches = Switches()
        self._search, self._asked = search, asked

    def on_mount(self) -> None:
        """Hide the form at first."""
        self.display = False

    def on_resize(self) -> None:
        """Say the keys of the switches where there is room."""
        self.switches.show()

    @property
    def query_asked(self) -> Query:
        """What is to be found."""
        return replace(self.switches.chosen, text=self.what.value)

    def action_switch(self, name: str) -> None:
        """Turn one of the switches."""
        self.switches.turn(name)
        self._asked()

    def action_close(self) -> None:
        """Close the form."""
        self._search.close()

    def action_replace_all(self) -> None:
        """Replace all that is found."""
        self._search.replace_all()

    def action_other_field(self, by: int) -> None:
        """Go to the next field or the one before and, past the last one, to the text."""
        fields = [one for one in self.screen.focus_chain if self in one.ancestors]
        at = next(i for i, field in enumerate(fields) if field.has_focus) + by
        if 0 <= at < len(fields):
            self.screen.set_focus(fields[at])
        else:
            self._search.to_text()

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input is not self.by:
            self._asked()
