"""Mask text with holes, let a hole grow, or close it (F2 and Shift+F2).

    a selection        masked itself; of whole lines, without the end of the last one
    at a marker        all of it, `<FILL: …>`
    on a character     the smallest syntax node at the cursor; F2 again: the next larger one, and
                       after the largest the hole is closed
    in an indentation  the same, from the line's first character
    on another blank, at a line's end, in an empty line    an insertion point
    on a hole          one from a selection, or an insertion point, is closed

Shift+F2 opens an insertion point wherever the cursor is, and closes any hole that is there. In a
text without a grammar, words, lines and paragraphs take the place of syntax nodes.

Knows one editor's text, its grammar and its holes. Parses the whole text when asked: 15 ms for
1,000 lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from textual.document._document import Selection
from tree_sitter import Parser

from dgedit.files.document import Span
from dgedit.request.markers import marked
from dgedit.text.blanks import Blanks, usual
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.highlighting import Syntax
from dgedit.tui.editor.holes import OpenHole


class SyntaxPart(NamedTuple):
    """A part of a text that can be masked."""

    span: Span
    """Its span."""
    kind: str
    """Its kind, in words."""


_GAP = re.compile(r"(?>\r\n|\n|\r)[ \t]*(?>\r\n|\n|\r)")
_INDENTED = re.compile(r"[ \t]+(?=\S)")
_WORD = re.compile(r"\w+|[^\w\s]")
_POINT = "insertion point"


def mask(editor: Editor) -> str:
    """Mask the selection or the text at the cursor; let a hole there grow, or close it.

    Returns a message: what was masked and where, or why nothing happened.
    """
    span = _aimed_at(editor)
    met = _met(editor, span)
    hole = met[0] if len(met) == 1 and met[0].grows and span.start == span.end else None
    if met and hole is None:
        return _close(editor, met)
    if span.start < span.end:
        done = _open(editor, OpenHole(span.start, span.end), "masked the selection")
        own = usual(editor.file.path)
        count = len(own.places(editor.text[span.start : span.end])) if own else 0
        return f"{done}; {count} blanks: the command template keeps the rest" if count else done
    text = editor.text
    if hole is None and (marker := _marker_at(editor, span.start)) is not None:
        return _open(editor, OpenHole(marker.start, marker.end), "masked the marker")
    if hole is None and (span.start == len(text) or text[span.start].isspace()):
        return _open(editor, OpenHole(span.start, span.start), _POINT)
    inner = Span(span.start, span.start + 1) if hole is None else hole.span
    larger = next(_parts(text, inner, editor.syntax, strict=hole is not None), None)
    if larger is None:
        assert hole is not None  # without a hole, some part holds the character
        return _close(editor, met)
    grown = OpenHole(larger.span.start, larger.span.end, grows=True)
    if any(other is not hole for other in _met(editor, larger.span)):
        _close(editor, met)
        return f"no longer masked: {larger.kind}, the next larger part, has another hole in it"
    editor.holes[:] = [other for other in editor.holes if other is not hole]
    return _open(editor, grown, f"masked {larger.kind}", stay=True)


def template(editor: Editor, blanks: Blanks) -> str:
    """Mask the selection, or the hole at the cursor, from its first blank to its last, as a
    template. Returns a message.
    """
    span = _aimed_template(editor)
    places = blanks.places(editor.text[span.start : span.end])
    if not places:
        return f"no blank {blanks.character!r} is selected"
    met = _met(editor, span)
    editor.holes[:] = [hole for hole in editor.holes if hole not in met]
    first, last = span.start + places[0], span.start + places[-1] + 1
    count = f"{len(places)} blank{'' if len(places) == 1 else 's'}"
    return _open(editor, OpenHole(first, last, blanks=blanks), f"masked a template of {count}")


def aimed_text(editor: Editor) -> str:
    """Return the text that `template` would mask."""
    span = _aimed_template(editor)
    return editor.text[span.start : span.end]


def point(editor: Editor) -> str:
    """Open an insertion point at the cursor, or close the holes there. Returns a message."""
    span = _selected(editor)
    if met := _met(editor, span):
        return _close(editor, met)
    return _open(editor, OpenHole(span.end, span.end), _POINT)


def _selected(editor: Editor) -> Span:
    return Span(*sorted(map(editor.buffer.index, editor.selection)))


def _aimed_template(editor: Editor) -> Span:
    span = _selected(editor)
    if span.start == span.end and (met := _met(editor, span)):
        return met[0].span
    return span


def _aimed_at(editor: Editor) -> Span:
    """Return the span to mask.

    A selection of whole lines loses its last line ending; a cursor in an indentation outside of
    holes moves to the line's first character.
    """
    span = _selected(editor)
    row, column = editor.buffer.location(span.end)
    if span.start < span.end and column == 0:
        end = editor.buffer.index((row - 1, len(editor.buffer[row - 1])))
        return Span(span.start, end) if span.start < end else span
    if span.start < span.end or _met(editor, span):
        return span
    line = editor.buffer.index((editor.cursor_location[0], 0))
    indented = _INDENTED.match(editor.text, line)
    at = max(span.start, indented.end()) if indented else span.start
    return Span(at, at)


def _marker_at(editor: Editor, at: int) -> Span | None:
    """Return the marker that a place is in, or at an end of."""
    row = editor.buffer.location(at)[0]
    start = editor.buffer.index((row, 0))
    spans = (one.span for one in marked(editor.buffer[row]))
    touched = (Span(start + one.start, start + one.end) for one in spans)
    return next((one for one in touched if one.start <= at <= one.end), None)


def _met(editor: Editor, span: Span) -> list[OpenHole]:
    """Return the holes that a span overlaps; for a cursor, those that it touches."""
    start, end = span.start, span.end
    return [
        hole
        for hole in editor.holes
        if hole.start <= start == end <= hole.end or (hole.start < end and start < hole.end)
    ]


def _open(editor: Editor, hole: OpenHole, done: str, *, stay: bool = False) -> str:
    with editor.steady():
        editor.open_holes([hole])
        at = editor.buffer.location(hole.start)
        if not stay or editor.cursor_location < at:
            editor.selection = Selection.cursor(max(editor.selection.end, at))
    first, last = (editor.buffer.location(index)[0] + 1 for index in (hole.start, hole.end))
    return f"{done}, line {first}" if first == last else f"{done}, lines {first}–{last}"


def _close(editor: Editor, holes: list[OpenHole]) -> str:
    with editor.steady():
        editor.holes[:] = [hole for hole in editor.holes if hole not in holes]
        editor.rows.wrap(0)
        editor.selection = Selection.cursor(editor.selection.end)
    return "no longer masked"


def _parts(text: str, inner: Span, syntax: Syntax | None, *, strict: bool) -> Iterator[SyntaxPart]:
    """Yield the parts of a text that hold a span, smallest first; `strict`: only larger ones."""
    for part in _nodes(text, inner, syntax) if syntax else _plain(text, inner):
        span = part.span
        larger = span.start <= inner.start and inner.end <= span.end and span != inner
        if larger or (span == inner and not strict):
            yield part


def _nodes(text: str, inner: Span, syntax: Syntax) -> Iterator[SyntaxPart]:
    """Yield the named nodes of the syntax tree that hold a span."""
    source = text.encode("utf-8", "replace")
    first, last = (len(text[:at].encode("utf-8", "replace")) for at in (inner.start, inner.end))
    node = Parser(syntax.language).parse(source).root_node.descendant_for_byte_range(first, last)
    while node is not None:
        start, end = (
            len(source[:at].decode("utf-8", "ignore")) for at in (node.start_byte, node.end_byte)
        )
        # Some grammars include the line ending, or blanks.
        end = start + len(text[start:end].rstrip())
        if node.is_named and start < end:
            kind = "text" if node.is_error else node.type.replace("_", " ")
            yield SyntaxPart(Span(start, end), kind)
        node = node.parent


def _plain(text: str, inner: Span) -> Iterator[SyntaxPart]:
    """Yield the word, the line without its indentation, and the paragraph."""
    first = max(text.rfind(end, 0, inner.start) for end in "\n\r") + 1
    stops = [at for at in (text.find(end, inner.end) for end in "\n\r") if at >= 0]
    last = min(stops, default=len(text))
    for word in _WORD.finditer(text, first, last):
        if word.start() <= inner.start < word.end():
            yield SyntaxPart(Span(*word.span()), "word")
    line = text[first:last]
    yield SyntaxPart(
        Span(first + len(line) - len(line.lstrip()), first + len(line.rstrip())), "line"
    )
    before = [gap.end() for gap in _GAP.finditer(text, 0, first)]
    after = _GAP.search(text, last)
    end = after.start() if after else len(text.rstrip())
    yield SyntaxPart(Span(before[-1] if before else 0, end), "paragraph")
