"""Denoise canvases, a step at a time, until each settles: the sampler's loop.

Several canvases stand side by side in one pass behind the same prompt, whose keys are not copied;
one that is done leaves the pass, so that the rest gets cheaper. A canvas alone is refined as
released, draw for draw. Knows ids and slots, neither text nor how canvases came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import Canvas, Seed, shrunk
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
    """How many steps before the end of the schedule it enters."""


@dataclass(frozen=True, slots=True)
class Refined:
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
    """Whether the stop rule held: the draft stood still and the free slots are certain."""


class Refiner(Protocol):
    """Denoises canvases behind a prompt: `refine`, given a model and a cache, or what a GPU does
    instead (`loop_cuda.py`).
    """

    def __call__(
        self,
        starts: Sequence[Start],
        sampling: Sampling,
        generator: torch.Generator,
        *,
        shrinking: bool = True,
    ) -> Iterator[list[Refined]]:
        """Yield where each canvas stands, until all have settled or used up their steps."""


@dataclass(slots=True)
class _Live:
    """A canvas under way."""

    canvas: Canvas
    soft: Tensor | None
    """Self-conditioning for the next step, (1, C, D); None: no signal."""
    remaining: int
    """Steps before the end of the schedule."""
    previous: Tensor | None = None
    """The best tokens of the last step, (1, C)."""
    still: int = 0
    """Steps for which they have stood."""
    latest: Refined | None = field(default=None)

    @property
    def over(self) -> bool:
        return self.remaining == 0 or (self.latest is not None and self.latest.settled)


def refine(
    model: Model,
    cache: PromptCache,
    starts: Sequence[Start],
    sampling: Sampling,
    generator: torch.Generator | None,
    *,
    shrinking: bool = True,
) -> Iterator[list[Refined]]:
    """Denoise all canvases until each has settled or used up its steps; yields where each stands.

    With one canvas and `shrinking` off this is the released sampler, draw for draw. Raises
    ModelError where the model's logits are no numbers.
    """
    live = [
        _Live(start.seed.canvas, seed_signal(model, start.seed), start.first) for start in starts
    ]
    while running := [one for one in live if not one.over]:
        with torch.inference_mode():
            readings = _read(model, cache, running, sampling, generator)
            for one, reading in zip(running, readings, strict=True):
                _take(one, reading, model, sampling, generator, shrinking=shrinking)
        yield [one.latest for one in live if one.latest is not None]


def seed_signal(model: Model, seed: Seed) -> Tensor | None:
    """Self-conditioning for the first step: what is known of a present text, as if it had been
    predicted.

    From noise alone there is none, as released, and for a model without self-conditioning.
    """
    if model.conditioning is None or bool((seed.known <= seed.canvas.fixed).all()):
        return None
    return model.embed(seed.canvas.ids) * seed.known[..., None]


def _read(
    model: Model,
    cache: PromptCache,
    running: Sequence[_Live],
    sampling: Sampling,
    generator: torch.Generator | None,
) -> list[SlotReading]:
    """One pass over all slots, S, and what it says of each canvas."""
    sizes = [one.canvas.slots for one in running]
    heats = [sampler.temperature(sampling, one.remaining) for one in running]
    ids = torch.cat([one.canvas.ids for one in running], 1)
    fixed = torch.cat([one.canvas.fixed for one in running], 1)
    if len(running) == 1:
        logits = model.logits(model.denoise(ids, cache, running[0].soft)) / heats[0]
    else:
        beside = side_by_side(sizes, cache.device)
        hidden = model.denoise(ids, cache, _signals(model, running), beside=beside)
        heat = torch.tensor(heats, device=ids.device).repeat_interleave(
            torch.tensor(sizes, device=ids.device)
        )
        logits = model.logits(hidden) / heat[:, None]
    try:
        reading = read_slots(sampler.pin(logits, ids, fixed), generator)
    except FloatingPointError:
        raise ModelError("the model's logits are no finite numbers: damaged weights?") from None
    parts = zip(*(torch.split(part, sizes, 1) for part in reading), strict=True)
    return [SlotReading(*part) for part in parts]


def _signals(model: Model, running: Sequence[_Live]) -> Tensor | None:
    """The canvases' self-conditioning side by side, (1, S, D); zeros are exactly no signal."""
    if all(one.soft is None for one in running):
        return None
    return torch.cat(
        [
            torch.zeros_like(model.embed(one.canvas.ids)) if one.soft is None else one.soft
            for one in running
        ],
        1,
    )


def _take(
    one: _Live,
    reading: SlotReading,
    model: Model,
    sampling: Sampling,
    generator: torch.Generator | None,
    *,
    shrinking: bool,
) -> None:
    """Advance a canvas by a step: accept, stop or renoise, shrink."""
    canvas = one.canvas
    kept = sampler.accept_free(reading.entropy, canvas.fixed, sampling.entropy_bound)
    stood = one.previous is not None and torch.equal(reading.best, one.previous)
    one.still = one.still + 1 if stood else 0
    certain = sampler.confident(reading.entropy, canvas.fixed, sampling.confidence)
    # drawn before a stop too, as released: the next canvas's noise follows from it
    ids = sampler.renoise(reading.sample, kept, model.config.vocab, generator)
    settled = one.still >= sampling.stability and certain
    one.latest = _refined(canvas, reading, kept, settled=settled)
    one.remaining -= 1
    if one.over:
        return
    ids = torch.where(canvas.fixed, canvas.ids, ids)
    one.soft = None if model.conditioning is None else model.soft_embed(reading.probs)
    one.previous = reading.best
    one.canvas = replace(canvas, ids=ids)
    best, confidence = one.latest.best, one.latest.confidence
    if shrinking and (cut := shrunk(canvas, best, confidence, model.config.eos)):
        slots, segments = cut
        one.canvas = Canvas(ids[:, slots], canvas.fixed[:, slots], segments)
        one.soft = None if one.soft is None else one.soft[:, slots]
        one.previous = one.previous[:, slots]


def _refined(canvas: Canvas, reading: SlotReading, kept: Tensor, *, settled: bool) -> Refined:
    confidence = reading.probs.gather(-1, reading.best[..., None])[0, :, 0]
    best: list[int] = reading.best[0].tolist()
    return Refined(canvas, best, confidence.tolist(), kept[0].tolist(), settled)
