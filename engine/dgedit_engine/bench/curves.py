"""`python -m dgedit_engine.bench --growth`: what steps and fills take, as what is asked for grows.

One thing grows at a time: the prompt, the canvas, the holes, the candidates, the file around the
excerpt, the requests so far. For nano and tiny that is measured here, whole requests in one engine;
for the 26B it is planned, from bytes and operations on an RTX 4090 and from the memory plan. On a
CPU times are the processor's own, since a busy machine's clock tells of its other work. Says where
a curve is not what it should be: flat in the file and in the requests, flat in holes, at most
linear in the canvas.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from dgedit_engine.bench.floors import CARDS
from dgedit_engine.bench.growth import resident
from dgedit_engine.bench.shapes import released
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.engine import Engine
from dgedit_engine.memory.passes import Setting, cached, worked
from dgedit_engine.types import Hole, InfillRequest, Passage

GROWING: dict[str, tuple[int, ...]] = {
    "prompt": (250, 1000, 4000, 16000),
    "canvas": (16, 32, 64, 128),
    "holes": (1, 2, 4, 8),
    "candidates": (1, 2, 4, 8),
    "file": (10_000, 100_000, 1_000_000),
    "requests": (1, 5, 20),
}
"""What grows, and its values: characters before the hole, slots, holes, candidates, bytes of the
file around the excerpt, requests so far.
"""
UNITS = {
    "prompt": "characters before the hole",
    "canvas": "slots of the canvas",
    "holes": "holes",
    "candidates": "candidates",
    "file": "bytes of the file",
    "requests": "requests so far",
}
"""The words under each picture."""
EXPECTED = {"canvas": "linear", "holes": "flat", "file": "flat", "requests": "flat"}
"""How a step's time should grow, at most; of the others nothing is promised."""
PLANNED = "26b by plan"
"""The name of the model that is not run."""
LEVEL, OFF = 1.3, 1.15
"""The factor up to which a curve counts as flat, and the power up to which it counts as linear."""

_CARD = CARDS["RTX 4090"]
_E2M1, _WEIGHTS = 9 / 16, 16.1e9  # bytes of an expert's weight, of all weights beside int8
_STEPS = 6


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """What one request took."""

    model: str
    """Which model."""
    growing: str
    """What grows: a key of `GROWING`."""
    value: int
    """Its value."""
    step_ms: float
    """Milliseconds of a step, the median without the first."""
    fill_ms: float | None
    """Milliseconds of the whole request; None where it is planned."""
    memory_mb: float
    """The process's own memory at its most while it was answered, in MB; planned, of the card."""


def measured(engine: Engine, *, rounds: int = 3) -> Iterator[GrowthPoint]:
    """Ask an engine for each value of each thing that grows: medians of some rounds."""
    usual, canvases = engine.decoding, not engine.model.config.left_to_right
    for growing, values in GROWING.items():
        if growing == "canvas" and not canvases:
            continue
        so_far = 0
        for value in values:
            engine.decoding = usual
            if canvases:
                engine.decoding = Decoding(canvases=(value if growing == "canvas" else 32,))
            request = asked(growing, value)
            if growing == "requests":
                for _ in range(value - so_far - 1):
                    _took(engine, replace(request, seed=so_far))
                so_far = value
            found = [_took(engine, request) for _ in range(1 if growing == "requests" else rounds)]
            step, fill, memory = (statistics.median(one) for one in zip(*found, strict=True))
            yield GrowthPoint(engine.name, growing, value, step, fill, memory)
    engine.decoding = usual


