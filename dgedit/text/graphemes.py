"""Where one character ends for whoever reads it: the boundaries of grapheme clusters.

A family of emoji, a flag, a letter with its accents, a Hangul syllable and \\r\\n are one each, as
in UAX #29, whose tables the `regex` library keeps.

Knows strings; nothing of cells or widgets. Fast because most of a text is ASCII, where every place
is a boundary: only the stretch around the cursor without an ASCII character is looked at.
"""

from __future__ import annotations

import regex

_CLUSTER = regex.compile(r"\X")
# No cluster of a text that means something is longer; one made to stall the editor is cut.
_REACH = 4_096


def right_of(text: str, index: int) -> int:
    """The next boundary after an offset; the text's end at last."""
    if index >= len(text) - 1 or _plain(text, index + 1):
        return min(index + 1, len(text))
    at = left_end(text, index)
    while at <= index:
        match = _CLUSTER.match(text, at, min(len(text), at + _REACH))
        assert match is not None
        at = match.end()
    return at


def left_of(text: str, index: int) -> int:
    """The last boundary before an offset; the text's start at last."""
    return left_end(text, index - 1) if index > 0 else 0


def left_end(text: str, index: int) -> int:
    """The offset itself when it is a boundary, else the last one before it."""
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
    """Whether an offset is surely a boundary: between ASCII characters, but not in \\r\\n."""
    pair = text[index - 1 : index + 1]
    return index <= 0 or (pair.isascii() and pair != "\r\n")
