"""The colours of a text without a grammar, as they were found last, moved along with their text.

They are found elsewhere, for some rows at a time; what is found for a text that has changed
meanwhile is dropped. Knows rows and columns; nothing of lexers.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.document._document import Location

from dgedit.tui.editor.highlighting import Highlight, moved


class Lexed:
    """The colours of some rows of a text, and whether more are wanted."""

    def __init__(self) -> None:
        self.version = 0
        """Another one after each edit."""
        self.begun = False
        """True once colours were found."""
        self._known: dict[int, list[Highlight]] = {}
        self._rows = range(0)  # those that colours were found for in the present text
        self._given_up = self._asked = False

    def highlights(self, row: int) -> list[Highlight]:
        """Return the highlights of a row."""
        return self._known.get(row, [])

    def wants(self, row: int) -> bool:
        """Say whether colours of a row are to be found, and nobody is at it."""
        return not (self._given_up or self._asked or row in self._rows)

    def ask(self) -> int | None:
        """Note that somebody is at it; returns the version that it is for, None if nobody is to."""
        if self._given_up or self._asked:
            return None
        self._asked = True
        return self.version

    def take(self, version: int, rows: range, found: Sequence[list[Highlight]]) -> None:
        """Take what was found for some rows of a version, if that is the present one."""
        self._asked = False
        if version == self.version:
            self.begun, self._rows = True, rows
            self._known = dict(zip(rows, found, strict=False))

    def give_up(self) -> None:
        """Want no colours any more."""
        self._given_up, self._asked = True, False
        self._known.clear()

    def edited(self, start: Location, stop: Location, text: str) -> None:
        """Follow an edit: `text` replaced what was between two locations."""
        self.version += 1
        self._rows = range(0)
        if self._known:
            (top, left), (bottom, right) = start, stop
            self._known = moved(self._known, top, bottom, left, right, text.split("\n"))
