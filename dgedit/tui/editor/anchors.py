"""Places in a text that stay on it, whatever is edited: those that somebody may go back to.

Knows offsets and changes; nothing of widgets.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakSet

from dgedit.text.edits import Change


class Anchor:
    """A place, for as long as somebody holds it."""

    def __init__(self, index: int) -> None:
        self.index = index
        """Its offset in the text as it is now."""


class Anchors:
    """The anchors of one text: those that nobody holds any more are forgotten."""

    def __init__(self) -> None:
        self.changes = 0
        """How many changes they have followed."""
        self._all: WeakSet[Anchor] = WeakSet()

    def at(self, index: int) -> Anchor:
        """Anchor a place."""
        self._all.add(anchor := Anchor(index))
        return anchor

    def follow(self, change: Change) -> None:
        """Move them with their text."""
        self.changes += 1
        for anchor in self._all:
            anchor.index = change.map(anchor.index)

    def __iter__(self) -> Iterator[Anchor]:
        return iter(self._all)
