"""Where the holes are: `FILE:RANGE` and markers become spans, spans the passage a model reads.

    FILE:10   FILE:10-20   FILE:L10-L20     lines, counted from 1, the last one included
    FILE:10:5-12:3                          lines and columns (code points) from 1, the end excluded
    FILE                                    every marker in the file
    <FILL: the smaller of both>             a marker that says what is wanted there

A line range leaves out its last line ending. Lines end at \\n, \\r\\n and \\r and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from dgedit.document import Document, Span, readable
from dgedit.errors import InputError, UsageError
from dgedit_engine.types import Hole, Passage

MARKER = "<FILL>"

_LINE_END = re.compile(r"\r\n|\n|\r")
_RANGE = re.compile(
    r"L?(?P<line>\d+)(-L?(?P<last>\d+))?"
    r"|L?(?P<from>\d+):(?P<from_column>\d+)-L?(?P<to>\d+):(?P<to_column>\d+)",
    re.ASCII,
)
_AFTER_PATH = re.compile(r"(?P<path>.+?):L?\d[L\d:-]*", re.ASCII | re.DOTALL)

# How much of a file a passage shows, in characters: what precedes matters more than what follows.
_BEFORE = 16_000
_AFTER = 8_000
_STRIDE = 4_096
# Above this the holes and the text between them are no longer one passage.
_WITHIN = 64_000

# What a marker says: of angle brackets, arrows and pairs alone.
_WORDS = r"(?::(?P<words>(?:[-=]>|<[^<>\r\n]*>|[^<>\r\n])*))?"


@dataclass(frozen=True, slots=True)
class Marked:
    """A marker in a text."""

    span: Span
    """Where it is, with what it says."""
    words: str
    """What it says; empty for one that says nothing."""


def parse_target(target: str) -> tuple[Path, str | None]:
    """Split `FILE:RANGE` into the file and the range; None for a file without a range.

    Whatever exists is a file, even with colons in its name.
    """
    at = len(target)
    while at > 0:
        path = Path(target[:at])
        if os.path.exists(path):  # unlike Path's, False for what is too long as well
            return path, target[at + 1 :] if at < len(target) else None
        at = target.rfind(":", 0, at)
    match = _AFTER_PATH.fullmatch(target)
    raise InputError(f"no such file: {match['path'] if match else target}")


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


def spans_of(
    document: Document, ranges: Iterable[str | None], *, marker: str = MARKER
) -> list[Span]:
    """The spans that the ranges name, in order; None stands for every marker.

    Raises UsageError for a malformed range and for overlaps, InputError for a range outside the
    text and for a text that has no marker.
    """
    name = str(document.path or "the text")
    lines = _lines(document.text)
    spans: list[Span] = []
    for one in ranges:
        found = (
            _marker_spans(document.text, marker, name)
            if one is None
            else [_range_span(one, lines, name)]
        )
        spans.extend(found)
    spans.sort()
    for left, right in pairwise(spans):
        if right.start < left.end or left == right:
            line, _ = position(document.text, right.start)
            raise UsageError(f"the ranges overlap at line {line} of {name}")
    return spans


def passage(document: Document, spans: Sequence[Span], *, marker: str = MARKER) -> Passage:
    """The excerpt around the spans, in order and not overlapping, as a model is to read it.

    A span that holds the marker is an empty hole; any other hole holds its present text. Raises
    InputError when the spans and what lies between them are too much for one passage.
    """
    text = document.text
    first, last = spans[0], spans[-1]
    within = last.end - first.start
    if within > _WITHIN:
        most = f"at most {_WITHIN:,} fit"
        raise InputError(f"{document.path or 'the text'}: {within:,} characters to fill; {most}")
    parts: list[str | Hole] = []
    done = _excerpt_start(text, first.start)
    for span in spans:
        held = text[span.start : span.end]
        parts.append(readable(text[done : span.start]))
        parts.append(Hole("" if _pattern(marker).fullmatch(held) else readable(held)))
        done = span.end
    parts.append(readable(text[done : _excerpt_end(text, done)]))
    name = str(document.path) if document.path else ""
    return Passage(readable(name), tuple(part for part in parts if part != ""))


def position(text: str, offset: int) -> tuple[int, int]:
    """The line and the column of an offset, both counted from 1."""
    starts = [0, *(end.end() for end in _LINE_END.finditer(text, 0, offset))]
    # Between \r and \n one is still on the line that they end.
    if text[offset - 1 : offset + 1] == "\r\n":
        starts.pop()
    return len(starts), offset - starts[-1] + 1


def _lines(text: str) -> list[Span]:
    """Every line without its ending; the empty rest after a final line ending is no line."""
    spans, start = [], 0
    for end in _LINE_END.finditer(text):
        spans.append(Span(start, end.start()))
        start = end.end()
    return [*spans, Span(start, len(text))] if start < len(text) else spans


@lru_cache(maxsize=16)
def _pattern(marker: str) -> re.Pattern[str]:
    if marker.endswith(">"):
        return re.compile(re.escape(marker[:-1]) + _WORDS + ">")
    return re.compile(re.escape(marker))


def _marker_spans(text: str, marker: str, name: str) -> list[Span]:
    if not marker:
        raise UsageError("the marker must not be empty")
    found = [one.span for one in marked(text, marker)]
    if not found:
        raise InputError(f"{name} has no {marker}, and no range was given")
    return found


def _range_span(given: str, lines: Sequence[Span], name: str) -> Span:
    match = _RANGE.fullmatch(given)
    if not match:
        raise UsageError(f"not a range: {given!r} (try 10, 10-20 or 10:5-12:3)")
    if match["line"]:
        first, last = int(match["line"]), int(match["last"] or match["line"])
        ordered = 1 <= first <= last
    else:
        first, last = int(match["from"]), int(match["to"])
        columns = int(match["from_column"]), int(match["to_column"])
        ordered = (1, 1) <= (first, columns[0]) <= (last, columns[1]) and min(columns) >= 1
    if not ordered:
        raise UsageError(f"not a range: {given!r} (it counts from 1, and the start comes first)")
    if last > len(lines):
        has = f"{len(lines)} line{'' if len(lines) == 1 else 's'}"
        raise InputError(f"range {given} is outside {name}, which has {has}")
    if match["line"]:
        return Span(lines[first - 1].start, lines[last - 1].end)
    ends = []
    for line, column in zip((lines[first - 1], lines[last - 1]), columns, strict=True):
        if line.start + column - 1 > line.end:
            raise InputError(f"range {given} is outside {name}: column {column} is past the line")
        ends.append(line.start + column - 1)
    return Span(*ends)


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
