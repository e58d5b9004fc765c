"""The edit that takes drafts into a text, whole or in part, and gives them back when it is undone.

One edit for a file, however many of its holes are filled. A hole whose draft is taken whole is
closed. One of which the start is taken goes on behind it, over no text at all: what it covered has
given way; one of which a hunk is taken goes on over what it covers then. Undone, the holes are as
they were, and so a result that is still open can draw its drafts again.

Knows one editor's text and its holes; nothing of steps, candidates or keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.document._document import EditResult, Location, Selection
from textual.document._edit import Edit
from textual.widgets import TextArea

from dgedit.files.document import Span
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.holes import OpenHole

if TYPE_CHECKING:
    from dgedit.tui.editor.editor import Editor
    from dgedit.tui.editor.hunks import Hunk


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hole is, and how much of its draft is in the text already."""

    span: Span
    """What it covers."""
    taken: str = ""
    """The start of its draft that was taken."""
    picked: bool = False
    """Whether a hunk of its draft was."""

    @classmethod
    def of(cls, hole: OpenHole) -> Place:
        """Where a hole is now."""
        return cls(hole.span, hole.taken, hole.picked)


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
        editor.post_message(editor.Touched("taken"))
        return result

    def undo(self, text_area: TextArea) -> EditResult:
        """Restore the text and the holes."""
        editor = _editor(text_area)
        _lift(editor, {move.after.span for move in self.moves if move.after is not None})
        result = super().undo(text_area)
        _settle(editor, [(move.hole, move.before) for move in self.moves])
        # Who draws drafts draws them again; where others were filling these holes, they are told.
        editor.post_message(editor.Touched("given back", [move.hole for move in self.moves]))
        return result


def take(editor: Editor, texts: Sequence[tuple[OpenHole, str]]) -> None:
    """Put texts into the holes' places and close the holes, as one edit."""
    old = editor.current
    fills = sorted(((hole, text) for hole, text in texts), key=lambda one: one[0].span)
    new = old.apply([(hole.span, text) for hole, text in fills]).text
    grown = {hole: len(old.apply([(hole.span, text)]).text) - len(old.text) for hole, text in fills}
    span = Span(fills[0][0].start, fills[-1][0].end)
    _take(editor, new[span.start : len(new) - len(old.text) + span.end], span, grown, set(grown))


def take_hunk(editor: Editor, hunk: Hunk) -> None:
    """Put a hunk into the text, as one edit; holes of which nothing is left are closed."""
    grown: Counter[OpenHole] = Counter()
    for change in hunk.changes:
        grown.update(change.grown)
    first = min(hunk.changes[0].span.start, *(hole.start for hole in grown))
    last = max(hunk.changes[-1].span.end, *(hole.end for hole in grown))
    parts, done = [], first
    for change in hunk.changes:
        parts += [editor.text[done : change.span.start], change.text]
        done = change.span.end
    text = "".join(parts) + editor.text[done:last]
    _take(editor, text, Span(first, last), grown, hunk.closed)


def _take(
    editor: Editor,
    text: str,
    span: Span,
    grown: Mapping[OpenHole, int],
    closed: Collection[OpenHole],
) -> None:
    """Put a text in the place of another in which holes are: by how much each is longer then, and
    which are closed. Others may be between them.
    """
    moves, by = [], 0
    for hole in editor.holes:
        start = hole.start + by
        by += grown.get(hole, 0)
        if span.start <= hole.start and hole.end <= span.end:
            end, picked = hole.end + by, hole.picked or hole in grown
            after = None if hole in closed else Place(Span(start, end), hole.taken, picked)
            moves.append(Moved(hole, Place.of(hole), after))
    cursor = _cursor(editor, grown)
    with editor.steady(lambda index: moved(index, grown)):
        _edit(editor, text, span, moves)
        editor.selection = Selection.cursor(cursor(editor.buffer))


def take_part(editor: Editor, hole: OpenHole, text: str) -> None:
    """Put the start of a hole's draft into the text, as one edit; the cursor goes behind it."""
    old, span = editor.current, hole.span
    new = old.apply([(span, text)]).text
    end = span.end + len(new) - len(old.text)
    after = Place(Span(end, end), hole.taken + text)
    _edit(editor, new[span.start : end], span, [Moved(hole, Place.of(hole), after)])
    editor.selection = Selection.cursor(editor.buffer.location(end))


def part_from_taken(holes: Iterable[tuple[Editor, OpenHole]]) -> dict[OpenHole, OpenHole]:
    """Put new holes where some were taken in part: the undo of that brings the old ones back, and
    other drafts than those that were shown would not be for them.
    """
    parted = {}
    for editor, hole in holes:
        if hole.taken:
            new = OpenHole(hole.start, hole.end, hole.draft, hole.changed, hole.height)
            new.unsure = hole.unsure
            editor.holes[editor.holes.index(hole)] = parted[hole] = new
    return parted


def moved(index: int, grown: Mapping[OpenHole, int]) -> int:
    """Where an offset outside the holes is once they have grown."""
    return index + sum(
        more for hole, more in grown.items() if hole.end <= index and hole.start < index
    )


def _edit(editor: Editor, text: str, span: Span, moves: list[Moved]) -> None:
    start, end = editor.buffer.location(span.start), editor.buffer.location(span.end)
    editor.history.checkpoint()
    editor.edit(Filling(text, start, end, maintain_selection_offset=False, moves=moves))
    editor.history.checkpoint()


def _cursor(editor: Editor, grown: Mapping[OpenHole, int]) -> Callable[[Buffer], Location]:
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
            hole.start, hole.end = place.span.start, place.span.end
            hole.taken, hole.picked = place.taken, place.picked
            editor.open_holes([hole])
    editor.rows.wrap(0)


def _editor(text_area: TextArea) -> Editor:
    from dgedit.tui.editor.editor import Editor

    assert isinstance(text_area, Editor)
    return text_area
