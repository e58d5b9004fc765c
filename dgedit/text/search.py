"""Find and replace in a whole text, by plain text or by regular expression.

Lines are searched as if each ended in one newline, so that `$` and `\\n` mean the same whatever the
file's line endings are. Plain text is searched by `re`, which no text can stall; an expression by
`regex`, which gives up at a deadline and releases the interpreter lock while it runs.

Knows lines, columns and expressions; nothing of widgets. Meant for a thread: 50,000 lines take 15
to 60 ms for a plain text and 80 to 300 ms for an expression, on one slow core.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import regex

from dgedit.text.edits import Part

# Nobody counts further, and 100,000 places take 10 MB.
MOST = 100_000
# Seconds until the search for an expression is abandoned.
DEADLINE = 2.0

# Of a long line with a place in it, the characters before the place and from it on that are shown.
_LEAD, _SHOWN = 60, 240
_WORD = re.compile(r"\w")
_LINE_END = re.compile(r"\r\n|\n|\r")

# What is escaped in a template, one after the other; a zero with digits is a character's number.
_ESCAPED = re.compile(r"\\(?:0[0-7]+|.)", re.DOTALL)
# A file with a NUL is not text, and surrogates cannot be stored.
_UNFIT = re.compile("[\0\ud800-\udfff]")

Place = tuple[int, int]
"""A row and a column."""


class SearchError(ValueError):
    """The reason why there is no result, in one line."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search as the user asked for it."""

    text: str
    """The text or expression, as typed."""
    regex: bool = False
    """True if it is a regular expression."""
    case: bool = False
    """True if upper and lower case differ."""
    words: bool = False
    """True if only whole words match."""

    @property
    def needle(self) -> tuple[bytes, bool]:
        """What each UTF-8 text holds that it is found in, and whether to look for that in small
        letters; empty where bytes do not tell.
        """
        if self.regex or not (self.case or self.text.isascii()):
            return b"", False
        data = self.text.encode("utf-8", "surrogateescape")
        return (data, False) if self.case else (data.lower(), True)


@dataclass(frozen=True, slots=True)
class Found:
    """The matches of a query."""

    query: Query
    """The query."""
    spans: Sequence[tuple[int, int]] = ()
    """First and last offset of each match, in the text with a newline after each line."""
    rows: Sequence[int] = (0,)
    """The offset at which each row starts in that text."""
    more: bool = False
    """True if there are more matches than these."""

    def place(self, at: int) -> tuple[Place, Place]:
        """Return where a match starts and ends."""
        start, end = self.spans[at]
        return self.place_of(start), self.place_of(end)

    def after(self, place: Place) -> int:
        """Return the index of the first match at or after a place; their number if none."""
        return bisect_left(self.spans, (self.offset(place), -1))

    def which(self, start: Place, end: Place) -> int | None:
        """Return the index of the match with exactly this start and end; None if there is none."""
        at = bisect_left(self.spans, (self.offset(start), self.offset(end)))
        same = at < len(self.spans) and self.place(at) == (start, end)
        return at if same else None

    def columns(self, row: int) -> list[tuple[int, int]]:
        """Return the columns of the matches in a row, as start and end."""
        if not self.spans or row >= len(self.rows):
            return []
        start = self.rows[row]
        stop = self.rows[row + 1] if row + 1 < len(self.rows) else self.spans[-1][1] + 1
        first = max(0, bisect_right(self.spans, (start, -1)) - 1)
        found = []
        for begin, end in self.spans[first:]:
            if begin >= stop:
                break
            if end > start:
                found.append((max(0, begin - start), min(end, stop) - start))
        return found

    def place_of(self, offset: int) -> Place:
        """Convert an offset to a row and a column."""
        row = bisect_right(self.rows, offset) - 1
        return row, offset - self.rows[row]

    def offset(self, place: Place) -> int:
        """Convert a row and a column to an offset."""
        row, column = place
        return self.rows[min(row, len(self.rows) - 1)] + column


@dataclass(frozen=True, slots=True)
class Hit:
    """A place, and the line that it begins in."""

    start: Place
    """Where it begins."""
    end: Place
    """Where it ends."""
    line: str
    """As much of the line as is shown, without the blanks before it."""
    at: int
    """Where in that it begins."""


def search(lines: Sequence[str], query: Query, *, seconds: float = DEADLINE) -> Found:
    """Find every match. Raises SearchError if the expression is invalid or takes too long."""
    text = "\n".join(lines)
    spans: list[tuple[int, int]] = []
    for match in _matches(text, query, seconds):
        if len(spans) == MOST:
            return Found(query, spans, _rows(lines), more=True)
        spans.append(match.span())
    return Found(query, spans, _rows(lines))


