"""Convert columns between code points, which dgedit counts, and what a client counts.

Clients count in UTF-16 code units unless they agree on bytes (UTF-8) or code points (UTF-32). A
column past the end of its line means the end; one inside of a character means the character's
start, so that no surrogate pair is ever split.
"""

from __future__ import annotations

from typing import Literal

PositionEncoding = Literal["utf-8", "utf-16", "utf-32"]
"""What a client counts columns in."""

ENCODINGS: tuple[PositionEncoding, ...] = ("utf-8", "utf-16", "utf-32")
"""All of them."""


def to_column(line: str, units: int, encoding: PositionEncoding) -> int:
    """Return the column in code points of a place that a client counts in units."""
    if units <= 0:
        return 0
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    if encoding == "utf-16":
        data = line.encode("utf-16-le", "surrogatepass")
        end = min(2 * units, len(data))
        if _is_high(data[end - 2 : end]) and _is_low(data[end : end + 2]):
            end -= 2
        return len(data[:end].decode("utf-16-le", "surrogatepass"))
    data = line.encode("utf-8", "surrogatepass")
    end = min(units, len(data))
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end -= 1
    return len(data[:end].decode("utf-8", "surrogatepass"))


def to_units(line: str, column: int, encoding: PositionEncoding) -> int:
    """Return what a client counts up to a column in code points."""
    before = line[:column]
    if encoding == "utf-32" or before.isascii():
        return len(before)
    if encoding == "utf-16":
        return len(before.encode("utf-16-le", "surrogatepass")) // 2
    return len(before.encode("utf-8", "surrogatepass"))


def paired(text: str) -> str:
    """Return the text with halves of surrogate pairs that meet joined to one character, as they
    are when it is sent.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _is_high(unit: bytes) -> bool:
    return len(unit) == 2 and 0xD8 <= unit[1] <= 0xDB


def _is_low(unit: bytes) -> bool:
    return len(unit) == 2 and 0xDC <= unit[1] <= 0xDF
