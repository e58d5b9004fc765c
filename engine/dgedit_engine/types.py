"""The types that the editor and the engine share: a request, and the steps that answer it.

Standard library only, so that a client of an engine need not load one. Knows neither tensors nor
terminals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Stopped = Literal["settled", "cap", "unchanged"]
Origin = Literal["canvas", "draft", "sample", "revised", "warm", "repaired"]
"""Where a candidate comes from: a canvas of noise; the causal reading, greedy or sampled, as it
is; a canvas that revises the causal draft, or the last infill; a candidate whose syntax errors
were refined again.
"""

ReadBy = Literal["auto", "causal"]
"""What writes an infill: all that a model has, or its causal reading alone."""

Phase = Literal["draft", "refine", "repair", "continue"]
"""What a step is part of: a causal draft, written from left to right; canvases refined; those with
syntax errors refined again; a further canvas of a long hole.
"""


MOST_CANDIDATES = 64
"""Candidates of a request, at most: so many of nano take 2 GB; a hundred thousand would take all of
a machine's memory.
"""
MOST_STEPS = 10_000
"""Steps of a canvas, at most; the released sampler takes 48."""
MOST_HOLES = 10_000
"""Holes of one request, at most."""
MOST_CHARACTERS = 32_000_000
"""Characters of all texts of a request, at most: what is around the holes of a file as large as may
be edited.
"""
MOST_JUDGED = 2_000_000
"""Characters of a file whose syntax is checked, at most; a larger one is not judged."""
OFFERED = 4
"""Candidates of a hole that are offered, at most, where a request does not say how many."""


CAUTION = 0.4
"""The default certainty from which an infill is taken to be right: of nano's above it three in four
are (docs/decoding.md).
"""


class ModelError(Exception):
    """A model that cannot be opened: weights missing or corrupt, another architecture, no such
    device. One line.
    """


@dataclass(frozen=True, slots=True)
class Ability:
    """The requests that a model can answer."""

    languages: frozenset[str] | None = None
    """Suffixes of the files that it was trained on, such as `.py`; None: any text."""
    instructions: bool = False
    """Whether it follows instructions; else it reads them as a mere comment."""
    context: int = 0
    """The most tokens that it reads and writes at a time; 0 where unknown."""
    canvas: bool = False
    """Whether it refines a whole span at once."""
    note: str = ""
    """What a user should know of how it was opened, in one line; empty for nothing."""


LINE_ENDS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
"""Characters that end a line, by any count; no blank is filled with one."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A span to be filled: all of it, or with `blanks` a template, of which they alone are filled
    and everything else stays. Raises ValueError for blanks that are no places of its text.
    """

    text: str = ""
    """The text it holds at present; the start of the draft when `strength` is below 1."""
    blanks: tuple[int, ...] = ()
    """The places in `text`, in ascending order, of the characters to be filled, each with one
    character that ends no line; none: all of the hole is.
    """
    alphabet: str = ""
    """The characters that a blank may become; empty: any."""

    def __post_init__(self) -> None:
        last = -1
        for place in self.blanks:
            if not last < place < len(self.text):
                raise ValueError(f"a hole of {len(self.text)} characters has no blank at {place}")
            if self.text[place] in LINE_ENDS:
                raise ValueError(f"the blank at {place} would end a line")
            last = place
        if not LINE_ENDS.isdisjoint(self.alphabet):
            raise ValueError(f"a blank ends no line, and so cannot become {self.alphabet!r:.50}")

    def filled(self, characters: Sequence[str]) -> str:
        """Return the text with a character in the place of each blank."""
        text = list(self.text)
        for place, character in zip(self.blanks, characters, strict=True):
            text[place] = character
        return "".join(text)


@dataclass(frozen=True, slots=True)
class Passage:
    """An excerpt of one file: fixed text and holes, in order."""

    path: str
    """The file's name, for the language and as context; empty when unknown."""
    parts: tuple[str | Hole, ...]
    """Fixed text and holes. Joined, with each hole's text in its place, they give the excerpt."""
    above: str = ""
    """The file's text before the excerpt: no model reads it, but what an infill does to the file is
    judged with it.
    """
    below: str = ""
    """The file's text behind the excerpt, likewise."""

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The holes in order."""
        return tuple(part for part in self.parts if isinstance(part, Hole))


@dataclass(frozen=True, slots=True)
class InfillRequest:
    """All that an engine is asked for. Raises ValueError, naming the value, for one outside its
    range: a request's limits are checked here and nowhere else.
    """

    passages: tuple[Passage, ...]
    """The excerpts; their holes are filled together."""
    instruction: str = ""
    """The user's words; empty means "what fits"."""
    strength: float = 1.0
    """The share of a hole's present text that is noised at the start, 0 to 1; 1 starts from
    scratch.
    """
    effort: float = 0.5
    """The one dial, 0 to 1: step cap and entropy bound follow from it."""
    seed: int = 0
    """The same request with the same seed gives the same steps on the same machine, but for a warm
    start from the request before it. With 0 the likeliest draft is among the candidates; other
    seeds draw all of theirs.
    """
    candidates: int | None = None
    """How many infills compete; None lets the model and `effort` choose."""
    steps: int | None = None
    """The step cap for each canvas; None lets `effort` choose."""
    entropy_bound: float | None = None
    """Nats of joint uncertainty that one step may accept; None lets `effort` choose."""
    together: bool = False
    """Whether a model that follows instructions fills several holes on one canvas, which it has not
    learnt, rather than one after another. Models trained for it do so at any rate.
    """
    exact: bool = False
    """Whether the infill is what the causal reading alone writes, the likeliest token after token;
    seed and candidates have no say then.
    """
    refresh: int = 1
    """Every so many steps a masked diffusion model reads the text before the first hole anew; in
    the steps between, its keys and values stay as they were, which is quicker and approximate. 1
    is exact. Other models have no such steps.
    """
    reading: ReadBy = "auto"
    """What writes: "auto", all that the model has; "causal", its causal reading alone, from left to
    right.
    """

    def __post_init__(self) -> None:
        if not any(passage.holes for passage in self.passages):
            raise ValueError("the request has no hole")
        for name in ("strength", "effort"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        most_of = {"steps": MOST_STEPS, "candidates": MOST_CANDIDATES, "refresh": MOST_STEPS}
        for name, most in most_of.items():
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
            if value is not None and value > most:
                raise ValueError(f"{name} must be at most {most}, not {value}")
        if self.entropy_bound is not None and not 0 <= self.entropy_bound < math.inf:
            raise ValueError(f"entropy_bound must be at least 0, not {self.entropy_bound}")
        if self.reading not in get_args(ReadBy):
            known = " or ".join(get_args(ReadBy))
            raise ValueError(f"reading must be {known}, not {self.reading!r:.50}")
        if self.strength < 1 and (self.exact or self.reading == "causal"):
            which = "exact" if self.exact else "the causal reading"
            raise ValueError(
                f"{which} writes from scratch: strength must be 1, not {self.strength}"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be between 0 and 2**63 - 1, not {self.seed}")
        if (holes := len(self.holes)) > MOST_HOLES:
            raise ValueError(f"a request has at most {MOST_HOLES} holes, not {holes}")
        if (length := self._length()) > MOST_CHARACTERS:
            raise ValueError(f"a request has at most {MOST_CHARACTERS} characters, not {length}")

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The holes of all passages, in order."""
        return tuple(hole for passage in self.passages for hole in passage.holes)

    def _length(self) -> int:
        """Characters of all its texts."""
        parts = (part for passage in self.passages for part in passage.parts)
        texts = (part.text if isinstance(part, Hole) else part for part in parts)
        around = sum(len(passage.above) + len(passage.below) for passage in self.passages)
        return len(self.instruction) + around + sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a hole at one step."""

    pieces: tuple[str, ...]
    """The text, token by token."""
    confidence: tuple[float, ...]
    """The model's probability for each piece, 0 to 1."""
    settled: tuple[bool, ...]
    """Which pieces were accepted within the entropy bound at this step; at the last step all, or
    where the model's settings want it those that the causal reading would have written too.
    """

    @property
    def text(self) -> str:
        """The whole draft."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several infills of one hole."""

    draft: Draft
    """What it puts there."""
    score: float
    """What it was ranked by: mean log-probability in nats; 0 is certain."""
    origin: Origin
    """Where it comes from."""
    faults: int | None = None
    """Syntax errors that its file has with it and not without, the other holes filled with their
    first candidates; None where that was not checked.
    """
    certainty: float | None = None
    """The probability that it is right as it is, 0 to 1; None where unknown."""

    @property
    def breaks(self) -> bool:
        """Whether it is known to break its file."""
        return bool(self.faults)


@dataclass(frozen=True, slots=True)
class Step:
    """One refinement of all holes."""

    index: int
    """Counted from 1 over the whole request."""
    total: int
    """The cap that `index` cannot pass as things stand; it grows when a hole needs another canvas.
    """
    drafts: tuple[Draft, ...]
    """One for each hole, in the request's order."""
    last: bool = False
    """True for the step that ends the stream: its drafts are the infill."""
    stopped: Stopped | None = None
    """Why the stream ended, on the last step: settled, at the step cap, or unchanged (strength 0).
    """
    score: float = 0.0
    """Mean log-probability of the drafts' pieces, in nats, or at the last step what the candidate
    was ranked by; 0 is certain.
    """
    candidates: tuple[tuple[Candidate, ...], ...] = ()
    """For each hole its candidates, the best one, whose draft is shown, first. Before the last step
    at most that one, of a hole that has one yet; or empty.
    """
    phase: Phase = "refine"
    """What this step is part of."""
    forwards: int = 0
    """Forward passes through the model since the prompt was read: draft tokens, refinements,
    scores. Candidates side by side are one pass.
    """


@dataclass(frozen=True, slots=True)
class Infill:
    """The result of a request."""

    texts: tuple[str, ...]
    """What to put into each hole, in the request's order."""
    score: float
    """Mean log-probability in nats, by the causal reading where candidates were ranked; 0 is
    certain.
    """
    steps: int
    """Steps taken."""
    seconds: float
    """Seconds from the request to the last step."""
    stopped: Stopped
    """Why it ended: settled, at the step cap, or unchanged."""
    candidates: tuple[tuple[Candidate, ...], ...] = ()
    """For each hole its candidates, the best one first; none where the engine gives none."""

    def first(self, hole: int) -> Candidate | None:
        """Return the candidate that is shown for a hole, if there is one."""
        return self.candidates[hole][0] if self.candidates and self.candidates[hole] else None


class Backend(Protocol):
    """Anything that answers a request with steps: an engine in this process, a daemon, a server, a
    test's script.
    """

    @property
    def name(self) -> str:
        """The model's name, for the status line."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: cpu, cuda:0, a host's name."""
        ...

    @property
    def ability(self) -> Ability:
        """What it can be asked for."""
        ...

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Refine the holes, a step at a time; the last one has `last`. Closing the iterator cancels
        within a step.
        """
        ...


def collect(steps: Iterator[Step]) -> Infill:
    """Fold a stream of steps into its result. Raises RuntimeError for a stream that ends without a
    last step.
    """
    started = time.monotonic()
    for step in steps:
        if step.last:
            texts = tuple(draft.text for draft in step.drafts)
            seconds = time.monotonic() - started
            stopped = step.stopped or "settled"
            return Infill(texts, step.score, step.index, seconds, stopped, step.candidates)
    raise RuntimeError("the stream of steps ended without a last step")
