"""Several cursors in one text: the editor's own selection, and others that do what it does.

An action is run at each of them in turn, as if it were the only one. What an edit at one moves, the
others follow as anchors do. All edits of a turn are one undo, which brings the cursors back too.
Cursors that meet become one; whatever else moves the editor's own cursor ends the others.

Knows a text and its history. Costs nothing as long as there is one cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from operator import attrgetter
from typing import Protocol

from textual.document._document import Selection
from textual.widgets import TextArea

from dgedit.text import edits, graphemes
from dgedit.text.edits import Change, Part
from dgedit.text.pairs import Pending, holds_empty_pair
from dgedit.tui.editor.anchors import Anchor, Anchors
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.carets import Caret, merged
from dgedit.tui.editor.highlighting import LINE_END
from dgedit.tui.editor.keystrokes import Keystrokes
from dgedit.tui.editor.transaction import History

_AT_EACH = frozenset(
    (
        "cursor_up",
        "cursor_down",
        "cursor_left",
        "cursor_right",
        "cursor_line_start",
        "cursor_line_end",
        "cursor_word_left",
        "cursor_word_right",
        "delete_left",
        "delete_right",
        "delete_word_left",
        "delete_word_right",
        "delete_to_start_of_line",
        "delete_to_end_of_line_or_delete_line",
        "indent",
        "select_lines",
        "to_bracket",
        "to_end",
        "page",
    )
)
"""The actions that are run at each cursor."""
_AT_LINES = frozenset(
    ("toggle_comment", "dedent", "delete_line", "join", "duplicate", "move_lines")
)
"""Those that are run once for the cursors of a line."""
_ONE = "one cursor only, as long as drafts are shown"


class Text(Protocol):
    """What several cursors ask of the text they are in."""

    anchors: Anchors
    others: Sequence[Selection]
    history: History
    keystrokes: Keystrokes
    selected: edits.Selection

    @property
    def buffer(self) -> Buffer:
        """The text."""

    @property
    def has_drafts(self) -> bool:
        """Whether drafts are drawn in it."""

    def in_hole(self, index: int) -> bool:
        """Return whether an offset is in a hole, or at one."""

    def change(self, change: Change) -> None:
        """Apply a change as one undo."""

    def reveal(self) -> None:
        """Show the lines that the cursors are in."""


class Cursors:
    """The cursors of a text beside its own one."""

    def __init__(self, text: Text, area: TextArea) -> None:
        """Take the text, and the text area that it is."""
        self.text, self.area = text, area
        self._others: list[Caret] = []
        self._quiet = self._placing = False

    @property
    def count(self) -> int:
        """How many cursors there are."""
        return 1 + len(self._others)

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return bool(self._others)

    @property
    def all(self) -> list[Caret]:
        """All of them, the editor's own first."""
        return [self._own(), *self._others]

    def add(self, *selections: edits.Selection, x: int | None = None) -> str:
        """Add cursors, of which the last becomes the editor's own. Returns why it cannot be."""
        if self.text.has_drafts:
            return _ONE
        added = [self._caret(*one, x) for one in reversed(selections)]
        self.place([*added, *self.all])
        return ""

    def add_next(self) -> str:
        """Select the next place of what is selected too. Returns why it cannot be."""
        taken = {(one.start, one.end) for one in self.all}
        found = edits.occurrences(self.text.buffer.text, self.text.selected)
        more = next((one for one in found if one not in taken), None)
        return "it is nowhere else" if more is None else self.add(more)

    def add_equal(self) -> str:
        """Select all places of what is selected. Returns why it cannot be."""
        selected = self.text.selected
        if selected[0] == selected[1]:
            return "there is no word here"
        return self.add(*edits.occurrences(self.text.buffer.text, selected), selected)

    def add_beside(self, *, down: bool) -> str:
        """Add one in the row above the first one, or below the last. Returns why it cannot be."""
        outer = (max if down else min)(self.all, key=attrgetter("cursor"))
        navigator, buffer = self.area.navigator, self.text.buffer
        navigator.last_x_offset = outer.x
        here = buffer.location(outer.cursor)
        step = navigator.get_location_below if down else navigator.get_location_above
        at = buffer.index(step(here))
        rows = self.area.wrapped_document
        if rows.location_to_offset(buffer.location(at)).y == rows.location_to_offset(here).y:
            return ""  # there is no such row
        return self.add((at, at), x=outer.x)

    def drop(self) -> None:
        """Go back to the editor's own cursor."""
        if self._others:
            self._others = []
            self._tell()

    def place(self, carets: Sequence[Caret]) -> None:
        """Put all cursors somewhere, the editor's own first; those that meet become one."""
        own, *self._others = merged(carets)
        self._placing = True
        self._enter(own)
        self._placing = False
        self._tell()

    @contextmanager
    def back_to(self, carets: Sequence[Caret]) -> Iterator[None]:
        """Put all cursors where they were, if any is given, once an edit is undone or redone."""
        if not carets:
            yield
            return
        with self.quiet():
            yield
        self.place(carets)
        self.area.post_message(TextArea.Changed(self.area))

    def may_move(self) -> bool:
        """Return whether the editor's cursor moves to stay; where nobody asked us to, the others
        end.
        """
        if not (self._quiet or self._placing):
            self.drop()
        return not self._quiet

    def turns(self, name: str, given: Sequence[object]) -> Iterator[int]:
        """Take a turn for each cursor that an action of this name is run at."""
        if name in _AT_LINES:
            return self.each(by_line=True, first=name == "move_lines" and not given[0])
        return self.each() if name in _AT_EACH else iter((0,))

    def each(self, *, by_line: bool = False, first: bool = False) -> Iterator[int]:
        """Let the editor's cursor be each of them in turn, from the last in the text to the first;
        from the `first` on if wanted. Yields which one in the order of the text; `by_line`: only
        once for the cursors in one line.
        """
        if not self._others or self._quiet:
            yield 0
            return
        before, history = self.all, self.text.history
        history.checkpoint()
        since = history.count
        carets = sorted(before, key=attrgetter("start", "end"))
        places = [self._anchored(one) for one in carets]
        groups = self._lines(carets) if by_line else [[at] for at in range(len(carets))]
        with self.quiet():
            for group in groups if first else reversed(groups):
                start, end = group[0], group[-1]
                anchor, cursor = (one.index for one in places[start])
                if start != end:
                    ends = [one.index for at in group for one in places[at]]
                    self.text.selected = min(ends), max(ends)
                else:
                    self._enter(replace(carets[start], anchor=anchor, cursor=cursor))
                yield start
                if start == end:
                    carets[start] = self._own()
                    places[start] = self._anchored(carets[start])
        after = [
            replace(one, anchor=anchor.index, cursor=cursor.index)
            for one, (anchor, cursor) in zip(carets, places, strict=True)
        ]
        own = sorted(range(len(before)), key=lambda at: (before[at].start, before[at].end)).index(0)
        after.insert(0, after.pop(own))
        changed = history.count > since
        self.place(after)
        history.join(since, before, self.all)
        if changed:
            self.area.post_message(TextArea.Changed(self.area))

    def type_at_all(self, text: str) -> bool:
        """Type a text at all cursors in one edit, where it is no more than that at each of them;
        return whether it was.
        """
        places = sorted({one.cursor for one in self.all})
        if not self._others or self._quiet or not self._is_plain(text, places):
            return False
        self._edit_at_all({at: Part(at, at, text) for at in places})
        return True

    def delete_at_all(self) -> bool:
        """Delete the character before every cursor in one edit, where nothing else goes with it;
        return whether it was.
        """
        may = self._others and not self._quiet and not self.area.read_only
        if not may or not all(map(self._is_alone, self.all)):
            return False
        places = sorted(one.cursor for one in self.all)
        self._edit_at_all({at: Part(at - 1, at, "") for at in places})
        return True

    def _edit_at_all(self, parts: Mapping[int, Part]) -> None:
        """Apply the part of every cursor in one edit; it comes to stand behind it."""
        before, history = self.all, self.text.history
        history.checkpoint()
        since = history.count
        grown = accumulate(len(part.text) - (part.end - part.start) for part in parts.values())
        to = {at: part.end + by for (at, part), by in zip(parts.items(), grown, strict=True)}
        with self.quiet():
            self.text.change(Change(tuple(parts.values()), (0, 0)))
        at_x = self.area.wrapped_document.location_to_offset
        after = [
            replace(one, anchor=end, cursor=end, x=at_x(self.text.buffer.location(end)).x)
            for one, end in ((one, to[one.cursor]) for one in before)
        ]
        self.place(after)
        history.join(since, before, self.all)
        self.area.post_message(TextArea.Changed(self.area))

    def _is_alone(self, caret: Caret) -> bool:
        """Say whether a Backspace at a cursor takes one character and no more."""
        text = self.text
        row, column = text.buffer.location(caret.cursor)
        line = text.buffer[row]
        plain = line.isascii() and bool(line[:column].strip(" \t")) and not caret.pending.tails
        pair = holds_empty_pair(line, column, text.keystrokes.pairs)
        held = text.in_hole(caret.cursor) or text.in_hole(caret.cursor - 1)
        return plain and caret.start == caret.end and not (pair or held)

    def _is_plain(self, text: str, places: Sequence[int]) -> bool:
        """Say whether a text that is typed is put in as it is, and combines with nothing."""
        plain = self.text.keystrokes.is_plain(text) and graphemes.ALONE.fullmatch(text)
        if not plain or self.area.read_only or any(one.start < one.end for one in self.all):
            return False
        buffer = self.text.buffer
        at = map(buffer.location, places)
        behind = {buffer[row][column : column + 1] for row, column in at}
        alone = all(graphemes.left_end(f"x{sign}", 1) == 1 for sign in behind)
        return alone and not any(map(self.text.in_hole, places))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Move the editor's cursor for a moment: nothing is scrolled, nobody is told."""
        self._quiet = True
        try:
            with self.area.prevent(TextArea.Changed):
                yield
        finally:
            self._quiet = False

    # What is copied and pasted

    def copied(self) -> str:
        """Return the selections, and the lines of empty ones, each in lines of its own."""
        text, found = self.text.buffer.text, dict[int, str]()
        for one in sorted(self.all, key=attrgetter("start", "end")):
            line = edits.line_at(text, one.cursor)
            start, end = (one.start, one.end) if one.start < one.end else (line.start, line.end)
            found[start] = text[start:end]
        return self.text.buffer.newline.join(found.values())

    def dealt(self, text: str) -> list[str]:
        """Return what is pasted at each: a line each if the text has as many, else all of it."""
        if not self._others:
            return [text]
        lines = LINE_END.split(text)[::2]
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        return lines if len(lines) == self.count else [text] * self.count

    def _own(self) -> Caret:
        own = self._caret(*self.text.selected, self.area.navigator.last_x_offset)
        return replace(own, pending=self.text.keystrokes.pending)

    def _caret(self, anchor: int, cursor: int, x: int | None) -> Caret:
        location = row, column = self.text.buffer.location(cursor)
        if x is None:
            x = self.area.wrapped_document.location_to_offset(location).x
        right = len(self.text.buffer[row]) - column
        return Caret(anchor, cursor, x, Pending(), right)

    def _enter(self, caret: Caret) -> None:
        """Let the editor's cursor be this one."""
        buffer = self.text.buffer
        row, column = buffer.location(caret.cursor)
        more = len(buffer[row]) - column - caret.right
        tails = tuple(tail + more for tail in caret.pending.tails)
        self.text.keystrokes.pending = Pending(row, tails)
        self.text.selected = caret.anchor, caret.cursor
        self.area.navigator.last_x_offset = caret.x

    def _anchored(self, caret: Caret) -> list[Anchor]:
        return [self.text.anchors.at(index) for index in (caret.anchor, caret.cursor)]

    def _lines(self, carets: Sequence[Caret]) -> list[list[int]]:
        """Return which cursors are in one line with the ones before."""
        groups: list[list[int]] = []
        last = -1
        for at, one in enumerate(carets):
            first, end = (self.text.buffer.location(index)[0] for index in (one.start, one.end))
            if first <= last:
                groups[-1].append(at)
            else:
                groups.append([at])
            last = max(last, end)
        return groups

    def _tell(self) -> None:
        at = self.text.buffer.location
        self.text.others = [Selection(at(one.anchor), at(one.cursor)) for one in self._others]
        self.text.reveal()
        self.area.post_message(TextArea.SelectionChanged(self.area.selection, self.area))
        self.area.refresh()
