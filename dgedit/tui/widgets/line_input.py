"""A line of input that is safe to show, whatever is pasted into it or found in a file's name.

Each character is one sign, so that cursor and selection are placed right. Keys are interpreted as
in the text: Textual's line input drops characters that join emoji and non-ASCII blanks, and inserts
the letter of Alt with a letter.
"""

from __future__ import annotations

from rich.highlighter import Highlighter
from rich.text import Text
from textual import events
from textual.widgets import Input

from dgedit.text.visible import visible
from dgedit.tui.terminal.keys import is_text


class LineInput(Input):
    """One line of text."""

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        compact: bool = False,
        select_on_focus: bool = True,
    ) -> None:
        super().__init__(
            value,
            placeholder=placeholder,
            compact=compact,
            select_on_focus=select_on_focus,
            highlighter=Signs(),
        )

    async def _on_key(self, event: events.Key) -> None:
        if is_text(event) == event.is_printable:
            return  # Textual's own decision is the same
        event.prevent_default()
        if is_text(event):
            self.replace(event.character or "", *self.selection)
            event.stop()


class Signs(Highlighter):
    """A highlighter that shows invisible characters as signs."""

    def __call__(self, text: str | Text) -> Text:
        """Return the text with signs in the same style; a sign longer than a character is �."""
        shown = super().__call__(text)
        signs = (visible(char) for char in shown.plain)
        shown.plain = "".join(sign if len(sign) == 1 else "�" for sign in signs)
        return shown

    def highlight(self, text: Text) -> None:
        """Add no colours."""
