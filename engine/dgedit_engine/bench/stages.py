"""`python -m dgedit_engine.bench --shape 26b`: time each part of a denoise step, on random weights.

Each stage runs over all layers, so that weights come from memory as they do in a step; on a GPU it
is captured and replayed, so that the host does not count. Beside it stands what the card could do
at best. Then the whole step, an edit, decoding token by token with the same weights and kernels,
and transformers on the same device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.bench.floors import Card, card_of, entries, size
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import Start, refine
from dgedit_engine.decode.loop_cuda import GraphRefiner
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Config, Sampling
from dgedit_engine.model.graphs import replays
from dgedit_engine.model.masks import Reading
from dgedit_engine.model.model import Model
from dgedit_engine.model.prefill_cuda import GraphReader
from dgedit_engine.model.products import feed, product
from dgedit_kernels.acceptance import accept_and_renoise
from dgedit_kernels.canvas_sampler import read_canvas
from dgedit_kernels.soft_embed import soft_embed

STEPS = (12, 16, 24)
"""Steps for a canvas: the published average, the number that servers are measured with, our cap."""
_EDIT = 64  # tokens of a prompt that an edit makes new


@dataclass(frozen=True, slots=True)
class StepPart:
    """A part of a step."""

    name: str
    """What it does."""
    call: Callable[[], object]
    """Runs it, for all layers."""
    bytes_read: int = 0
    """Bytes of weights and keys that it must read."""
    operations: int = 0
    """Multiplications and additions in matrix products."""


@dataclass(slots=True)
class Timing:
    """Times repeated runs, within a budget."""

    device: torch.device
    """Where they run."""
    seconds: float
    """Seconds for each call that is timed, at most."""
    most: int = 50
    """Runs of each, at most."""
    kept: list[object] = field(default_factory=list)
    """Results of captured calls, which the graphs write to."""

    def of(self, call: Callable[[], object], *, captured: bool = True) -> float:
        """Return the median milliseconds of a call; on a GPU of its CUDA graph, unless `captured`
        is off.
        """
        run = self._captured(call) if captured and self.device.type == "cuda" else call
        times: list[float] = []
        end = time.monotonic() + self.seconds
        while len(times) < 3 or (time.monotonic() < end and len(times) < self.most):
            self._wait()
            started = time.perf_counter()
            run()
            self._wait()
            times.append(1000 * (time.perf_counter() - started))
        return statistics.median(times[1:])

    def _captured(self, call: Callable[[], object]) -> Callable[[], object]:
        call()  # compiles
        self._wait()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.kept.append(call())
        return graph.replay

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


@torch.inference_mode()
def measure(
    model: Model, *, prompt: int, minutes: float, stored: torch.dtype | None
) -> dict[str, Any]:
    """Measure a model behind `prompt` tokens: figures in milliseconds, tokens a second and bytes,
    by name. `minutes` is the budget of all timings.
    """
    config, device = model.config, model.embedding.device
    cache = DeviceCache(config, device=device, dtype=model.embedding.dtype, stored=stored)
    timing, card = Timing(device, 60 * minutes / 20), card_of(device)
    ids = torch.arange(prompt).remainder(config.vocab - 200).add(100).tolist()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    encode(model, cache, ids)
    found: dict[str, Any] = {"prompt": prompt, "canvas": config.canvas}
    found["stages"] = [_timed(stage, timing, card) for stage in stages(model, cache)]
    refiner = GraphRefiner(model, cache)
    step = refiner.step(1, config.canvas)
    step.heat.fill_(0.6)
    found["step_ms"] = timing.of(step.run, captured=False)
    if device.type == "cuda":
        found["step_eager_ms"] = timing.of(step.advance, captured=False)
    floors = [stage["floor_ms"] for stage in found["stages"]]
    found["floor_ms"] = None if None in floors else sum(floors)
    found |= _read(model, cache, ids, timing)
    found |= _whole(model, cache, refiner, ids, timing, found["step_ms"])
    if device.type == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


def _read(model: Model, cache: DeviceCache, ids: list[int], timing: Timing) -> dict[str, Any]:
    """Time the reading of the prompt and of what an edit makes new, as it stands and captured,
    which it stays from here on.
    """
    found: dict[str, Any] = {}
    captures = GraphReader(model, capture=replays(model))
    for name, reader in (("_eager", None), ("", captures)):
        cache.reader = reader
        for what, kept in (("prompt", 0), ("new", max(0, len(ids) - _EDIT))):

            def read(kept: int = kept) -> None:
                cache.truncate(kept)
                encode(model, cache, ids)

            read()  # as it stands; captured when it is next read, which is not counted
            found[f"{what}{name}_ms"] = timing.of(read, captured=False)
    return found


def _timed(stage: StepPart, timing: Timing, card: Card | None) -> dict[str, Any]:
    floor = card.floor(stage.bytes_read, stage.operations) if card else None
    return {"stage": stage.name, "ms": timing.of(stage.call), "floor_ms": floor}


def stages(model: Model, cache: DeviceCache) -> Iterator[StepPart]:
    """Yield the parts of a step behind what the cache holds."""
    config = model.config
    slots, layers = config.canvas, list(model.stack())
    ids = torch.randint(config.vocab, (1, slots), device=cache.device)
    x = model.embed(ids)
    soft = torch.randn_like(x)
    block = model.conditioning
    assert block is not None
    read, taken = _matrices(slots, block.gate_up, block.down)
    yield StepPart("self-conditioning", lambda: block(model.embed(ids), soft), read, taken)
    view = cache.open(slots, Reading(False))
    ropes = model.ropes(view, x.dtype)
    projected = [layer.project(x, ropes[layer.shape]) for layer in layers]
    attended = [
        view.attend(layer.index, layer.shape, *p)
        for layer, p in zip(layers, projected, strict=True)
    ]
    read, taken = _matrices(slots, *(one for layer in layers for one in (layer.qkv, layer.out)))
    yield StepPart(
        "projections",
        lambda: [
            (layer.project(x, ropes[layer.shape]), product(a, layer.out))
            for layer, a in zip(layers, attended, strict=True)
        ],
        read,
        taken,
    )
    yield StepPart(
        "attention",
        lambda: [
            view.attend(layer.index, layer.shape, *p)
            for layer, p in zip(layers, projected, strict=True)
        ],
        *_attention(config, cache, slots),
    )
    read, taken = _matrices(
        slots, *(one for layer in layers for one in (layer.gate_up, layer.down))
    )
    yield StepPart(
        "dense MLP", lambda: [feed(x, one.gate_up, one.down) for one in layers], read, taken
    )
    stacks = [one for layer in layers for one in (layer.experts_gate_up, layer.experts_down)]
    chosen = 2 * slots * config.active * sum(entries(one) for one in stacks) // config.experts
    yield StepPart(
        "router and experts",
        lambda: [one.route(x, x) for one in layers],
        sum(map(size, stacks)),
        chosen,
    )
    yield from _ends(model, x, ids)


def _ends(model: Model, hidden: Tensor, ids: Tensor) -> Iterator[StepPart]:
    """Yield the head, the sampler and the self-conditioning signal."""
    config, (_, slots) = model.config, ids.shape
    read, taken = _matrices(slots, model.embedding)
    raw = product(hidden, model.embedding)
    yield StepPart("head", lambda: product(hidden, model.embedding), read, taken)
    device = ids.device
    heat, draw = torch.full((1,), 0.6, device=device), torch.tensor([1, 0], device=device)
    fixed, pinned = torch.zeros_like(ids, dtype=torch.bool), torch.full_like(ids, -1)
    still = torch.zeros(1, dtype=torch.int32, device=device)
    settings = torch.tensor([0.1, 0.005, 1.0], device=device)

    def sample() -> object:
        reading = read_canvas(raw, heat, draw, softcap=config.softcap, pinned=pinned)
        parts = (reading.sample, reading.best, reading.entropy, ids, fixed, ids, still)
        return accept_and_renoise(*parts, settings=settings, vocab=config.vocab, draw=draw)

    yield StepPart("sampler", sample, raw.nbytes)
    reading = read_canvas(raw, heat, draw, softcap=config.softcap, pinned=pinned)
    options: dict[str, Any] = {"softcap": config.softcap, "scale": model.scale, "pinned": pinned}

    def soft() -> object:
        return soft_embed(raw, reading, heat, model.embedding, **options)

    yield StepPart("soft embedding", soft, 64 * slots * config.dim * model.embedding.itemsize)


def _matrices(tokens: int, *weights: Any) -> tuple[int, int]:
    """Return the bytes and operations of products with so many rows."""
    return sum(map(size, weights)), 2 * tokens * sum(map(entries, weights))


def _attention(config: Config, cache: DeviceCache, slots: int) -> tuple[int, int]:
    """Return the bytes of keys and values, and the operations."""
    read = taken = 0
    for layer in config.layers:
        seen = min(len(cache), config.window - 1) if layer.sliding else len(cache)
        read += 2 * seen * layer.kv_heads * layer.head_dim * cache.stored.itemsize
        taken += 4 * slots * (seen + slots) * config.heads * layer.head_dim
    return read, taken


def _whole(
    model: Model,
    cache: DeviceCache,
    refiner: GraphRefiner,
    ids: list[int],
    timing: Timing,
    step_ms: float,
) -> dict[str, Any]:
    """Time an edit, and return the tokens a second of both ways of decoding."""
    config, slots = model.config, model.config.canvas
    canvas = torch.randint(config.vocab, (1, min(slots, cache.chunk)), device=cache.device)

    def commit() -> None:
        model.encode(canvas, cache)
        cache.truncate(len(ids))

    def edited() -> None:
        cache.truncate(len(ids) - _EDIT)
        encode(model, cache, ids)
        made = seed_canvas(
            [[]],
            [[]],
            [slots],
            end=config.eos[0],
            vocab=config.vocab,
            strength=1.0,
            generator=generator,
        )
        sampling = Sampling(steps=STEPS[0], confidence=0.0)
        for _ in refine(refiner, [Start(made, STEPS[0])], sampling, generator, shrinking=False):
            pass

    generator = torch.Generator(cache.device).manual_seed(0)
    found: dict[str, Any] = {"commit_ms": timing.of(commit, captured=False)}
    found["edit_ms"] = timing.of(edited, captured=False)
    for count in STEPS:
        both = count * step_ms + found["commit_ms"]
        found[f"tokens_per_second_{count}_steps"] = 1000 * slots / both
    found["token_ms"] = timing.of(TokenStep(model, cache).run, captured=False)
    cache.truncate(len(ids))
    found["tokens_per_second_one_by_one"] = 1000 / found["token_ms"]
    for count in STEPS:
        ours = found[f"tokens_per_second_{count}_steps"]
        found[f"speedup_{count}_steps"] = ours / found["tokens_per_second_one_by_one"]
    return found


class TokenStep:
    """A step of greedy causal decoding, a token at a time, with which a canvas is compared."""

    def __init__(self, model: Model, cache: DeviceCache) -> None:
        self.model, self.cache = model, cache
        self.ids = torch.full((1, 1), model.config.eos[0], device=cache.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.version = cache.version

    def run(self) -> None:
        """Read the last step's token behind the cache, and choose the next."""
        self.cache.reserve(1)
        if self.cache.device.type != "cuda":
            self._advance()
        else:
            if self.graph is None or self.version != self.cache.version:
                self._capture()
            assert self.graph is not None
            self.graph.replay()
        self.cache.ids.append(-1)  # only the device knows

    @torch.inference_mode()
    def _advance(self) -> None:
        hidden = self.model.run(self.model.embed(self.ids), self.cache, Reading(True))
        self.cache.advance(1)
        self.ids.copy_(product(hidden[:, -1], self.model.embedding).argmax(-1, keepdim=True))

    def _capture(self) -> None:
        self._advance()
        self.cache.tell()
        self.graph, self.version = torch.cuda.CUDAGraph(), self.cache.version
        with torch.cuda.graph(self.graph):
            self._advance()


def table(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table for people."""
    for stage in found["stages"]:
        yield _line(stage["stage"], stage["ms"], stage["floor_ms"])
    yield _line("whole step", found["step_ms"], found["floor_ms"])
    for name, value in found.items():
        if name not in ("stages", "step_ms", "floor_ms") and not isinstance(value, str):
            yield (
                f"{name:34} {value:10,.2f}"
                if isinstance(value, float)
                else f"{name:34} {value:10,}"
            )


def _line(name: str, ms: float, floor: float | None) -> str:
    beside = f"{floor:8.2f} at best, {100 * floor / ms:3.0f}% of it reached" if floor else ""
    return f"{name:34} {ms:10.2f} ms  {beside}".rstrip()
