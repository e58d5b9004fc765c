"""Denoise canvases, a step at a time, until each settles: the sampler's loop.

Several canvases stand side by side in one pass behind the same prompt, whose keys are not copied;
one that is done leaves the pass, so that the rest gets cheaper. A canvas alone is refined as
released, draw for draw. Knows ids and slots, neither text nor how canvases came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import Canvas, Seed, grown, shrunk
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_kernels.canvas_sampler import SlotReading, read_slots


@dataclass(frozen=True, slots=True)
class Start:
    """A canvas to be refined."""

    seed: Seed
    """Its slots at the beginning."""
    first: int
    """Steps before the end of the schedule at which it enters."""
    most: int = 0
    """Slots up to which a lone hole's canvas grows where no end comes; 0: it does not."""


@dataclass(frozen=True, slots=True)
class RefinedCanvas:
    """A canvas after one step."""

    canvas: Canvas
    """The slots as the step read them."""
    best: list[int]
    """The most probable token of each slot: the draft, and in the end the result."""
    confidence: list[float]
    """Its probability, at the step's temperature."""
    accepted: list[bool]
    """Which slots were accepted within the entropy bound."""
    settled: bool
    """Whether the stop rule held: the draft did not change and the free slots are certain."""


S = TypeVar("S")


@dataclass(slots=True)
class Live(Generic[S]):
    """A canvas under way."""

    canvas: Canvas
    remaining: int
    """Steps before the end of the schedule."""
    state: S
    """What its refiner keeps of it between steps."""
    latest: RefinedCanvas | None = None
    most: int = 0
    """Slots up to which it grows."""
    due: int = 0
    """Steps left at which it grows if there is no end in sight."""

    @property
    def over(self) -> bool:
        """Whether it has settled or used up its steps."""
        return self.remaining == 0 or (self.latest is not None and self.latest.settled)


class Refiner(Protocol[S]):
    """Denoises canvases behind a prompt, a step at a time: `EagerRefiner`, or on a GPU
    `GraphRefiner` (`loop_cuda.py`).
    """

    @property
    def model(self) -> Model:
        """The model that reads them."""

    def begin(self, seed: Seed, generator: torch.Generator) -> S:
        """Return a canvas's state before its first step."""

    def advance(
        self, running: Sequence[Live[S]], sampling: Sampling, generator: torch.Generator
    ) -> None:
        """Advance each canvas by a step: its tokens, state and `latest`."""

    def at(self, state: S, slots: Sequence[int]) -> S:
        """Return the state of a canvas that goes on with some of its slots."""

    def more(self, state: S, noise: Tensor) -> S:
        """Return the state of a canvas that goes on with more slots, noise (1, C) of which nothing
        is known.
        """


def refine(
    refiner: Refiner[S],
    starts: Sequence[Start],
    sampling: Sampling,
    generator: torch.Generator,
    *,
    shrinking: bool = True,
) -> Iterator[list[RefinedCanvas]]:
    """Denoise all canvases until each has settled or used up its steps; yields the latest result of
    each.

    With one canvas and `shrinking` off, an `EagerRefiner` is the released sampler, draw for draw.
    Raises ModelError where the model's logits are not finite.
    """
    live = [
        Live(
            *(start.seed.canvas, start.first, refiner.begin(start.seed, generator)),
            most=start.most,
            due=start.first // 2,
        )
        for start in starts
    ]
    while running := [one for one in live if not one.over]:
        refiner.advance(running, sampling, generator)
        for one in running:
            one.remaining -= 1
            if not _grow(one, refiner, generator) and shrinking:
                _shrink(one, refiner)
        yield [one.latest for one in live if one.latest is not None]


def _grow(one: Live[S], refiner: Refiner[S], generator: torch.Generator) -> bool:
    """Go on with twice the slots where a canvas settles without an end, or has none in sight when
    half of its steps are left, or a half of these -> whether it did. Later it is left to a next
    canvas.
    """
    canvas, latest = one.canvas, one.latest
    if latest is None or canvas.slots >= one.most or one.remaining < 2:
        return False
    if not latest.settled and one.remaining > one.due:
        return False
    config = refiner.model.config
    if any(latest.best[slot] in config.eos for slot in canvas.segments[-1]):
        return False
    one.due = one.remaining // 2
    wider = grown(canvas, one.most, vocab=config.vocab, generator=generator)
    one.state = refiner.more(one.state, wider.ids[:, canvas.slots :])
    one.canvas, one.latest = wider, replace(latest, settled=False)
    return True


def _shrink(one: Live[S], refiner: Refiner[S]) -> None:
    """Go on with fewer slots where the next smaller canvas holds every text."""
    canvas, latest = one.canvas, one.latest
    if latest is None or one.over:
        return
    if cut := shrunk(canvas, latest.best, latest.confidence, refiner.model.config.eos):
        slots, segments = cut
        kinds = None if canvas.kinds is None else canvas.kinds[:, slots]
        marks = None if canvas.marks is None else canvas.marks[:, slots]
        ids, fixed = canvas.ids[:, slots], canvas.fixed[:, slots]
        one.canvas = Canvas(ids, fixed, segments, kinds, canvas.choices, marks)
        one.state = refiner.at(one.state, slots)


@dataclass(frozen=True, slots=True)
class EagerState:
    """What a canvas carries from one step to the next, beside its tokens."""

    soft: Tensor | None
    """Self-conditioning, (1, C, D); None: no signal."""
    previous: Tensor | None = None
    """The best tokens of the last step, (1, C)."""
    still: int = 0
    """Steps for which they have not changed."""


