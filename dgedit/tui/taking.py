"""The edit that takes drafts into a text, whole or in part, and gives them back when it is undone.

One edit for a file, however many of its holes are filled. A hole whose draft is taken whole is
closed; one whose draft is taken in part goes on behind what was taken, over no text at all: what it
covered has given way. Undone, the holes are as they were, and so a result that is still open can
draw its drafts again.

Knows one editor's text and its holes; nothing of steps, candidates or keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.document._document import EditResult, Location, Selection
from textual.document._edit import Edit
from textual.widgets import TextArea

from dgedit.document import Span
from dgedit.tui.buffer import Buffer
from dgedit.tui.overlay import OpenHole

if TYPE_CHECKING:
    from dgedit.tui.editor import Editor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hole is, and how much of its draft is in the text already."""

    span: Span
    """What it covers."""
    taken: str = ""
    """The start of its draft that was taken."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A hole that the edit concerns, before it and after it."""

    hole: OpenHole
    """The hole itself: who draws it goes on knowing it by this."""
    before: Place
    """As it was."""
    after: Place | None
    """As it goes on; None where it is closed."""


@dataclass
class Filling(Edit):
    """The edit, which knows its holes."""

    moves: list[Moved] = field(default_factory=list)

    def do(self, text_area: TextArea, record_selection: bool = True) -> EditResult:
        """Take the drafts, and close their holes or let them go on."""
        editor = _editor(text_area)
        # Done anew, it may meet other holes where its own were, or none.
        there = {hole.span: hole for hole in editor.holes}
        self.moves = [
            replace(move, hole=there.get(move.before.span, move.hole)) for move in self.moves
        ]
        met = [move for move in self.moves if move.hole in editor.holes]
        _lift(editor, {move.before.span for move in met})
        result = super().do(text_area, record_selection)
        _settle(editor, [(move.hole, move.after) for move in met])
        return result

    def undo(self, text_area: TextArea) -> EditResult:
        """Restore the text and the holes."""
        editor = _editor(text_area)
        _lift(editor, {move.after.span for move in self.moves if move.after is not None})
        result = super().undo(text_area)
        _settle(editor, [(move.hole, move.before) for move in self.moves])
        return result


def take(editor: Editor, texts: Sequence[tuple[OpenHole, str]]) -> None:
    """Put texts into the holes' places and close the holes, as one edit."""
    old = editor.current
    fills = sorted(((hole, text) for hole, text in texts), key=lambda one: one[0].span)
    new = old.apply([(hole.span, text) for hole, text in fills]).text
    grown = {hole: len(old.apply([(hole.span, text)]).text) - len(old.text) for hole, text in fills}
    first, last = fills[0][0].start, fills[-1][0].end
    # The edit spans what lies between the holes as well, another hole perhaps.
    between = [
        hole
        for hole in editor.holes
        if hole not in grown and first <= hole.start and hole.end <= last
    ]
    moves = [Moved(hole, Place(hole.span, hole.taken), None) for hole in grown]
    for hole in between:
        start, end = (moved(index, grown) for index in (hole.start, hole.end))
        after = Place(Span(min(start, end), end), hole.taken)
        moves.append(Moved(hole, Place(hole.span, hole.taken), after))
    cursor = _cursor(editor, grown)
    text = new[first : len(new) - len(old.text) + last]
    with editor.steady(lambda index: moved(index, grown)):
        _edit(editor, text, Span(first, last), moves)
        editor.selection = Selection.cursor(cursor(editor.buffer))


def take_part(editor: Editor, hole: OpenHole, text: str) -> None:
    """Put the start of a hole's draft into the text, as one edit; the cursor goes behind it."""
    old, span = editor.current, hole.span
    new = old.apply([(span, text)]).text
    end = span.end + len(new) - len(old.text)
    after = Place(Span(end, end), hole.taken + text)
    _edit(editor, new[span.start : end], span, [Moved(hole, Place(span, hole.taken), after)])
    editor.selection = Selection.cursor(editor.buffer.location(end))


def moved(index: int, grown: dict[OpenHole, int]) -> int:
    """Where an offset outside the holes is once they have grown."""
    return index + sum(
        more for hole, more in grown.items() if hole.end <= index and hole.start < index
    )


def _edit(editor: Editor, text: str, span: Span, moves: list[Moved]) -> None:
    start, end = editor.buffer.location(span.start), editor.buffer.location(span.end)
    editor.history.checkpoint()
    editor.edit(Filling(text, start, end, maintain_selection_offset=False, moves=moves))
    editor.history.checkpoint()


def _cursor(editor: Editor, grown: dict[OpenHole, int]) -> Callable[[Buffer], Location]:
    """Where the cursor will be: on its character; in a hole, on its cell."""
    row, column = editor.cursor_location
    index = editor.buffer.index((row, column))
    inside = next((hole for hole in grown if hole.start <= index <= hole.end), None)
    if inside is None:
        at = moved(index, grown)
        return lambda buffer: buffer.location(at)
    top = editor.buffer.location(inside.start)[0]
    start = moved(inside.start, grown)
    end = start + inside.end - inside.start + grown[inside]

    def cursor(buffer: Buffer) -> Location:
        return min((buffer.location(start)[0] + row - top, column), buffer.location(end))

    return cursor


def _lift(editor: Editor, spans: set[Span]) -> None:
    """Take the holes out while the text changes: an edit closes what it covers."""
    editor.holes[:] = [hole for hole in editor.holes if hole.span not in spans]


def _settle(editor: Editor, places: Sequence[tuple[OpenHole, Place | None]]) -> None:
    """Let the holes be where they belong after the change."""
    for hole, place in places:
        hole.clear()
        if place is not None:
            hole.start, hole.end, hole.taken = place.span.start, place.span.end, place.taken
            editor.open_holes([hole])
    editor.rows.wrap(0)
    # Who draws drafts draws them again; where others were filling these holes, they are told.
    editor.post_message(editor.Touched(taken=True))


def _editor(text_area: TextArea) -> Editor:
    from dgedit.tui.editor import Editor

    assert isinstance(text_area, Editor)
    return text_area
