"""Backends that know their lines: they refine every hole into a given text, in three steps. Those
that a test lets through a gate, step by step, are the same ones.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from threading import Semaphore
from typing import ClassVar

from dgedit_engine.types import Ability, Candidate, Draft, InfillRequest, Step, Stopped

STEPS = 3
NOISE, HALF, DONE = range(STEPS)

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
    score: float = -0.25
    """How likely it calls what it wrote."""
    during: Callable[[int], None] = lambda index: None
    """Called before each step with its index."""
    requests: list[InfillRequest] = field(default_factory=list)
    """What it was asked."""
    closed: int = 0
    """How many streams have ended, by themselves or closed."""

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        self.requests.append(request)
        try:
            for index in range(1, STEPS + 1):
                self.during(index)
                time.sleep(self.pause)
                last = index == STEPS
                texts = [self.texts[n % len(self.texts)] for n in range(len(request.holes))]
                if request.strength == 0:
                    texts = [hole.text for hole in request.holes]
                drafts = tuple(self.drawn(text, index) for text in texts)
                stopped = self.stopped if last else None
                offered = self._offered(drafts) if last else ()
                yield Step(index, STEPS, drafts, last, stopped, self.score, offered)
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

    def drawn(self, text: str, index: int) -> Draft:
        """A third of the pieces is right after the first step, all are after the last."""
        pieces = re.findall(r"\s*\S+|\s+$", text)
        right = len(pieces) * index // STEPS
        shown = tuple(piece if at < right else "~" * len(piece) for at, piece in enumerate(pieces))
        settled = tuple(at < right for at in range(len(pieces)))
        return Draft(shown, tuple(0.9 if one else 0.2 for one in settled), settled)


class Script(Scripted):
    """Waits before each step until `go` lets it through; its pieces are single characters."""

    knows: ClassVar = Ability(instructions=True)

    def __init__(self, *texts: str) -> None:
        super().__init__(texts, "script", "test", ability=self.knows, score=0.0, during=self.wait)
        self.gate = Semaphore(0)
        self.error: Exception | None = None

    def go(self, steps: int = STEPS) -> None:
        self.gate.release(steps)

    def wait(self, index: int) -> None:
        self.gate.acquire()
        if self.error:
            raise self.error

    def drawn(self, text: str, index: int) -> Draft:
        return draft(text, index - 1)


class Choices(Script):
    """Answers a hole with several candidates at the last step, of which every other one has a
    fault; `certainty` is theirs, where it is known.
    """

    def __init__(self, *texts: str, certainty: Sequence[float] = ()) -> None:
        super().__init__(*texts)
        self.certainty = tuple(certainty)

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        for step in super().infill(request):
            if not step.last:
                yield step
                continue
            holes = len(request.holes)
            candidates = tuple(
                Candidate(draft(text, DONE), -i / 10, "sample", i % 2, known)
                for i, (text, known) in enumerate(zip_longest(self.texts, self.certainty))
            )
            best = (candidates[0].draft,) * holes
            yield replace(step, drafts=best, score=0.0, candidates=(candidates,) * holes)


def draft(text: str, at: int) -> Draft:
    """The text's characters: noise at first, every other one settled halfway, all in the end."""
    pieces = [
        char if char == "\n" or at == DONE or (at == HALF and i % 2 == 0) else "?#"[at]
        for i, char in enumerate(text)
    ]
    settled = [at == DONE or (at == HALF and i % 2 == 0) for i in range(len(text))]
    return Draft(tuple(pieces), (0.5,) * len(text), tuple(settled))
