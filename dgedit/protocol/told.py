"""A text as the other side knows it: its places in lines and units, and what changed since.

Knows texts; nothing of processes or screens.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import Any

from dgedit.files.document import LINE_END
from dgedit.protocol.positions import PositionEncoding, to_column, to_units

_BLOCK = 4096


class Told:
    """A text that was sent, in one version."""

    def __init__(self, text: str, version: int = 1) -> None:
        self.text, self.version = text, version

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end.end() for end in LINE_END.finditer(self.text))]

    def _line(self, row: int) -> str:
        end = self._starts[row + 1] if row + 1 < len(self._starts) else len(self.text)
        return self.text[self._starts[row] : end].rstrip("\r\n")

    def offset(self, row: int, units: int, encoding: PositionEncoding) -> int:
        """Return the offset of a place; of one that is not there, the nearest before it."""
        if not 0 <= row < len(self._starts):
            return 0 if row < 0 else len(self.text)
        return self._starts[row] + to_column(self._line(row), units, encoding)

    def column(self, row: int, units: int, encoding: PositionEncoding) -> int:
        """Return a place's column in code points; 0 where there is no such line."""
        return to_column(self._line(row), units, encoding) if row < len(self._starts) else 0

    def position(self, offset: int, encoding: PositionEncoding) -> dict[str, int]:
        """Return an offset's place as the protocol writes it."""
        row = bisect_right(self._starts, offset) - 1
        units = to_units(self._line(row), offset - self._starts[row], encoding)
        return {"line": row, "character": units}

    def changes(self, text: str, encoding: PositionEncoding) -> list[dict[str, Any]]:
        """Return the one replacement that makes another text of this, as the protocol writes it."""
        left = _common(self.text, text)
        right = _common_end(self.text, text, min(len(self.text), len(text)) - left)
        # A line ending is one place to the other side: none begins or ends within one.
        while left and self.text[left - 1 : left] == "\r":
            left -= 1
        while right and self.text[len(self.text) - right] == "\n":
            right -= 1
        end = len(self.text) - right
        place = {
            "start": self.position(left, encoding),
            "end": self.position(end, encoding),
        }
        return [{"range": place, "text": text[left : len(text) - right]}]


def _common(one: str, two: str) -> int:
    """Return how many characters two texts begin with alike."""
    at, most = 0, min(len(one), len(two))
    while at < most and one[at : at + _BLOCK] == two[at : at + _BLOCK]:
        at += _BLOCK
    at = min(at, most)
    while at < most and one[at] == two[at]:
        at += 1
    return at


def _common_end(one: str, two: str, most: int) -> int:
    """Return how many characters two texts end with alike, at most so many."""
    at = 0
    while at < most:
        ones = one[len(one) - min(at + _BLOCK, most) : len(one) - at]
        if ones != two[len(two) - min(at + _BLOCK, most) : len(two) - at]:
            break
        at = min(at + _BLOCK, most)
    while at < most and one[len(one) - at - 1] == two[len(two) - at - 1]:
        at += 1
    return at
