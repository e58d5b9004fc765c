"""Markers, and the passage around some spans that a model reads.

    <FILL>                          marks a hole
    <FILL: the smaller of both>     and says what is wanted there

Knows texts and spans; how spans are named, `ranges` knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dgedit.errors import InputError
from dgedit.files.document import Document, Span, readable
from dgedit_engine.types import MOST_JUDGED, Hole, Passage

MARKER = "<FILL>"

_LINE_END = re.compile(r"\r\n|\n|\r")

# How much of a file a passage shows, in characters: what precedes matters more than what follows.
_BEFORE = 16_000
_AFTER = 8_000
_STRIDE = 4_096
# Above this the holes and the text between them are no longer one passage.
_WITHIN = 64_000

# What a marker says: of angle brackets, arrows and pairs alone. No other marker begins in it, or
# each one of a long line would be looked for up to the line's end.
_WORDS = r"(?::(?P<words>(?:(?!{begin})(?:[-=]>|<[^<>\r\n]*>|[^<>\r\n]))*))?"


@dataclass(frozen=True, slots=True)
class Marked:
    """A marker in a text."""

    span: Span
    """Where it is, with what it says."""
    words: str
    """What it says; empty for one that says nothing."""


def marked(text: str, marker: str = MARKER) -> list[Marked]:
    """The markers of a text, in order. One that ends in `>` may say what is wanted: `<FILL: …>`."""
    return [
        Marked(Span(*found.span()), (found.groupdict().get("words") or "").strip())
        for found in _pattern(marker).finditer(text)
    ]


def instruction_of(said: str, words: Sequence[str]) -> str:
    """One instruction for holes that are filled together: what was said of all of them, then what
    each one's marker says, once where all say the same.
    """
    if len(set(words)) == 1:
        own = words[0]
    else:
        own = "\n".join(f"hole {at}: {one}" for at, one in enumerate(words, 1) if one)
    return "\n".join(part for part in (said, own) if part)


def passage(document: Document, spans: Sequence[Span], *, marker: str = MARKER) -> Passage:
    """The excerpt around the spans, in order and not overlapping, as a model is to read it.

    A span that holds the marker is an empty hole; any other hole holds its present text. What the
    model is not to read goes along, where the document is a whole file that can be judged. Raises
    InputError when the spans and what lies between them are too much for one passage.
    """
    text = document.text
    refuse_far_apart(spans, str(document.path or "the text"))
    parts: list[str | Hole] = []
    start = done = _excerpt_start(text, spans[0].start)
    for span in spans:
        held = text[span.start : span.end]
        parts.append(readable(text[done : span.start]))
        parts.append(Hole("" if _pattern(marker).fullmatch(held) else readable(held)))
        done = span.end
    end = _excerpt_end(text, done)
    parts.append(readable(text[done:end]))
    name = str(document.path) if document.path else ""
    whole = len(text) <= MOST_JUDGED and not document.outside.characters
    above, below = (text[:start], text[end:]) if whole else ("", "")
    kept = tuple(part for part in parts if part != "")
    return Passage(readable(name), kept, readable(above), readable(below))


def refuse_far_apart(spans: Sequence[Span], name: str) -> None:
    """Raise InputError when the spans and what lies between them are too much for one passage."""
    within = spans[-1].end - spans[0].start if spans else 0
    if within > _WITHIN:
        raise InputError(f"{name}: {within:,} characters to fill; at most {_WITHIN:,} fit")


def position(text: str, offset: int) -> tuple[int, int]:
    """The line and the column of an offset, both counted from 1."""
    starts = [0, *(end.end() for end in _LINE_END.finditer(text, 0, offset))]
    # Between \r and \n one is still on the line that they end.
    if text[offset - 1 : offset + 1] == "\r\n":
        starts.pop()
    return len(starts), offset - starts[-1] + 1


@lru_cache(maxsize=16)
def _pattern(marker: str) -> re.Pattern[str]:
    if marker.endswith(">"):
        begin = re.escape(marker[:-1])
        return re.compile(begin + _WORDS.replace("{begin}", begin or "(?!)") + ">")
    return re.compile(re.escape(marker))


def _excerpt_start(text: str, hole: int) -> int:
    """Where the excerpt begins: at a line start, if one is within reach.

    It moves by whole strides, so that what a model keeps of a prompt survives most edits.
    """
    reach = (hole - _BEFORE) // _STRIDE * _STRIDE
    if reach <= 0:
        return 0
    starts = [end.end() for end in _LINE_END.finditer(text, reach - 1, hole)]
    return starts[0] if starts else reach


def _excerpt_end(text: str, hole: int) -> int:
    """Where the excerpt ends: at a line start, if one is within reach."""
    reach = hole + _AFTER
    if reach >= len(text):
        return len(text)
    starts = [end.end() for end in _LINE_END.finditer(text, hole, reach)]
    return starts[-1] if starts else reach
