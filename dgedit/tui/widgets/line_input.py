"""A line of input in which a terminal finds nothing to obey: what is pasted, found in a file, or a
name may hold anything.

Each character is one sign, so that the cursor and the selection stand where they should. What is
typed is taken as in the text: Textual's line drops what joins emoji and blanks that are not ASCII,
and takes the letter of Alt with a letter.
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
            return  # Textual is right
        event.prevent_default()
        if is_text(event):
            self.replace(event.character or "", *self.selection)
            event.stop()


class Signs(Highlighter):
    """Shows the line as it is, but for what is not seen."""

    def __call__(self, text: str | Text) -> Text:
        """The same with signs, styled as it was."""
        shown = super().__call__(text)
        signs = (visible(char) for char in shown.plain)
        shown.plain = "".join(sign if len(sign) == 1 else "�" for sign in signs)
        return shown

    def highlight(self, text: Text) -> None:
        """Nothing has a colour."""
