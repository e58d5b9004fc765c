"""Reasons not to write an infill without asking: it breaks its file, is unsure, or did not settle.

The one place that judges an infill. Knows what the engine says of it; nothing of files, terminals
or settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dgedit_engine.types import Candidate, Infill, Stopped

_NAMED = 3  # holes in one line


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an infill of a hole is not to be written without asking."""

    kind: Literal["breaks", "unsure", "unsettled"]
    """It leaves syntax errors, is not likely enough to be right, or was still changing."""
    words: str
    """The same in words, with numbers, for somebody who reads the hole's place before them."""


def doubt(candidate: Candidate | None, stopped: Stopped, *, caution: float) -> Doubt | None:
    """The gravest doubt about a candidate of an infill that stopped in this way; None for none.

    `caution` is the least probability of being right that is enough. What nobody can tell raises no
    doubt.
    """
    if candidate is not None and candidate.faults:
        count = candidate.faults
        return Doubt("breaks", f"breaks the syntax ({count} error{'s' * (count != 1)})")
    sure = candidate.certainty if candidate is not None else None
    if sure is not None and sure < caution:
        # Rounded down, so that no probability is shown as the caution that it does not reach.
        return Doubt("unsure", f"unsure ({int(sure * 100 + 1e-9)}%)")
    return Doubt("unsettled", "did not settle") if stopped == "cap" else None


def doubts(infill: Infill, *, caution: float) -> list[Doubt | None]:
    """The doubt about what is shown for each hole."""
    return [
        doubt(infill.first(hole), infill.stopped, caution=caution)
        for hole in range(len(infill.texts))
    ]


def told(places: Sequence[str], found: Sequence[Doubt | None]) -> str:
    """The holes at these places that are in doubt, and why, in one line; empty where none is."""
    said = [
        f"{place}: {one.words}" for place, one in zip(places, found, strict=True) if one is not None
    ]
    more = [f"and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return ", ".join([*said[:_NAMED], *more])
