"""Choose how wide a canvas a lone hole without text gets, from the text around it.

A model's own canvas is as wide as an answer may be, and most holes are a line or a part of one: a
step over 32 slots reads fewer experts, and takes a fraction of the time of one over 256. Knows
texts and how many tokens a line has; what is too narrow grows while it is refined (`loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dgedit_engine.decode.canvas import SIZES

PART, REST, ALONE, OPEN = 0.5, 1.0, 2.0, 4.0
"""Lines that a hole is given room for: a part of a line, the rest of one, lines of its own, a block
that the text before opens, or the end of a text.
"""
_SLACK = 4
_NEAR = 12  # lines on each side whose lengths count
_LEAST = 8  # tokens of a line, at least
_LONG = 0.9  # share of the lines near by that are no longer than what a line is taken for
_OPENING = (":", "{", "(", "[")


def width(
    before: str,
    behind: str,
    encode: Callable[[str], Sequence[int]],
    *,
    own: int,
    tail: int = 1,
) -> int:
    """Return the slots for what may stand between two texts and `tail` tokens behind it, at most
    the model's `own`.
    """
    near = [line for line in before.splitlines()[-_NEAR:] if line.strip()]
    near += [line for line in behind.splitlines()[:_NEAR] if line.strip()]
    lengths = sorted(len(encode(line)) for line in near) or [_LEAST]
    line = max(_LEAST, lengths[int(_LONG * (len(lengths) - 1))])
    wanted = lines(before, behind) * line + tail + _SLACK
    return min(own, next((size for size in SIZES if wanted <= size), own))


def lines(before: str, behind: str) -> float:
    """Return how many lines a hole is given room for, by what kind of span it is."""
    begun, left = before.rpartition("\n")[2], behind.partition("\n")[0]
    if left.strip():
        return PART if begun.strip() else REST
    if not behind.strip():
        return OPEN
    if before.rstrip().endswith(_OPENING):
        return OPEN
    return REST if begun.strip() else ALONE
