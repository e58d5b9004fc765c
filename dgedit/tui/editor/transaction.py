"""The one kind of entry in an editor's history: a change of the text, and what becomes of holes.

A hole stays on its text. One that the change cuts into becomes another hole, or none; one whose
draft is accepted closes, or goes on as it is told. Undone, the holes that it took are as they were,
in the place of any that have come there since, and the result whose drafts they showed can be
opened again. A result that was left without an edit, rejected or replaced by another, is an entry
without a part: its undo opens the result again, and leaves nothing to be done anew.

Each time it is done, a transaction sees anew which holes are there, and whose drafts they show:
between an undo and a redo both may have changed.

Knows a buffer, its holes and changes; a result is opaque to it. Fast because the text from the
first part to the last is put into the buffer in one go: in 50,000 lines of Python 5,000
replacements one by one took 0.85 s, most of it for the syntax tree; 50,000 in one go take 0.35 s.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, Protocol, cast

from textual.document._document import EditResult, Selection
from textual.document._edit import Edit
from textual.document._history import EditHistory
from textual.widgets import TextArea

from dgedit.files.document import Span
from dgedit.text.edits import Change, Part
from dgedit.tui.editor.anchors import Anchors
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.holes import OpenHole, Place, collide

# Results that undo opens again; of those before, it gives back the text and the holes.
_RESULTS = 20

Touch = Literal["edited", "taken"]
"""How a hole was touched: by any edit, or by one that took its draft into the text."""


class Holder(Protocol):
    """What a transaction asks of its editor."""

    holes: list[OpenHole]
    anchors: Anchors

    def open_result(self) -> object | None:
        """The result whose drafts the holes show."""

    def touch(self, how: Touch) -> None:
        """Tell that other holes are there now."""


@dataclass
class Transaction(Edit):
    """A change of the text, the holes before and after it, and the result that these are of."""

    change: Change
    """What is changed; nothing where a result was left without an edit."""
    goes: Mapping[OpenHole, Place | None] = field(default_factory=dict)
    """How the holes go on whose drafts it takes; None where they are closed."""
    loaded: bool = False
    """Whether it is of a text from the disk, which an editor takes that is locked as well."""
    holes_before: dict[OpenHole, Place] = field(default_factory=dict)
    """The holes that it took, as they were."""
    holes_after: dict[OpenHole, Place] = field(default_factory=dict)
    """Those in their place."""
    result: object | None = None
    """The result that the ones before are of."""
    points: dict[OpenHole, Span] = field(default_factory=dict)
    """Holes of no text right before some that gave way: it is to come back behind them."""

    @classmethod
    def of(
        cls,
        buffer: Buffer,
        change: Change,
        *,
        goes: Mapping[OpenHole, Place | None] | None = None,
        loaded: bool = False,
    ) -> Transaction:
        """Make one of a change of a buffer's text."""
        start, end, text = change.splice(buffer.text)
        top, bottom = buffer.location(start), buffer.location(end)
        return cls(text, top, bottom, False, change, goes or {}, loaded)

    @classmethod
    def of_edit(cls, edit: Edit, text_area: TextArea) -> Transaction:
        """Make one of an edit of Textual's."""
        buffer = cast(Buffer, text_area.document)
        part = Part(buffer.index(edit.top), buffer.index(edit.bottom), edit.text)
        behind = part.start + len(part.text)
        change = Change((part,), (behind, behind))
        if edit.maintain_selection_offset:
            anchor, cursor = map(buffer.index, text_area.selection)
            change = Change((part,), (change.map(anchor), change.map(cursor)))
        return cls(edit.text, edit.top, edit.bottom, False, change)

    @classmethod
    def of_left(cls, result: object, holes: Iterable[OpenHole]) -> Transaction:
        """Make one of a result that is left without an edit, and the holes that it has."""
        before = {hole: Place.of(hole) for hole in holes}
        return cls(
            "", (0, 0), (0, 0), False, Change((), (0, 0)), holes_before=before, result=result
        )

    def do(self, text_area: TextArea, record_selection: bool = True) -> EditResult:
        """Change the text, and let the holes follow."""
        buffer = cast(Buffer, text_area.document)
        if record_selection:
            self._original_selection = text_area.selection
        self._edit_result = buffer.replace_range(self.top, self.bottom, self.text)
        anchor, cursor = map(buffer.location, self.change.selection)
        self._updated_selection = Selection(anchor, cursor)
        self.carry(cast(Holder, text_area))
        return self._edit_result

    def undo(self, text_area: TextArea) -> EditResult:
        """Take the change back, and the holes with it."""
        assert self._edit_result is not None
        replaced, first = self._edit_result.replaced_text, self.change.parts[0].start
        result = super().undo(text_area)
        self.restore(cast(Holder, text_area), self.change.invert(replaced, first))
        return result

    def carry(self, editor: Holder) -> None:
        """Let the holes and the anchors follow the change."""
        editor.anchors.follow(self.change)
        own = {hole: self.goes[hole] for hole in editor.holes if hole in self.goes}
        others, cut = _followed([hole for hole in editor.holes if hole not in own], self.change)
        self.holes_before = {hole: Place.of(hole) for hole in (*own, *cut)}
        self.holes_after = {hole: place for hole, place in own.items() if place is not None}
        self.holes_after |= {
            OpenHole(span.start, span.end): Place(span) for span in cut.values() if span
        }
        self.points = {
            hole: hole.span
            for hole in others
            if any(hole.end == hole.start == part.start < part.end for part in self.change.parts)
        }
        drafted = any(hole.draft is not None for hole in self.holes_before)
        self.result = editor.open_result() if drafted else None
        _settle(editor, others, self.holes_after)
        if self.holes_before:
            editor.touch("taken" if self.goes else "edited")

    def restore(self, editor: Holder, back: Change) -> None:
        """Put back the holes that it took, for those in their place; the others follow."""
        editor.anchors.follow(back)
        gone = {place.span for place in self.holes_after.values()}
        since = [
            hole
            for hole in editor.holes
            if not (hole in self.holes_before or hole in self.holes_after or hole.span in gone)
        ]
        others, cut = _followed(since, back)
        others |= {OpenHole(span.start, span.end): span for span in cut.values() if span}
        others |= {hole: span for hole, span in self.points.items() if hole in others}
        taken = [place.span for place in self.holes_before.values()]
        free = {
            hole: span
            for hole, span in others.items()
            if not any(collide(span, one) for one in taken)
        }
        _settle(editor, free, self.holes_before)
        if self.holes_before or cut:
            editor.touch("edited")


