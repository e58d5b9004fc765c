"""Find markers, and cut the passage around some spans that a model reads.

    <FILL>                          marks a hole
    <FILL: the smaller of both>     and says what is wanted there

Knows texts and spans; `ranges` knows how a user names spans.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dgedit.errors import InputError
from dgedit.files.document import LINE_END, Document, Span, readable
from dgedit.text.blanks import Blanks
from dgedit_engine.types import MOST_JUDGED, Hole, Passage

MARKER = "<FILL>"


# The size of a passage around its holes, in characters: what precedes matters more.
_BEFORE = 16_000
_AFTER = 8_000
_STRIDE = 4_096
# The most characters from the first hole to the last one's end in one passage.
_WITHIN = 64_000

# A marker's instruction. It may hold arrows and pairs of angle brackets, but no start of another
# marker: otherwise a long line with many starts would be searched to its end for each of them.
_WORDS = r"(?::(?P<words>(?:(?!{begin})(?:[-=]>|<[^<>\r\n]*>|[^<>\r\n]))*))?"


@dataclass(frozen=True, slots=True)
class Marked:
    """A marker in a text."""

    span: Span
    """The marker with its instruction."""
    words: str
    """Its instruction; empty if there is none."""


def marked(text: str, marker: str = MARKER) -> list[Marked]:
    """Return the markers of a text, in order.

    A marker that ends in `>` may hold an instruction: `<FILL: …>`.
    """
    return [Marked(Span(*found.span()), _words(found)) for found in _pattern(marker).finditer(text)]


def instruction_of(said: str, words: Sequence[str]) -> str:
    """Combine instructions for holes that are filled together: the common one, then that of each
    marker, only once if all are the same.
    """
    if len(set(words)) == 1:
        own = words[0]
    else:
        own = "\n".join(f"hole {at}: {one}" for at, one in enumerate(words, 1) if one)
    return "\n".join(part for part in (said, own) if part)


def passage(
    document: Document,
    spans: Sequence[Span],
    *,
    marker: str = MARKER,
    blanks: Sequence[Blanks | None] = (),
) -> Passage:
    """Cut the excerpt around the spans, which are in order and do not overlap, for a model.

    A span that holds just the marker becomes an empty hole; any other hole keeps its text, and with
    `blanks`, one for each span or none, is a template. If the
    document is a whole file, small enough to be checked for syntax errors, the text around the
    excerpt goes along unread. Raises InputError if the spans and what lies between them exceed one
    passage.
    """
    text = document.text
    refuse_far_apart(spans, str(document.path or "the text"))
    parts: list[str | Hole] = []
    start = done = _excerpt_start(text, spans[0].start)
    for at, span in enumerate(spans):
        held = text[span.start : span.end]
        parts.append(readable(text[done : span.start]))
        own = blanks[at] if blanks else None
        parts.append(Hole() if is_marker(held, marker) else _hole(readable(held), own))
        done = span.end
    end = _excerpt_end(text, done)
    parts.append(readable(text[done:end]))
    name = str(document.path) if document.path else ""
    whole = len(text) <= MOST_JUDGED and not document.outside.characters
    above, below = (text[:start], text[end:]) if whole else ("", "")
    kept = tuple(part for part in parts if part != "")
    return Passage(readable(name), kept, readable(above), readable(below))


def words_of(held: str, marker: str = MARKER) -> str:
    """Return the instruction of a marker that is all a hole holds; else nothing."""
    found = _pattern(marker).fullmatch(held)
    return _words(found) if found else ""


def is_marker(text: str, marker: str) -> bool:
    """Say whether a text is a marker and nothing else."""
    return _pattern(marker).fullmatch(text) is not None


def trimmed(document: Document, span: Span, blanks: Blanks) -> Span:
    """Return a template's span from its first blank to its last: what is before and behind them
    need not be filled. Raises InputError where there is none.
    """
    places = blanks.places(document.text[span.start : span.end])
    if not places:
        line = position(document.text, span.start)[0] + document.outside.lines
        name = document.path or "the text"
        raise InputError(f"{name} has no blank {blanks.character!r} from line {line} on to fill")
    return Span(span.start + places[0], span.start + places[-1] + 1)


def refuse_far_apart(spans: Sequence[Span], name: str) -> None:
    """Raise InputError if the spans and what lies between them exceed one passage."""
    within = spans[-1].end - spans[0].start if spans else 0
    if within > _WITHIN:
        raise InputError(f"{name}: {within:,} characters to fill; at most {_WITHIN:,} fit")


def position(text: str, offset: int) -> tuple[int, int]:
    """Return the line and the column of an offset, both counted from 1."""
    starts = [0, *(end.end() for end in LINE_END.finditer(text, 0, offset))]
    # An offset between \r and \n is still on the line that they end.
    if text[offset - 1 : offset + 1] == "\r\n":
        starts.pop()
    return len(starts), offset - starts[-1] + 1


def _hole(text: str, blanks: Blanks | None) -> Hole:
    if blanks is None:
        return Hole(text)
    return Hole(text, blanks.places(text), blanks.alphabet)


@lru_cache(maxsize=16)
def _pattern(marker: str) -> re.Pattern[str]:
    if marker.endswith(">"):
        begin = re.escape(marker[:-1])
        return re.compile(begin + _WORDS.replace("{begin}", begin or "(?!)") + ">")
    return re.compile(re.escape(marker))


def _words(found: re.Match[str]) -> str:
    return (found.groupdict().get("words") or "").strip()


def _excerpt_start(text: str, hole: int) -> int:
    """Return where the excerpt begins: at a line start, if one is within reach.

    It moves in whole strides, so that the cached prefix of a prompt survives most edits.
    """
    reach = (hole - _BEFORE) // _STRIDE * _STRIDE
    if reach <= 0:
        return 0
    starts = [end.end() for end in LINE_END.finditer(text, reach - 1, hole)]
    return starts[0] if starts else reach


def _excerpt_end(text: str, hole: int) -> int:
    """Return where the excerpt ends: at a line start, if one is within reach."""
    reach = hole + _AFTER
    if reach >= len(text):
        return len(text)
    starts = [end.end() for end in LINE_END.finditer(text, hole, reach)]
    return starts[-1] if starts else reach
