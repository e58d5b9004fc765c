"""Characters, Enter and Backspace that do more than put in or take out what they stand for.

Brackets and quotes come in pairs, Backspace goes back to a tab stop, a line is dedented by what it
begins with, and Enter between two brackets opens a block. Each is one change, and so one undo. What
comes all at once, as a terminal pastes, is taken as it is; so is what is typed at a hole, which
goes on behind it. What is where, `text/pairs.py` and `text/indentation.py` say.

Knows a text and its holes. Costs nothing but for the few signs that may mean more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from dgedit.text.edits import Change, Part, Selection
from dgedit.text.indentation import dedented, opens_block, opens_inside, to_stop
from dgedit.text.pairs import Pending, holds_empty_pair, opens_pair
from dgedit.tui.editor.buffer import Buffer

# What may be the last sign of what a line is dedented by.
_DEDENTING = frozenset(")]}: (*")


class Typed(Protocol):
    """What keystrokes ask of the text they are for."""

    selected: Selection
    indent_size: int
    indent_width: int

    @property
    def buffer(self) -> Buffer:
        """The text."""

    @property
    def file_name(self) -> str:
        """The name that says which language it is."""

    @property
    def indent_unit(self) -> str:
        """A step of its indentation."""

    def in_hole(self, index: int) -> bool:
        """Return whether an offset is in a hole, or at one."""

    def change(self, change: Change) -> None:
        """Make a change."""


class Keystrokes:
    """Does more with a key than to put in its character."""

    def __init__(self, text: Typed) -> None:
        self.text = text
        self.pairs: Mapping[str, str] = {}
        """What closes what; nothing where no pairs are wanted."""
        self.as_is = False
        """Whether what comes now is no more than what it is."""
        self.pending = Pending()
        """The closing signs that were put in at the cursor."""

    def plain(self, text: str) -> str:
        """As much of a text as can be typed at once when its first character means no more."""
        if self.as_is or len(text) < 2:
            return text
        more = _DEDENTING.union(self.pairs, self.pairs.values())
        end = next((at for at, sign in enumerate(text) if at and sign in more), len(text))
        return text[:end]

    def is_plain(self, text: str) -> bool:
        """Return whether no character of a text can mean more than itself."""
        return not _DEDENTING.union(self.pairs, self.pairs.values()) & set(text)

    def take(self, sign: str) -> bool:
        """Take a character that means more here than itself; whether it does."""
        if self.as_is or not (sign in _DEDENTING or sign in self.pairs or self._closes(sign)):
            return False
        text = self.text
        anchor, cursor = text.selected
        if anchor != cursor:
            return sign in self.pairs and self._surround(sign)
        row, column = text.buffer.location(cursor)
        line = text.buffer[row]
        tail = len(line) - column
        inner = self.pending.has(row, tail) and self._closes(line[column])
        if inner and line[column] == sign:
            self.pending = self.pending.closed(row, tail)
            text.selected = cursor + 1, cursor + 1
            return True
        if text.in_hole(cursor):
            return False
        typed = sign
        if opens_pair(line, column, sign, self.pairs, inner=inner):
            typed += self.pairs[sign]
        parts = [*self._dedent(row, line[:column] + sign), Part(cursor, cursor, typed)]
        if parts[-1].text == sign and len(parts) == 1:
            return False
        if typed != sign:
            self.pending = self.pending.opened(row, tail + 1)
        at = cursor - sum(part.end - part.start for part in parts) + 1
        text.change(Change(tuple(parts), (at, at)))
        return True

    def break_line(self) -> None:
        """End the line, and begin the next one where it is to begin."""
        text, buffer = self.text, self.text.buffer
        start, end = sorted(text.selected)
        row, column = buffer.location(start)
        last, right = buffer.location(end)
        before, behind = buffer[row][:column], buffer[last][right:]
        lead = before[: len(before) - len(before.lstrip(" \t"))]
        parts: list[Part] = []
        if not (self.as_is or start < end or text.in_hole(start)):
            parts = self._dedent(row, before + " ")
        cut = sum(part.end - part.start for part in parts)
        lead = lead[: len(lead) - cut]
        inner = buffer.newline + lead + text.indent_unit * opens_block(before, text.file_name)
        outer = ""
        if not (self.as_is or text.in_hole(start)) and opens_inside(before, behind, text.file_name):
            outer = buffer.newline + lead
            end += len(behind) - len(behind.lstrip(" \t"))
            start -= len(before) - len(before.rstrip(" \t"))
        at = start - cut + len(inner)
        text.change(Change((*parts, Part(start, end, inner + outer)), (at, at)))

    def delete_left(self) -> bool:
        """Take out an empty pair, or the blanks back to a tab stop; whether either was there."""
        text = self.text
        anchor, cursor = text.selected
        row, column = text.buffer.location(cursor)
        line = text.buffer[row]
        first = last = cursor
        if anchor != cursor or text.in_hole(cursor):
            return False
        if holds_empty_pair(line, column, self.pairs):
            self.pending = self.pending.closed(row, len(line) - column)
            first, last = cursor - 1, cursor + 1
        elif column and not line[:column].strip(" \t"):
            first -= to_stop(line[:column], text.indent_size, text.indent_width)
        if last - first < 2:
            return False
        text.change(Change((Part(first, last, ""),), (first, first)))
        return True

    def _closes(self, sign: str) -> bool:
        return sign in self.pairs.values()

    def _surround(self, sign: str) -> bool:
        """Put a pair around the selection, which stays on its text."""
        anchor, cursor = self.text.selected
        start, end = sorted((anchor, cursor))
        parts = Part(start, start, sign), Part(end, end, self.pairs[sign])
        self.text.change(Change(parts, (anchor + 1, cursor + 1)))
        return True

    def _dedent(self, row: int, typed: str) -> list[Part]:
        """Return what is taken out where a line is dedented that is typed so far; nothing
        elsewhere.
        """
        text = self.text
        lead = dedented(typed, self._above(row), text.file_name)
        if lead is None:
            return []
        start = text.buffer.index((row, 0))
        blanks = len(typed) - len(typed.lstrip(" \t"))
        return [Part(start + len(lead), start + blanks, "")]

    def _above(self, row: int) -> Iterator[str]:
        return (self.text.buffer[at] for at in range(row - 1, -1, -1))
