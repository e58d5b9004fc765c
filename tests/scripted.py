"""A backend that knows its lines: it refines every hole into a given text, in three steps."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dgedit_engine.types import Ability, Candidate, Draft, InfillRequest, Step, Stopped

STEPS = 3

_TESTS = Path(__file__).parent
_ROOT = _TESTS.parent
PATH = os.pathsep.join(map(str, (_TESTS, _ROOT, _ROOT / "engine", _ROOT / "kernels")))
"""What PYTHONPATH is to be where a process runs the code beside these tests, and this file."""


@dataclass
class Scripted:
    """Fills the holes with its texts, one after the other, beginning anew when they run out."""

    texts: tuple[str, ...] = ("filled",)
    name: str = "scripted"
    device: str = "cpu"
    pause: float = 0.0
    """Seconds that each step takes."""
    ability: Ability = field(default_factory=lambda: Ability(instructions=True))
    """What it says it can be asked for."""
    stopped: Stopped = "settled"
    certainty: tuple[float | None, ...] = ()
    """How sure it is of the holes, one after the other, beginning anew; nobody can tell if empty.
    """
    faults: tuple[int | None, ...] = ()
    """The syntax errors that it says its texts bring, likewise."""
    during: Callable[[int], None] = lambda index: None
    """Called before each step with its index."""
    requests: list[InfillRequest] = field(default_factory=list)
    """What it was asked."""
    closed: int = 0
    """How many streams have ended, by themselves or closed."""

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        self.requests.append(request)
        texts = [self.texts[n % len(self.texts)] for n in range(len(request.holes))]
        if request.strength == 0:
            texts = [hole.text for hole in request.holes]
        try:
            for index in range(1, STEPS + 1):
                self.during(index)
                time.sleep(self.pause)
                last = index == STEPS
                drafts = tuple(_draft(text, index) for text in texts)
                stopped = self.stopped if last else None
                offered = self._offered(drafts) if last else ()
                yield Step(index, STEPS, drafts, last, stopped, -0.25, offered)
        finally:
            self.closed += 1

    def _offered(self, drafts: tuple[Draft, ...]) -> tuple[tuple[Candidate, ...], ...]:
        """For each hole its draft alone, judged; nothing where there is no judgement."""
        if not self.certainty and not self.faults:
            return ()
        sure, wrong = self.certainty or (None,), self.faults or (None,)
        return tuple(
            (Candidate(draft, -0.25, "draft", wrong[n % len(wrong)], sure[n % len(sure)]),)
            for n, draft in enumerate(drafts)
        )


def _draft(text: str, index: int) -> Draft:
    """A third of the pieces is right after the first step, all are after the last."""
    pieces = re.findall(r"\s*\S+|\s+$", text)
    right = len(pieces) * index // STEPS
    shown = tuple(piece if at < right else "~" * len(piece) for at, piece in enumerate(pieces))
    settled = tuple(at < right for at in range(len(pieces)))
    return Draft(shown, tuple(0.9 if one else 0.2 for one in settled), settled)