def hits(text: str, query: Query, *, most: int = MOST, seconds: float = DEADLINE) -> Iterator[Hit]:
    """Yield each place, with its line, in a text whose lines end in one newline. Raises SearchError
    as `search` does.
    """
    row = begin = 0
    for match in islice(_matches(text, query, seconds), most):
        start, end = match.span()
        if newlines := text.count("\n", begin, start):
            row, begin = row + newlines, text.rfind("\n", begin, start) + 1
        lower = text.count("\n", start, end)
        left = max(begin, start - _LEAD)
        line = text[left : start + _SHOWN].partition("\n")[0]
        shown = line[: start - left].lstrip() + line[start - left :]
        last = end - (text.rfind("\n", start, end) + 1 if lower else begin)
        at = len(shown) - len(line) + start - left
        yield Hit((row, start - begin), (row + lower, last), shown, at)


def parts_replaced(
    text: str, query: Query, template: str, newline: str, *, seconds: float = DEADLINE
) -> list[Part]:
    """Return what to put in the place of what in a text as it is stored; see `replacements`."""
    lines, starts, at = list[str](), [0], 0
    for end in _LINE_END.finditer(text):
        lines.append(text[at : end.start()])
        starts.append(at := end.end())
    lines.append(text[at:])
    found = replacements(lines, query, template, seconds=seconds)
    return [
        Part(starts[top] + left, starts[bottom] + right, _LINE_END.sub(newline, new))
        for (top, left), (bottom, right), new in found
    ]


def replacements(
    lines: Sequence[str],
    query: Query,
    template: str,
    *,
    only: tuple[Place, Place] | None = None,
    seconds: float = DEADLINE,
) -> list[tuple[Place, Place, str]]:
    """Return the replacements, each with the start and end of what it replaces; with `only`, that
    of one match.

    In a template for an expression `\\1` and `\\g<name>` stand for groups, `\\0` for the whole
    match, `\\n` and `\\t` for newline and tab. Raises SearchError as `search` does, and for an
    invalid template.
    """
    text = "\n".join(lines)
    found = Found(query, (), _rows(lines))
    first = found.offset(only[0]) if only else 0
    result = []
    for match in _matches(text, query, seconds, first):
        start, end = map(found.place_of, match.span())
        if only is None or only == (start, end):
            result.append((start, end, _expanded(match, query, template)))
        if only is not None:
            break
    return result


def _rows(lines: Sequence[str]) -> list[int]:
    return list(accumulate((len(line) + 1 for line in lines), initial=0))[:-1]


def _expanded(match: re.Match[str] | regex.Match[str], query: Query, template: str) -> str:
    if not query.regex:
        return template
    try:
        text = match.expand(_ESCAPED.sub(_whole_for_zero, template))
    except (re.error, regex.error, IndexError, KeyError, ValueError, OverflowError) as error:
        raise SearchError(f"replacement: {_wrong(error, template)}") from None
    for char in set(_UNFIT.findall(text)):
        if char not in match.string:
            raise SearchError(f"replacement: U+{ord(char):04X} has no place in a text")
    return text


def _whole_for_zero(escaped: re.Match[str]) -> str:
    return r"\g<0>" if escaped[0] == r"\0" else escaped[0]


def _matches(
    text: str, query: Query, seconds: float, first: int = 0
) -> Iterator[re.Match[str] | regex.Match[str]]:
    if not query.text:
        return
    if not query.regex:
        yield from _plain_matches(text, query, first)
        return
    around = r"(?<!\w)(?:{})(?!\w)" if query.words else "{}"
    flags = regex.MULTILINE | (0 if query.case else regex.IGNORECASE)
    until = time.monotonic() + seconds
    try:
        regex.compile(query.text, flags)  # alone, so that an error's position is the user's
        pattern = regex.compile(around.format(query.text), flags)
        for match in pattern.finditer(text, first, timeout=seconds, concurrent=True):
            if time.monotonic() > until:  # many matches, each found within the timeout
                raise TimeoutError
            yield match
    except TimeoutError:
        raise SearchError(f"given up: this takes longer than {seconds:g} s") from None
    except (regex.error, RecursionError, MemoryError, OverflowError) as error:
        raise SearchError(_wrong(error, query.text)) from None


def _plain_matches(text: str, query: Query, first: int) -> Iterator[re.Match[str]]:
    # In small letters, and without a look around, it is found several times as fast.
    what, flags = query.text, 0
    if not query.case and text.isascii() and what.isascii():
        text, what = text.lower(), what.lower()
    elif not query.case:
        flags = re.IGNORECASE
    pattern = re.compile(re.escape(what), flags)
    if not query.words:
        yield from pattern.finditer(text, first)
        return
    while match := pattern.search(text, first):
        start, end = match.span()
        whole = not (_WORD.match(text, start - 1) if start else None) and not _WORD.match(text, end)
        if whole:
            yield match
        first = end if whole else start + 1


def _wrong(error: Exception, text: str) -> str:
    """Describe an error in an expression or a template, with its position counted from 1."""
    what, at = getattr(error, "msg", str(error)), getattr(error, "pos", None)
    if at is not None:
        what += f" at character {at + 1}" if at < len(text) else " at the end"
    return " ".join(what.split()) or type(error).__name__
