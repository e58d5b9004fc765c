"""Find the boundaries of grapheme clusters: where one character ends for a reader.

An emoji family, a flag, a letter with its accents, a Hangul syllable and \\r\\n are one cluster
each, as in UAX #29, whose tables the `regex` library holds.

Knows strings; nothing of cells or widgets. Fast because most text is ASCII, where every offset is a
boundary: only the non-ASCII stretch around the cursor is examined.
"""

from __future__ import annotations

import regex

_CLUSTER = regex.compile(r"\X")
# Longer than any real cluster, in code points; one made to stall the editor is cut here.
_REACH = 4_096

ALONE = regex.compile(r"[\p{GCB=Other}--\p{ExtPict}]*", regex.V1)
"""A run of characters that do not combine with others."""


def right_of(text: str, index: int) -> int:
    """Return the next boundary after an offset, or the end of the text."""
    if index >= len(text) - 1 or _plain(text, index + 1):
        return min(index + 1, len(text))
    at = left_end(text, index)
    while at <= index:
        match = _CLUSTER.match(text, at, min(len(text), at + _REACH))
        assert match is not None
        at = match.end()
    return at


def left_of(text: str, index: int) -> int:
    """Return the last boundary before an offset, or the start of the text."""
    return left_end(text, index - 1) if index > 0 else 0


def left_end(text: str, index: int) -> int:
    """Return the offset itself if it is a boundary, else the last boundary before it."""
    if index <= 0 or index >= len(text) or _plain(text, index):
        return max(0, min(index, len(text)))
    start = index
    while start > max(0, index - _REACH) and not _plain(text, start):
        start -= 1
    at = start
    for match in _CLUSTER.finditer(text, start, min(len(text), index + _REACH)):
        if match.end() > index:
            return int(match.start())
        at = match.end()
    return int(at)


def _plain(text: str, index: int) -> bool:
    """Say whether an offset is certainly a boundary: between ASCII characters, not in \\r\\n."""
    pair = text[index - 1 : index + 1]
    return index <= 0 or (pair.isascii() and pair != "\r\n")
