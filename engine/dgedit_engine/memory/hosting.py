"""Plan which layers' experts stay in host memory, and what copying them costs a step.

Knows bytes alone: what a model, its cache and its passes take is `plan.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgedit_engine.memory.words import rounded_up
from dgedit_engine.model.hosted import AHEAD

LINKS = {"PCIe 4": 25e9, "PCIe 5": 50e9}
"""Bytes a second from pinned memory over sixteen lanes, as cards reach them: 0.8 of what the lanes
carry.
"""


@dataclass(frozen=True, slots=True)
class Hosting:
    """The experts of some layers, the last ones, in host memory."""

    layers: int
    """How many."""
    of: int
    """Layers that the model has."""
    copied: int
    """Bytes of their experts: what a pass copies, and the host keeps."""
    buffers: int
    """Bytes of the device's memory that they are copied to."""

    @property
    def saved(self) -> int:
        """Bytes of the device's memory that this frees."""
        return self.copied - self.buffers

    @property
    def words(self) -> str:
        """What a user should know of it."""
        which = f"{self.layers} of {self.of} layers" if self.layers < self.of else "all layers"
        times = (f"{self.copied / speed:.2f} s on {link}" for link, speed in LINKS.items())
        copied = rounded_up(self.copied)
        return (
            f"the experts of {which} stay in host memory: a step copies {copied} GB of them,"
            f" {', '.join(times)}"
        )


def hosting(experts: Sequence[int], missing: int, host: int) -> Hosting | None:
    """Return the fewest layers whose experts leave the device `missing` more bytes and fit `host`
    bytes of the host; None where that cannot be. `experts` are the bytes of each layer's.
    """
    for count in range(1, len(experts) + 1):
        some = experts[len(experts) - count :]
        found = Hosting(count, len(experts), sum(some), min(AHEAD + 1, count) * max(some))
        if not max(some) or found.copied > host:
            return None
        if found.saved >= missing:
            return found
    return None
