"""Find the words that a begun one may be, the nearest first.

Looks outwards from a place, line by line, and no further than a bound, so that a key in a text of
any size costs the same. Knows lines of text; nothing of cursors or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import regex

_BEGUN = regex.compile(r"(?r)\b\w[\w\p{M}]*\Z")
_ENDING = r"\b(?<!\p{M})%s\K[\w\p{M}]+"

# Characters that are looked at, and the most endings that are offered.
_REACH = 1_000_000
_MOST = 50
# Characters of a begun word; what is longer is completed by none.
_LONGEST = 200


def begun_at(line: str, column: int) -> str:
    """Return the part of a word that stands before a column; empty where none does."""
    match = _BEGUN.search(line[max(0, column - _LONGEST) : column])
    return str(match[0]) if match else ""


def endings(begun: str, here: tuple[int, int], texts: Iterable[Sequence[str]]) -> list[str]:
    """Return how a begun word may go on, as typed: first as the words do that are nearest to it.

    `here` is the row and column behind it in the first of the texts, which are lines each; of the
    others the rows are looked at from the first on.
    """
    pattern = regex.compile(_ENDING % regex.escape(begun, literal_spaces=True))
    found: dict[str, None] = {}
    left = _REACH
    for at, lines in enumerate(texts):
        row, column = here if at == 0 else (0, -1)
        for near in _outwards(row, len(lines)):
            line = lines[near]
            left -= len(line) + 1
            if left < 0 or len(found) >= _MOST:
                return list(found)[:_MOST]
            if begun in line:
                matches = [(one.start(), one[0]) for one in pattern.finditer(line)]
                if near == row and column >= 0:  # this one itself is none of them
                    matches = [one for one in matches if one[0] != column]
                    matches.sort(key=lambda one: (one[0] > column, abs(one[0] - column)))
                elif near < row:
                    matches.reverse()
                found |= dict.fromkeys(ending for _, ending in matches)
    return list(found)[:_MOST]


def _outwards(row: int, count: int) -> Iterator[int]:
    """Yield the rows from one on in both directions, those above first."""
    yield from range(row, min(row + 1, count))
    for by in range(1, max(row + 1, count - row)):
        if row - by >= 0:
            yield row - by
        if row + by < count:
            yield row + by
