"""The next larger part of a text around a selection.

By the parts that a grammar has, where there is one, else by words, brackets, lines and paragraphs;
in the end all of it. Knows strings and offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex

from dgedit.text.edits import Selection, lead_of, line_at, lines_of, matching_bracket, word_at
from dgedit.text.pairs import BRACKETS

_SIGNS = regex.compile(r"(?r)[()\[\]{}]")
# Signs on the left that are looked at for a bracket around a place.
_ENOUGH = 10_000


def expanded(text: str, selection: Selection, parts: Iterable[Selection] | None) -> Selection:
    """Return the smallest part that holds a selection and more; itself, where that is all. `parts`
    are those around it that a grammar has, None where there is no grammar.
    """
    start, end = sorted(selection)
    found = [*_words(text, start, end), (0, len(text))]
    found += _plain(text, start, end) if parts is None else parts
    larger = [
        (last - first, first, last)
        for first, last in found
        if first <= start and end <= last and last - first > end - start
    ]
    return min(larger)[1:] if larger else (start, end)


def _words(text: str, start: int, end: int) -> Iterator[Selection]:
    first, last = word_at(text, start)
    if end <= last and (text[first:last][:1].isalnum() or text[first:last][:1] == "_"):
        yield first, last


def _plain(text: str, start: int, end: int) -> Iterator[Selection]:
    yield from _brackets(text, start, end)
    lines = lines_of(text, (start, end))
    first, last = lines[0], lines[-1]
    yield first.start + lead_of(text, first), last.end
    yield first.start, last.end
    while first.start > 0 and (above := line_at(text, first.start - 1)).end > above.start:
        if not text[above.start : above.end].strip():
            break
        first = above
    while (
        last.stop > last.end and text[last.stop : (below := line_at(text, last.stop)).end].strip()
    ):
        last = below
    yield first.start, last.end


def _brackets(text: str, start: int, end: int) -> Iterator[Selection]:
    """Yield what is between two brackets around a place, without them and with them, from the
    inside.
    """
    open_: list[str] = []
    for count, match in enumerate(_SIGNS.finditer(text, 0, start)):
        if count == _ENOUGH:
            return
        sign = match[0]
        if sign not in BRACKETS:
            open_.append(sign)
        elif open_ and BRACKETS[sign] == open_[-1]:
            open_.pop()
        elif not open_:
            close = matching_bracket(text, match.start())
            if close is not None and close >= end:
                yield match.end(), close
                yield match.start(), close + 1
