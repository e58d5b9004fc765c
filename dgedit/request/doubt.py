"""Decide whether an infill needs the user's consent: it breaks the syntax, is unsure or unsettled.

The only place that judges an infill. Knows what the engine reports about it; nothing of files,
terminals or settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dgedit_engine.types import Candidate, Infill, Stopped

_NAMED = 3  # the most holes named in one line


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to write an infill of a hole without asking."""

    kind: Literal["breaks", "unsure", "unsettled"]
    """The kind: it leaves syntax errors, is too unlikely to be right, or did not settle."""
    words: str
    """The reason in words, with numbers, to follow the hole's position in a message."""


def doubt(candidate: Candidate | None, stopped: Stopped, *, caution: float) -> Doubt | None:
    """Return the gravest doubt about a candidate, given how the infill stopped; None if there is
    none.

    `caution` is the least probability of being right that suffices. An unknown probability raises
    no doubt.
    """
    if candidate is not None and candidate.faults:
        count = candidate.faults
        return Doubt("breaks", f"breaks the syntax ({count} error{'s' * (count != 1)})")
    sure = candidate.certainty if candidate is not None else None
    if sure is not None and sure < caution:
        # Rounded down, so that a probability below the caution is never shown as equal to it.
        return Doubt("unsure", f"unsure ({int(sure * 100 + 1e-9)}%)")
    return Doubt("unsettled", "did not settle") if stopped == "cap" else None


def doubts(infill: Infill, *, caution: float) -> list[Doubt | None]:
    """Return the doubt about the shown candidate of each hole."""
    return [
        doubt(infill.first(hole), infill.stopped, caution=caution)
        for hole in range(len(infill.texts))
    ]


def told(places: Sequence[str], found: Sequence[Doubt | None]) -> str:
    """List the doubtful holes by position, with the reasons, in one line; empty if there
    are none.
    """
    said = [
        f"{place}: {one.words}" for place, one in zip(places, found, strict=True) if one is not None
    ]
    more = [f"and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return ", ".join([*said[:_NAMED], *more])
