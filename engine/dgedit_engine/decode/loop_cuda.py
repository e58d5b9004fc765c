"""Denoise steps that a GPU runs without the host: fixed buffers, one CUDA graph for each size.

A step is everything from the model to the stop flag: denoise, head, reading of the logits,
acceptance, noise, self-conditioning, a lower temperature. On a GPU it is captured once and
replayed; the host waits for nothing but one small copy, what a step shows. Elsewhere the same code
runs as it stands, and where experts are in host memory: a step takes as long as their bytes then.
Candidates of one size are rows of one batch; their prompt is there once.

Knows the sampler's order, not what holes are; `EagerRefiner` (`loop.py`) takes the same steps with
PyTorch's random numbers, draw for draw as released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import Canvas, Seed
from dgedit_engine.decode.loop import Live, RefinedCanvas, seed_signal
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.graphs import captured, replays
from dgedit_engine.model.model import Model
from dgedit_engine.model.products import product
from dgedit_engine.types import ModelError
from dgedit_kernels.acceptance import accept_and_renoise
from dgedit_kernels.canvas_sampler import read_canvas
from dgedit_kernels.soft_embed import soft_embed


@dataclass(frozen=True, slots=True)
class CanvasState:
    """One canvas on the device, between two steps."""

    ids: Tensor
    """(C,) int64: the tokens."""
    fixed: Tensor
    """(C,) bool: True where the token stays."""
    soft: Tensor | None
    """(C, D): self-conditioning for the next step; zeros are exactly none. None: the model has no
    such part.
    """
    previous: Tensor
    """(C,) int64: the best tokens of the last step; -1 before the first."""
    still: Tensor
    """() int32: steps for which they have not changed."""
    draw: Tensor
    """(2,) int64: the seed of its random numbers, and the step."""

    def at(self, slots: Sequence[int]) -> CanvasState:
        """Return the state of some of its slots."""
        ids, fixed, previous = self.ids[slots], self.fixed[slots], self.previous[slots]
        soft = None if self.soft is None else self.soft[slots]
        return CanvasState(ids, fixed, soft, previous, self.still, self.draw)

    def more(self, noise: Tensor) -> CanvasState:
        """Return the state with more slots, noise (C,) of which nothing is known."""
        ids = torch.cat((self.ids, noise))
        fixed = torch.cat((self.fixed, torch.zeros_like(noise, dtype=torch.bool)))
        soft = self.soft
        if soft is not None:
            soft = torch.cat((soft, soft.new_zeros(len(noise), soft.shape[1])))
        none = torch.full_like(ids, -1)
        return CanvasState(ids, fixed, soft, none, torch.zeros_like(self.still), self.draw)


class DenoiseStep:
    """The denoise step of `rows` canvases of `slots` slots each."""

    def __init__(
        self,
        model: Model,
        cache: DeviceCache,
        *,
        rows: int,
        slots: int,
    ) -> None:
        self.model, self.cache, self.rows, self.slots = model, cache, rows, slots
        self.version = cache.version
        device, shape = cache.device, (rows, slots)
        self.ids = torch.zeros(shape, dtype=torch.int64, device=device)
        self.fixed = torch.zeros(shape, dtype=torch.bool, device=device)
        self.soft = None if model.conditioning is None else model.embed(self.ids).zero_()
        self.previous = torch.full(shape, -1, dtype=torch.int64, device=device)
        self.still = torch.zeros(rows, dtype=torch.int32, device=device)
        self.draw = torch.zeros(rows, 2, dtype=torch.int64, device=device)
        self.heat = torch.ones(rows, device=device)
        self.cooling = torch.zeros(rows, device=device)
        """How much lower each row's temperature is in the next step, (rows,)."""
        self.settings = torch.zeros(3, device=device)
        """Entropy bound, confidence threshold, stability: what a request may change."""
        self.report = torch.zeros(rows, 3 * slots + 2, dtype=torch.int32, device=device)
        """What a step shows, (rows, 3 C + 2): best tokens, their probabilities, what was kept,
        settled, finite.
        """
        pinned = device.type == "cuda"
        self.shown = torch.zeros_like(self.report, device="cpu", pin_memory=pinned)
        self.replayed = replays(model)
        self.graph: torch.cuda.CUDAGraph | None = None

    def load(self, row: int, state: CanvasState, *, heat: float, cooling: float) -> None:
        """Copy a canvas into a row. `heat` is the temperature of its next step."""
        for name in CanvasState.__slots__:
            if (buffer := getattr(self, name)) is not None:
                buffer[row].copy_(getattr(state, name))
        self.heat[row], self.cooling[row] = heat, cooling

    def state(self, row: int) -> CanvasState:
        """Copy the canvas in a row, as the next step would read it."""
        copies: dict[str, Any] = {}
        for name in CanvasState.__slots__:
            buffer = getattr(self, name)
            copies[name] = None if buffer is None else buffer[row].clone()
        return CanvasState(**copies)

    def run(self) -> Tensor:
        """Advance all rows by a step -> the report, on the host."""
        forwards = self.model.forwards + 1  # one, however it comes about
        if self.replayed:
            if self.graph is None:
                self._capture()
            assert self.graph is not None
            self.graph.replay()
            self.shown.copy_(self.report, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        else:
            self.advance()
            self.shown.copy_(self.report)
        self.model.forwards = forwards
        return self.shown

    @torch.inference_mode()
    def _capture(self) -> None:
        """Capture a step; what it changes while it warms up is put back."""
        changed = (self.ids, self.soft, self.previous, self.still, self.draw, self.heat)
        before = [(one, one.clone()) for one in changed if one is not None]
        self.graph = captured(self.advance, self.cache.pool)
        for one, value in before:
            one.copy_(value)

    @torch.inference_mode()
    def advance(self) -> None:
        """Run the step itself. The head reads a row at a time: logits are the largest buffer."""
        hidden = self.model.denoise(self.ids, self.cache, self.soft)  # (B, C, D)
        for row in range(self.rows):
            self._read(hidden[row : row + 1], slice(row, row + 1), self.draw[row])
        self.heat -= self.cooling
        self.draw[:, 1] += 1

    def _read(self, hidden: Tensor, row: slice, draw: Tensor) -> None:
        """Read the logits of one canvas's hidden (1, C, D), and decide what becomes of its
        slots.
        """
        model, config = self.model, self.model.config
        raw = product(hidden, model.unembedding)  # (1, C, V)
        heat, ids, fixed = self.heat[row], self.ids[row], self.fixed[row]
        pinned = torch.where(fixed, ids, -1)
        reading = read_canvas(raw, heat, draw, softcap=config.softcap, pinned=pinned)
        taken = accept_and_renoise(
            reading.sample,
            reading.best,
            reading.entropy,
            ids,
            fixed,
            self.previous[row],
            self.still[row],
            settings=self.settings,
            vocab=config.vocab,
            draw=draw,
        )
        if self.soft is not None:
            options: dict[str, Any] = {"softcap": config.softcap, "scale": model.scale}
            soft = soft_embed(raw, reading, heat, model.embedding, pinned=pinned, **options)
            self.soft[row].copy_(soft)
        self.ids[row].copy_(taken.ids)
        self.previous[row].copy_(reading.best)
        self.still[row].copy_(taken.still)
        numbers = (reading.best.int(), reading.confidence.view(torch.int32), taken.kept.int())
        flags = (taken.settled.int()[:, None], reading.finite.int()[:, None])
        torch.cat((*numbers, *flags), 1, out=self.report[row])


@dataclass(frozen=True, slots=True)
class StepRow:
    """A row of a step's buffers, in which a canvas stands."""

    step: DenoiseStep
    """The step."""
    index: int
    """The row."""


class GraphRefiner:
    """A `Refiner` that advances canvases of one size together, in steps made when first needed and
    kept.
    """

    def __init__(self, model: Model, cache: DeviceCache) -> None:
        self.model, self.cache = model, cache
        self.made: dict[tuple[int, int], DenoiseStep] = {}

    def step(self, rows: int, slots: int) -> DenoiseStep:
        """Return the step of so many canvases of a size; a new one where the cache's buffers have
        grown.
        """
        step = self.made.get((rows, slots))
        if step is None or step.version != self.cache.version:
            step = DenoiseStep(self.model, self.cache, rows=rows, slots=slots)
            self.made[rows, slots] = step
        return step

    def begin(self, seed: Seed, generator: torch.Generator) -> CanvasState | StepRow:
        """Return a canvas's state before its first step."""
        canvas, soft = seed.canvas, None
        if self.model.conditioning is not None:
            signal = seed_signal(self.model, seed)
            soft = torch.zeros_like(self.model.embed(canvas.ids)) if signal is None else signal
            soft = soft[0]
        number = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        none = torch.full_like(canvas.ids[0], -1)
        still = torch.zeros((), dtype=torch.int32, device=none.device)
        draw = torch.cat((number, torch.zeros_like(number)))
        return CanvasState(canvas.ids[0], canvas.fixed[0], soft, none, still, draw)

    def advance(
        self,
        running: Sequence[Live[CanvasState | StepRow]],
        sampling: Sampling,
        generator: torch.Generator,
    ) -> None:
        """Advance each canvas by a step; `generator` gave them their own random numbers."""
        for size in dict.fromkeys(one.canvas.slots for one in running):
            self._advance([one for one in running if one.canvas.slots == size], sampling)

    def at(self, state: CanvasState | StepRow, slots: Sequence[int]) -> CanvasState:
        """Return the state of a canvas that goes on with some of its slots."""
        return _copied(state).at(slots)

    def more(self, state: CanvasState | StepRow, noise: Tensor) -> CanvasState:
        """Return the state of a canvas that goes on with more slots, of which nothing is known."""
        return _copied(state).more(noise[0])

    def _advance(self, group: Sequence[Live[CanvasState | StepRow]], sampling: Sampling) -> None:
        """Advance canvases of the same size by a step."""
        step = self.step(len(group), group[0].canvas.slots)
        rows = [StepRow(step, index) for index in range(len(group))]
        if [one.state for one in group] != rows:
            states = [_copied(one.state) for one in group]
            for one, row, state in zip(group, rows, states, strict=True):
                heat = sampler.temperature(sampling, one.remaining)
                cooling = heat - sampler.temperature(sampling, one.remaining - 1)
                step.load(row.index, state, heat=heat, cooling=cooling)
                one.state = row
            settings = (sampling.entropy_bound, sampling.confidence, float(sampling.stability))
            step.settings.copy_(torch.tensor(settings))
        for one, report in zip(group, step.run(), strict=True):
            one.latest = _refined(one.canvas, report)


def _copied(state: CanvasState | StepRow) -> CanvasState:
    """Return a canvas as the next step would read it, copied out of any step's buffers."""
    return state.step.state(state.index) if isinstance(state, StepRow) else state


def _refined(canvas: Canvas, report: Tensor) -> RefinedCanvas:
    """Read a row of a step's report. Raises ModelError for logits that are not finite."""
    slots = canvas.slots
    best, confidence, kept = report[: 3 * slots].view(3, slots)
    settled, finite = report[3 * slots :].tolist()
    if not finite:
        raise ModelError("the model's logits are no finite numbers: damaged weights?")
    sure: list[float] = confidence.view(torch.float32).tolist()
    return RefinedCanvas(canvas, best.tolist(), sure, kept.bool().tolist(), bool(settled))
