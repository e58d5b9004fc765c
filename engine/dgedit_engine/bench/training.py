"""`python -m dgedit_engine.bench --shape 26b --training`: time a training step, on random weights.

A step of one prompt and its canvas, both readings, the optimiser included (`train/both_run.py`):
once with what layers keep for the backward pass, where that fits, and once with layers run again;
beside its peak of memory stands what was planned. The figures are of a step of one prompt: one of
eight is eight passes and one update.
"""

from __future__ import annotations

from typing import Any

import torch

from dgedit_engine.bench.stages import Timing
from dgedit_engine.memory.devices import free_bytes
from dgedit_engine.model.model import Model
from dgedit_engine.train.both_examples import AnsweredHole
from dgedit_engine.train.both_memory import need_of
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.both_run import BothRun, run_again
from dgedit_engine.weights.slots import slots


def measure_training(model: Model, *, prompt: int, minutes: float) -> dict[str, Any]:
    """Measure steps of a model behind a prompt of so many tokens: milliseconds, tokens a second and
    bytes, by name. `minutes` is the budget of all timings. The model gets an adapter.
    """
    config, device = model.config, model.embedding.device
    recipe = BothRecipe(limit=prompt, conditioned=1.0, rows=1)
    weights = sum(slot.weight.nbytes for slot in slots(model))
    free = free_bytes(device) + weights
    run, timing = BothRun(model, recipe), Timing(device, 60 * minutes / 2)
    ids = torch.arange(prompt + config.canvas).remainder(config.vocab - 200).add(100).tolist()
    example = AnsweredHole(ids[:prompt], ids[prompt:], config.canvas)
    tokens = prompt + config.canvas * (1 + recipe.copies)
    found: dict[str, Any] = {"prompt": prompt, "canvas": config.canvas, "tokens": tokens}
    for name, again in (("kept", False), ("again", True)):
        if again:
            run_again(model)
        need = need_of(config, weights, recipe, again=again, size=2, device=str(device))
        found[f"{name}_planned_bytes"] = need.total
        if need.total > free:
            continue
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step = timing.of(lambda: run.update((example,)), captured=False)
        found |= {f"{name}_step_ms": step, f"{name}_tokens_per_second": 1000 * tokens / step}
        if device.type == "cuda":
            found[f"{name}_peak_bytes"] = torch.cuda.max_memory_allocated()
    return found
