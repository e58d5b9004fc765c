"""The training loop: batches in, checkpoints and a log out, as many steps as the clock allows.

`schedule.py` decides how long a run takes. A checkpoint every few minutes is a folder that `dgedit`
can open, and a run resumes from it with its optimiser. From a seed and a number of steps a run on
the CPU repeats bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.model.config import Sampling, save_config
from dgedit_engine.model.layer import Layer
from dgedit_engine.model.model import Model
from dgedit_engine.train import schedule
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.objective import losses
from dgedit_engine.train.optimiser import clip, optimisers, rate
from dgedit_engine.train.recipe import Recipe, StepPlan, plan
from dgedit_engine.weights import checkpoint

_TAIL = 200  # steps over which the averaged weights look back
_LOGGED = 20  # steps between entries


class TrainingRun:
    """One training run: the model with its optimisers, averages and counters."""

    def __init__(self, model: Model, recipe: Recipe, *, device: torch.device | str = "cpu") -> None:
        self.model, self.recipe, self.device = model.to(device), recipe, device
        self.optimisers = optimisers(model, lr=recipe.lr)
        self.average = weights_of(model)
        self.step, self.tokens, self.progress = 0, 0, 0.0

    def train(self, batches: Iterator[Batch], *, log: Path) -> Iterator[dict[str, float]]:
        """Train until the clock or the step count ends; yields the log's entries, one each 20
        steps.
        """
        yield from schedule.train(self, batches, log=log, every=_LOGGED)

    def warm_up(self, batches: Iterable[Batch]) -> None:
        """Run every kind of pass on the batches, so that compiling is over when the clock starts,
        and memory that is too small shows. Nothing of the run changes.
        """
        most = StepPlan(bound=1.0, shifted=self.recipe.shifted)
        for batch in batches:
            for each in (most, StepPlan(conditioned=False)):
                generator = torch.Generator(self.device).manual_seed(0)
                done = losses(self.model, batch, self.recipe, each, generator, self.device)
                done[1].backward()  # type: ignore[no-untyped-call]
                self.model.zero_grad(set_to_none=True)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take an optimiser step on a batch; returns the values for the log."""
        self.model.train()
        seed = self.recipe.seed * 1_000_003 + self.step
        generator = torch.Generator(self.device).manual_seed(seed)
        this = plan(self.recipe, self.progress, self.step)
        values, loss = losses(self.model, batch, self.recipe, this, generator, self.device)
        loss.backward()  # type: ignore[no-untyped-call]
        values["norm"] = clip(self.model.parameters(), self.recipe.clip)
        share = rate(self.progress)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * share
                if "momentum" in group:
                    group["momentum"] = 0.85 + 0.1 * min(1.0, self.step / 300)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        keep = min(1 - 1 / _TAIL, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                [*self.average.values()], [*self.model.parameters()], 1 - keep
            )  # both in the model's order
        self.step += 1
        self.tokens += batch.prompt.size + batch.canvas.size * (1 + self.recipe.copies)
        return values

    def save(
        self, folder: Path, *, sampling: Sampling, shards: bool = False, int8: bool = False
    ) -> None:
        """Write a folder that the engine opens (averaged weights) and `resume` continues from."""
        folder.mkdir(parents=True, exist_ok=True)
        live = weights_of(self.model)
        fill(self.model, self.average)
        path = folder if shards else folder / checkpoint.SINGLE
        checkpoint.save(self.model, path, int8=int8)
        fill(self.model, live)
        save_config(self.model.config, sampling, folder)
        self.keep(folder)

    def keep(self, folder: Path) -> None:
        """Write what `resume` continues from."""
        state = {
            "live": weights_of(self.model),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "counters": (self.step, self.tokens, self.progress),
            "recipe": asdict(self.recipe),
        }
        schedule.keep(state, folder)

    def resume(self, folder: Path) -> None:
        """Continue from `folder`: weights, averages, optimisers and counters, to the last bit."""
        state = schedule.kept(folder, self.device)
        fill(self.model, state["live"])
        self.average = {name: state["average"][name] for name in self.average}
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.tokens, self.progress = state["counters"]


def compile_parts(model: Model) -> None:
    """Compile what every layer and loss share, once a shape: a step takes 0.6 of the time."""
    compile_layers(model)
    for part, name in ((model, "losses"), (model, "read"), (model.conditioning, "forward")):
        setattr(part, name, torch.compile(getattr(part, name), dynamic=False))


def compile_layers(model: Model) -> None:
    """Compile each layer's parts before and behind attention.

    Methods are compiled, not layers, so that all layers of a kind run the same code, and the cache
    stays out of it. Several routed experts are not compiled: the number of tokens that go to each
    is another shape in every step.
    """
    dynamo: Any = torch._dynamo.config
    dynamo.recompile_limit = 64  # shapes × kinds of layer × with and without gradient
    project = torch.compile(Layer.project, dynamic=False)
    finish = torch.compile(Layer.finish, dynamic=False)
    for layer in model.stack():
        layer.project = partial(project, layer)  # type: ignore[method-assign]
        if model.config.experts <= 1:
            layer.finish = partial(finish, layer)  # type: ignore[method-assign]


def weights_of(model: Model) -> dict[str, Tensor]:
    """Return a copy of a model's parameters by their names."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def fill(model: Model, values: Mapping[str, Tensor]) -> None:
    """Put these values into a model's parameters."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values[name])
