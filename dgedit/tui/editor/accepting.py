"""Accept drafts into a text: all of a hole, the start of one, or a hunk, each as one undo.

A hole whose whole draft is accepted is closed. If only the start is accepted, the hole continues
behind it as an empty span, as the text it covered has been replaced. If a hunk is accepted, the
hole continues over the changed text.

Knows one editor's text and its holes; nothing of steps, candidates or keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from textual.document._document import Selection

from dgedit.files.document import Document, Span, readable
from dgedit.text.edits import Change, Part
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole, Place
from dgedit.tui.editor.hunks import Hunk


def accept(editor: Editor, drafts: Sequence[tuple[OpenHole, str]]) -> None:
    """Put drafts into their holes, and close these."""
    file = editor.current
    texts = {hole: _fitted(file, hole, text) for hole, text in drafts}
    holes = sorted(texts, key=lambda hole: (hole.start, hole.end))
    grown = {hole: len(texts[hole]) - (hole.end - hole.start) for hole in holes}
    _accept(editor, [Part(one.start, one.end, texts[one]) for one in holes], grown, grown)


def _fitted(file: Document, hole: OpenHole, text: str) -> str:
    """Return what a draft puts into a hole: of a template nothing but its blanks."""
    held = file.text[hole.start : hole.end]
    new = hole.blanks.put(held, readable(held), text) if hole.blanks else None
    return file.fitted(text, hole.span) if new is None else new


def accept_hunk(editor: Editor, hunk: Hunk) -> None:
    """Put a hunk into the text, and close the holes that have no other hunk."""
    grown: Counter[OpenHole] = Counter()
    for change in hunk.changes:
        grown.update(change.grown)
    parts = [Part(one.span.start, one.span.end, one.text) for one in hunk.changes]
    _accept(editor, parts, grown, hunk.closed)


def accept_start(editor: Editor, hole: OpenHole, text: str) -> None:
    """Put the start of a hole's draft into the text; the cursor goes behind it."""
    part = Part(hole.start, hole.end, editor.current.fitted(text, hole.span))
    end = hole.start + len(part.text)
    place = Place(Span(end, end), hole.taken + text)
    editor.change(Change((part,), (end, end)), goes={hole: place})


def _accept(
    editor: Editor,
    parts: Sequence[Part],
    grown: Mapping[OpenHole, int],
    closed: Collection[OpenHole],
) -> None:
    """Change the text, lengthen the holes in `grown` by their numbers, and close those in
    `closed`.
    """
    spans, by = {}, 0
    for hole in editor.holes:
        if hole in grown:
            spans[hole] = Span(hole.start + by, hole.end + by + grown[hole])
            by += grown[hole]
    goes = {
        hole: None if hole in closed else Place(span, hole.taken, True)
        for hole, span in spans.items()
    }
    change = Change(tuple(parts), editor.selected)
    row, column = editor.cursor_location
    index = editor.buffer.index((row, column))
    inside = next((hole for hole in spans if hole.start <= index <= hole.end), None)
    top = editor.buffer.location(inside.start)[0] if inside else 0
    with editor.steady(change.map):
        editor.change(change, goes=goes)
        cursor = editor.buffer.location(change.map(index))
        if inside is not None:  # keep the cursor on its cell, as far as the text reaches
            start, end = (
                editor.buffer.location(at) for at in (spans[inside].start, spans[inside].end)
            )
            cursor = min((start[0] + row - top, column), end)
        editor.selection = Selection.cursor(cursor)
