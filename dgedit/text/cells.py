"""Map the columns of a line to terminal cells, and decide where a long line wraps.

A row breaks after the last space that fits; that space may use the cell reserved for the cursor. A
word longer than a row breaks at the row's end. Printable ASCII is measured by its length; for other
long lines the cell of every 256th character is cached.

Knows texts and cells; nothing of files, holes or keys.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

from rich.cells import cell_len

from dgedit.text.visible import visible

_CHUNK = 256


def shown(text: str, x: int, tab_width: int) -> str:
    """Return what the terminal is given for a text that starts at cell x: tabs expanded, control
    characters made visible.
    """
    if text.isprintable():
        return text
    parts = text.split("\t")
    out = visible(parts[0])
    at = x + cell_len(out)
    for part in parts[1:]:
        blank = tab_width - at % tab_width
        seen = visible(part)
        out += " " * blank + seen
        at += blank + cell_len(seen)
    return out


def width_of(text: str, tab_width: int) -> int:
    """Return the width in cells of a text that starts at the beginning of a row."""
    if text.isascii() and text.isprintable():
        return len(text)
    return cell_len(shown(text, 0, tab_width))


def cell_of(text: str, column: int, x: int, tab_width: int) -> int:
    """Return the cell of a column of a text that starts at cell x."""
    if text.isascii() and text.isprintable():
        return x + min(column, len(text))
    if len(text) <= _CHUNK:
        return x + cell_len(shown(text[:column], x, tab_width))
    chunk = min(column, len(text)) // _CHUNK
    start = _marks(text, x, tab_width)[chunk]
    return start + cell_len(shown(text[chunk * _CHUNK : column], start, tab_width))


def column_of(text: str, cell: int, x: int, tab_width: int) -> int:
    """Return the number of characters that lie left of a cell, if the text starts at cell x."""
    if text.isascii() and text.isprintable():
        return max(0, min(cell - x, len(text)))
    chunk, start = 0, x
    if len(text) > _CHUNK:
        marks = _marks(text, x, tab_width)
        chunk = max(0, bisect_right(marks, cell) - 1)
        start = marks[chunk]
    part = text[chunk * _CHUNK : (chunk + 1) * _CHUNK]
    ends = range(1, len(part) + 1)
    left = bisect_right(
        ends, cell, key=lambda end: start + cell_len(shown(part[:end], start, tab_width))
    )
    return min(chunk * _CHUNK, len(text)) + left


@lru_cache(maxsize=256)
def breaks(text: str, width: int, tab_width: int) -> tuple[int, ...]:
    """Return the columns at which the second and all later rows of a wrapped line start."""
    found = []
    start = 0
    if text.isascii() and text.isprintable():
        while len(text) - start > width:
            start = _break(text, start, start + width)
            found.append(start)
        return tuple(found)
    while True:
        # No character takes more than ten cells, but some take none.
        part = text[start : start + _CHUNK + 10 * width]
        fits = column_of(part, width, 0, tab_width)
        if start + fits >= len(text):
            return tuple(found)
        stop = start + max(1, fits)
        while stop < len(text) and cell_len(text[stop]) == 0 and text[stop].isprintable():
            stop += 1  # keep an accent with its letter
        start = _break(text, start, stop)
        found.append(start)


def row_count(text: str, width: int, tab_width: int) -> int:
    """Count the rows that a wrapped line takes."""
    if len(text) <= width and text.isascii() and "\t" not in text and text.isprintable():
        return 1
    cut = breaks if len(text) > _CHUNK else breaks.__wrapped__  # short lines would fill the cache
    return len(cut(text, width, tab_width)) + 1


def _break(text: str, start: int, stop: int) -> int:
    """Return the column where the next row starts if the columns before `stop` fit."""
    blank = text.rfind(" ", start, stop + 1)
    return stop if blank < 0 or text[start:blank].isspace() or blank == start else blank + 1


@lru_cache(maxsize=64)
def _marks(text: str, x: int, tab_width: int) -> list[int]:
    """Return the cell at which each chunk of a long text starts."""
    found = [x]
    for at in range(0, len(text), _CHUNK):
        found.append(found[-1] + cell_len(shown(text[at : at + _CHUNK], found[-1], tab_width)))
    return found
