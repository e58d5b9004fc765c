"""A dialog with a text to read."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from dgedit.text.visible import visible
from dgedit.tui.widgets.dialogs import Modal


class TextDialog(Modal[None]):
    """A heading and a text, whose control characters are made visible."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "close")]

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self.heading, self.text = heading, text

    def compose(self) -> ComposeResult:
        """Lay out the heading, the text, and the keys."""
        with Vertical():
            yield Static(Content(visible(self.heading)), classes="title")
            with VerticalScroll():
                yield Static(Content(visible(self.text, keep="\n\t")), classes="text")
            yield Static("↑ ↓ PgUp PgDn scroll   Esc close", classes="keys")
