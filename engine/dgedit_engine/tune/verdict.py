"""Judge a tuned model: kept if held-out holes are surely better, and nothing else is worse.

Differences are of the same spans, and drawn anew by file (a paired bootstrap), since spans of one
file are not independent. Knows figures alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from dgedit_engine.eval.table import interval

FORGETTING = 0.05
"""The share by which the loss of other people's text may rise."""


Compared = tuple[float, float, tuple[float, float, float]]
"""Means before and after, and the gain: its mean and the ends of its 95% interval."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a tuned model beside its base's; losses are nats a token of the holes."""

    before: float
    """The base's loss."""
    after: float
    """The tuned model's."""
    gain: tuple[float, float, float]
    """By how much that is less: mean, and the ends of its 95% interval."""
    spans: int
    """Spans that it was measured on."""
    files: int
    """Files that they are of."""
    elsewhere: tuple[float, float]
    """The loss of other people's text, before and after."""
    blend: float
    """The share of the change that was taken: 1 is all of it."""
    fills: dict[str, Compared] | None = None
    """The shares of spans that were filled exactly, and how similar the infills were, before and
    after with what was gained; None where that was not compared."""
    stopped: str = ""
    """Why training ended early; empty where it did not."""

    @property
    def reasons(self) -> list[str]:
        """The reasons not to keep it."""
        found = []
        if not self.gain[1] > 0:
            found.append("held-out holes are not surely better")
        if not self.elsewhere[1] < self.elsewhere[0] * (1 + FORGETTING):
            found.append("other people's text is worse by 5% or more")
        fills = (self.fills or {}).values()  # of few fills one figure alone is noise
        if fills and all(after < before for before, after, _ in fills):
            found.append("fills are worse")
        return found

    @property
    def better(self) -> bool:
        """Whether it is to be kept."""
        return not self.reasons

    def table(self) -> dict[str, Any]:
        """Return the figures, JSON-able."""
        return asdict(self) | {"better": self.better, "reasons": self.reasons}


def compared(before: Sequence[float], after: Sequence[float], files: Sequence[str]) -> Compared:
    """Compare figures of the same spans, of which more is better: their means, and the gain."""
    gains = [other - one for one, other in zip(before, after, strict=True)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(files))}
    low, high = interval(gains, [numbers[name] for name in files])
    gain = round(mean(gains), 4), round(low, 4), round(high, 4)
    return round(mean(before), 4), round(mean(after), 4), gain


def rounded(losses: Mapping[str, float]) -> float:
    """Return the mean of a measurement's losses of holes, those of their ends left out."""
    return round(mean(value for name, value in losses.items() if "end" not in name), 4)
