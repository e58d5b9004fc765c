"""A line of input in which a terminal finds nothing to obey: what is pasted, found in a file, or a
name may hold anything.

Each character is one sign, so that the cursor and the selection stand where they should.
"""

from __future__ import annotations

from rich.highlighter import Highlighter
from rich.text import Text

from dgedit.visible import visible


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