class EagerRefiner:
    """Reads all canvases in one pass, with PyTorch's random numbers, as released."""

    def __init__(self, model: Model, cache: PromptCache) -> None:
        self.model, self.cache = model, cache

    def begin(self, seed: Seed, generator: torch.Generator) -> EagerState:
        """Return a canvas's state before its first step."""
        return EagerState(seed_signal(self.model, seed))

    @torch.inference_mode()
    def advance(
        self, running: Sequence[Live[EagerState]], sampling: Sampling, generator: torch.Generator
    ) -> None:
        """Advance each canvas by a step."""
        readings = _read(self.model, self.cache, running, sampling, generator)
        for one, reading in zip(running, readings, strict=True):
            _take(one, reading, self.model, sampling, generator)

    def at(self, state: EagerState, slots: Sequence[int]) -> EagerState:
        """Return the state of a canvas that goes on with some of its slots."""
        soft, previous = state.soft, state.previous
        return replace(
            state,
            soft=None if soft is None else soft[:, slots],
            previous=None if previous is None else previous[:, slots],
        )

    def more(self, state: EagerState, noise: Tensor) -> EagerState:
        """Return the state of a canvas that goes on with more slots, of which nothing is known."""
        soft = state.soft
        if soft is not None:
            soft = torch.cat((soft, soft.new_zeros(1, noise.shape[1], soft.shape[2])), 1)
        return EagerState(soft)


def seed_signal(model: Model, seed: Seed) -> Tensor | None:
    """Return self-conditioning for the first step, (1, C, D): the known tokens of a present text,
    as if they had been predicted.

    From noise alone there is none, as released, and for a model without self-conditioning.
    """
    if model.conditioning is None or bool((seed.known <= seed.canvas.fixed).all()):
        return None
    return model.embed(seed.canvas.ids) * seed.known[..., None]


def _read(
    model: Model,
    cache: PromptCache,
    running: Sequence[Live[EagerState]],
    sampling: Sampling,
    generator: torch.Generator,
) -> list[SlotReading]:
    """Read all slots, S, in one pass, and return each canvas's part."""
    sizes = [one.canvas.slots for one in running]
    heats = [sampler.temperature(sampling, one.remaining) for one in running]
    ids = torch.cat([one.canvas.ids for one in running], 1)
    fixed = torch.cat([one.canvas.fixed for one in running], 1)
    borne = [one.canvas.marks for one in running if one.canvas.marks is not None]
    marks = torch.cat(borne, 1) if borne else None
    if len(running) == 1:
        hidden = model.denoise(ids, cache, running[0].state.soft, marks=marks)
        logits = model.logits(hidden) / heats[0]
    else:
        beside = side_by_side(sizes, cache.device)
        hidden = model.denoise(ids, cache, _signals(model, running), beside=beside, marks=marks)
        heat = torch.tensor(heats, device=ids.device).repeat_interleave(
            torch.tensor(sizes, device=ids.device)
        )
        logits = model.logits(hidden) / heat[:, None]
    logits = _confined(logits, [one.canvas for one in running])
    try:
        reading = read_slots(sampler.pin(logits, ids, fixed), generator)
    except FloatingPointError:
        raise ModelError("the model's logits are no finite numbers: damaged weights?") from None
    parts = zip(*(torch.split(part, sizes, 1) for part in reading), strict=True)
    return [SlotReading(*part) for part in parts]


def _confined(logits: Tensor, canvases: Sequence[Canvas]) -> Tensor:
    """Leave the blanks of templates nothing but their choices, logits (1, S, V)."""
    if all(one.kinds is None for one in canvases):
        return logits
    parts = zip(torch.split(logits, [one.slots for one in canvases], 1), canvases, strict=True)
    return torch.cat(
        [
            part if one.kinds is None else sampler.confine(part, one.kinds, one.choices)
            for part, one in parts
        ],
        1,
    )


def _signals(model: Model, running: Sequence[Live[EagerState]]) -> Tensor | None:
    """Return the canvases' self-conditioning side by side, (1, S, D); zeros are exactly no
    signal.
    """
    if all(one.state.soft is None for one in running):
        return None
    signals = (
        torch.zeros_like(model.embed(one.canvas.ids)) if one.state.soft is None else one.state.soft
        for one in running
    )
    return torch.cat(list(signals), 1)


def _take(
    one: Live[EagerState],
    reading: SlotReading,
    model: Model,
    sampling: Sampling,
    generator: torch.Generator,
) -> None:
    """Advance a canvas by a step: accept, stop or renoise."""
    canvas, previous = one.canvas, one.state.previous
    kept = sampler.accept_free(reading.entropy, canvas.fixed, sampling.entropy_bound)
    stood = previous is not None and torch.equal(reading.best, previous)
    still = one.state.still + 1 if stood else 0
    certain = sampler.confident(reading.entropy, canvas.fixed, sampling.confidence)
    # drawn before a stop too, as released: the next canvas's noise follows from it
    ids = sampler.renoise(reading.sample, kept, model.config.vocab, generator)
    settled = still >= sampling.stability and certain
    one.latest = _refined(canvas, reading, kept, settled=settled)
    if settled or one.remaining == 1:
        return
    soft = None if model.conditioning is None else model.soft_embed(reading.probs)
    one.state = EagerState(soft, reading.best, still)
    one.canvas = replace(canvas, ids=torch.where(canvas.fixed, canvas.ids, ids))


def _refined(canvas: Canvas, reading: SlotReading, kept: Tensor, *, settled: bool) -> RefinedCanvas:
    confidence = reading.probs.gather(-1, reading.best[..., None])[0, :, 0]
    best: list[int] = reading.best[0].tolist()
    return RefinedCanvas(canvas, best, confidence.tolist(), kept[0].tolist(), settled)