def asked(growing: str, value: int) -> InfillRequest:
    """Return a request in which one thing has that value, and all others are small."""
    before = _text(value if growing == "prompt" else 1000) + "def last(rows):\n    "
    behind = "\n\n\n" + _text(400)
    parts: list[str | Hole] = [before, Hole()]
    for _ in range(value - 1 if growing == "holes" else 0):
        parts += ["\n    x = 1\n    ", Hole()]
    above = _text(value // 2) if growing == "file" else ""
    passage = Passage("a.py", (*parts, behind), above=above, below=above)
    candidates = value if growing == "candidates" else 1
    return InfillRequest((passage,), steps=_STEPS, candidates=candidates, seed=1)


def _took(engine: Engine, request: InfillRequest) -> tuple[float, float, float]:
    """Return the milliseconds of a later step and of all, and the most MB; on a CPU the
    processor's.
    """
    engine.cache.truncate(0)
    clock = time.process_time if engine.device.startswith("cpu") else time.perf_counter
    began = last = clock()
    times, most = list[float](), 0
    for _ in engine.infill(request):
        now = clock()
        times.append(1000 * (now - last))
        most = max(most, resident())
        last = clock()
    whole = 1000 * (clock() - began)
    return statistics.median(times[1:] or times), whole, most / 1e6


def _text(characters: int) -> str:
    """Return so much code without a fault, whole functions of it."""
    one = "def total_{0}(rows):\n    each = [row.price for row in rows]\n    return sum(each)\n\n\n"
    return "".join(map(one.format, range(max(1, characters // (len(one) + 4)))))


def planned() -> Iterator[GrowthPoint]:
    """Yield what the 26B with experts in e2m1 would take of an RTX 4090: no implementation is
    faster, and none of ours should take more memory.
    """
    for growing, values in GROWING.items():
        for value in values:
            prompt = 4 + value // 4 if growing == "prompt" else 250
            slots = value if growing == "canvas" else 256
            rows = value if growing == "candidates" else 1
            yield GrowthPoint(PLANNED, growing, value, *_plan(prompt, slots, rows))


def _plan(prompt: int, slots: int, rows: int) -> tuple[float, None, float]:
    """Return the milliseconds of a step over rows of canvases, and the MB of the card."""
    config = replace(released(), canvas=slots)
    setting = Setting(config, Decoding(candidates=rows), True, torch.bfloat16, torch.bfloat16)
    memory = _WEIGHTS + cached(setting, prompt, "bf16") + worked(setting, prompt)
    tokens = slots * rows
    each = 3 * config.dim * config.expert_width * len(config.layers)
    experts = config.experts * (1 - (1 - config.active / config.experts) ** tokens)
    rest = _WEIGHTS - config.experts * each * _E2M1
    keys = 0
    for layer in config.layers:
        seen = min(prompt, config.window) if layer.sliding else prompt
        keys += 4 * seen * layer.kv_heads * layer.head_dim
    active = config.active * each + rest  # int8: a byte is an entry
    step = _CARD.floor(rest + experts * each * _E2M1 + rows * keys, 2 * tokens * active)
    return step, None, memory / 1e6


def growth(points: list[GrowthPoint], figure: str = "step_ms") -> tuple[float, str]:
    """Return the factor by which a figure grows from the first of its points to the last, and how:
    flat, below linear, linear or above linear.
    """
    first, last = getattr(points[0], figure), getattr(points[-1], figure)
    factor = last / first
    power = math.log(factor) / math.log(points[-1].value / points[0].value)
    if factor <= LEVEL:
        return factor, "flat"
    return (
        factor,
        "linear" if 1 / OFF <= power <= OFF else f"{'below' if power < 1 else 'above'} linear",
    )


def report(points: list[GrowthPoint]) -> Iterator[str]:
    """Yield a line for each model and thing that grows, and say where it should be otherwise."""
    for (model, growing), row in grouped(points).items():
        values = f"{row[0].value:,} to {row[-1].value:,} {UNITS[growing]}"
        step, kind = growth(row)
        memory, _ = growth(row, "memory_mb")
        wanted = EXPECTED.get(growing, "")
        fine = kind == "flat" or not wanted or (wanted == "linear" and "above" not in kind)
        line = f"{model:12} {values:46} step {row[0].step_ms:9.2f} to {row[-1].step_ms:9.2f} ms, "
        line += f"x{step:.2f}, {kind}; "
        fills = [one.fill_ms for one in row if one.fill_ms is not None]
        if fills:
            line += f"fill {fills[0]:.0f} to {fills[-1]:.0f} ms; "
        line += f"memory {row[0].memory_mb:,.0f} to {row[-1].memory_mb:,.0f} MB, x{memory:.2f}"
        line += "" if fine else f"  STEP NOT {wanted}"
        level = not fills or wanted != "flat" or fills[-1] <= LEVEL * fills[0]
        yield line + ("" if level else f"  FILL NOT {wanted}")


def grouped(points: list[GrowthPoint]) -> dict[tuple[str, str], list[GrowthPoint]]:
    """Return the points of each curve, by model and what grows."""
    found: dict[tuple[str, str], list[GrowthPoint]] = {}
    for one in points:
        found.setdefault((one.model, one.growing), []).append(one)
    return found