class Typing(Transaction):
    """Several characters typed at the cursor: done at once, and known to the history as one
    transaction each, so that undoing takes them back as if they had been typed one by one.
    """

    _typed = ""

    @classmethod
    def of_text(cls, text_area: TextArea, text: str) -> Typing:
        """Make the one that types a text at the cursor."""
        at = text_area.selection.end
        # Without a text of its own the history leaves it out.
        edit = cls("", at, at, False, Change((), (0, 0)))
        edit._typed = text
        return edit

    def do(self, text_area: TextArea, record_selection: bool = True) -> EditResult:
        """Type."""
        buffer = cast(Buffer, text_area.document)
        row, column = at = self.from_location
        first = buffer.index(at)
        result = buffer.replace_range(at, at, self._typed)
        for i, char in enumerate(self._typed):
            here, there = (row, column + i), (row, column + i + 1)
            change = Change((Part(first + i, first + i, char),), (first + i + 1, first + i + 1))
            one = Transaction(char, here, here, False, change)
            one._original_selection = Selection.cursor(here)
            one._updated_selection = Selection.cursor(there)
            one._edit_result = EditResult(there, "")
            one.carry(cast(Holder, text_area))
            text_area.history.record(one)
        self._updated_selection = Selection.cursor(result.end_location)
        self._edit_result = result
        return result


class History(EditHistory):
    """All that can be undone in an editor, and what of it can be done anew."""

    def __init__(self, like: EditHistory) -> None:
        super().__init__(sys.maxsize, like.checkpoint_timer, like.checkpoint_max_characters)
        self._with_result: deque[Transaction] = deque()

    @property
    def left(self) -> Transaction | None:
        """The entry of a result that was left, where nothing was edited since."""
        last = self._undo_stack[-1][0] if self._undo_stack else None
        return last if isinstance(last, Transaction) and not last.change.parts else None

    def record(self, edit: Edit) -> None:
        """Take in an edit."""
        assert isinstance(edit, Transaction)
        assert edit._edit_result is not None
        if edit.text or edit._edit_result.replaced_text or not edit.holes_before:
            super().record(edit)
        else:  # it takes holes, and changes no text
            self._push(edit)
            self._redo_stack.clear()
        self._bound(edit)

    def leave(self, entry: Transaction) -> None:
        """Take in a result that is left; what can be done anew still can."""
        self._push(entry)
        self._bound(entry)

    def drop_left(self) -> None:
        """Forget the result that was left last: it is open again."""
        self._undo_stack.pop()

    def _push(self, entry: Transaction) -> None:
        self._undo_stack.append([entry])
        self.checkpoint()

    def _bound(self, entry: Transaction) -> None:
        if entry.result is not None:
            self._with_result.append(entry)
        if len(self._with_result) > _RESULTS:
            self._with_result.popleft().result = None


def _followed(
    holes: Iterable[OpenHole], change: Change
) -> tuple[dict[OpenHole, Span], dict[OpenHole, Span | None]]:
    """Where holes are after a change; of those that it cuts into, what is left."""
    others: dict[OpenHole, Span] = {}
    cut: dict[OpenHole, Span | None] = {}
    for hole in holes:
        start, end = hole.start, hole.end
        by = next((one.by for one in change.moved if one.start <= start and end <= one.end), 0)
        parts = [part for part in change.parts if start < part.end and part.start < end]
        if by or not parts:
            at = start + by if by else change.map(start)
            others[hole] = Span(at, at + end - start)
        elif any(part.start <= start and end <= part.end for part in parts):
            cut[hole] = None
        else:
            first, last = parts[0], parts[-1]
            cut[hole] = Span(
                change.map(first.end, before=True) if first.start < start else change.map(start),
                change.map(last.start) if end < last.end else change.map(end, before=True),
            )
    return others, cut


def _settle(editor: Holder, others: Mapping[OpenHole, Span], own: Mapping[OpenHole, Place]) -> None:
    for hole, span in others.items():
        hole.start, hole.end = span.start, span.end
    for hole, place in own.items():
        hole.put(place)
    editor.holes[:] = sorted((*others, *own), key=attrgetter("start", "end"))
