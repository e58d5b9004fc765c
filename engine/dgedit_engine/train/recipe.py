"""The settings that decide a training run, beside data and model shape; and the plan of each step.

The defaults are the released recipe. Every field is a command-line option of the trainer, so that
an ablation is one option. Nothing here needs a device: a step's draws are known before it starts.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from dgedit_engine.train import options

Noise = Literal["uniform", "masked"]

_LATE_CONDITIONED, _LATE_ON_POLICY = 0.95, 0.5  # shares of the steps in the last phase


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings that decide a run, beside the data and the model's shape. Raises ValueError,
    naming the value, for unusable ones.
    """

    minutes: float = 24.0
    """Minutes of wall-clock that the schedule takes."""
    steps: int | None = None
    """Steps of the schedule instead, repeatable bit for bit on a CPU."""
    seed: int = 0
    """Seed of noise and order."""
    lr: float = 0.02
    """Muon's peak learning rate."""
    clip: float = 1.0
    """Largest gradient norm."""
    copies: int = 2
    """Canvases noised for each encoded prompt, K."""
    causal: float = 1.0
    """Weight of the causal loss beside the canvas's."""
    infill: float = 8.0
    """Weight of the holes' tokens and ends, beside the prompt's, in the causal loss: they are few,
    and a causal draft that does not learn to end is of no use.
    """
    clean: float = 1.0
    """Weight of slots that kept their token, beside noised ones, in the canvas loss."""
    ends: float = 1.0
    """Weight of end slots behind the first end, beside other slots."""
    noise: Noise = "uniform"
    """Noised slots get a random token, or all the same one: a control, not for the sampler."""
    full: float = 0.15
    """Share of canvases that are all noise."""
    scattered: float = 0.0
    """Share of canvases in which every few slots have a noise level of their own."""
    conditioned: float = 0.5
    """Share of steps with self-conditioning, until the last phase."""
    on_policy: float = 0.0
    """Share of steps on the model's own drafts, until the last phase."""
    last_phase: float = 0.3
    """Share of the run, at its end, with self-conditioning at 0.95 and own drafts at 0.5."""
    shifted: float = 0.0
    """Share of canvases, in the last phase, into which tokens are inserted or deleted."""

    def __post_init__(self) -> None:
        for name in ("full", "scattered", "conditioned", "on_policy", "last_phase", "shifted"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {share}")
        for name in ("minutes", "lr", "clip", "copies"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name in ("causal", "infill", "clean", "ends"):
            if not (weight := getattr(self, name)) >= 0:
                raise ValueError(f"{name} is a weight from 0 on, not {weight}")
        if self.noise not in get_args(Noise):
            raise ValueError(f"noise is uniform or masked, not {self.noise}")


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The choices of one step, drawn before it starts."""

    conditioned: bool = True
    """Whether the canvas is read twice, first without gradient for the self-conditioning signal."""
    bound: float | None = None
    """Nats of entropy within which the model's own drafts are accepted, which it then restores;
    None: it restores noise.
    """
    shifted: float = 0.0
    """Share of canvases into which tokens are inserted or deleted."""


class Planned(Protocol):
    """The fields of a recipe that decide a step's plan; as in `Recipe`."""

    @property
    def seed(self) -> int: ...
    @property
    def conditioned(self) -> float: ...
    @property
    def on_policy(self) -> float: ...
    @property
    def last_phase(self) -> float: ...
    @property
    def shifted(self) -> float: ...


def plan(recipe: Planned, progress: float, step: int) -> StepPlan:
    """Draw the plan of a step, which the seed and its number decide.

    The entropy bound is drawn log-uniformly, so that canvases with few and with many accepted slots
    occur.
    """
    rng = random.Random(recipe.seed * 1_000_003 + step)
    late = progress >= 1 - recipe.last_phase
    conditioned, on_policy = recipe.conditioned, recipe.on_policy
    if late:
        conditioned, on_policy = _LATE_CONDITIONED, _LATE_ON_POLICY
    twice, own, bound = rng.random() < conditioned, rng.random() < on_policy, rng.random()
    return StepPlan(
        conditioned=twice,
        bound=0.05 * 400**bound if twice and own else None,  # 0.05 to 20 nats
        shifted=recipe.shifted if late else 0.0,
    )


_HELP = {
    "minutes": "wall-clock of the schedule",
    "steps": "a schedule of so many steps instead, repeatable bit for bit on a CPU",
    "seed": "decides data, noise and first weights",
    "lr": "Muon's peak learning rate",
    "clip": "largest gradient norm",
    "copies": "canvases noised for each prompt",
    "causal": "weight of the causal loss beside the canvas's",
    "infill": "weight of the holes' tokens beside the prompt's, in the causal loss",
    "clean": "weight of slots that kept their token, in the canvas loss",
    "ends": "weight of end slots behind the first end, in the canvas loss",
    "noise": "uniform, or masked: one token for all noise, as a control",
    "full": "share of canvases that are all noise",
    "scattered": "share of canvases in which every few slots have a noise level of their own",
    "conditioned": "share of steps with self-conditioning, until the last phase",
    "on_policy": "share of steps on the model's own drafts, until the last phase",
    "last_phase": "share of the run, at its end, mostly with both",
    "shifted": "share of canvases with insertions or deletions, in the last phase",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of the recipe."""
    options.add(parser, Recipe, _HELP)


def from_options(given: argparse.Namespace) -> Recipe:
    """Return the recipe of the options. Raises ValueError, naming the value, for an
    unusable one.
    """
    return options.read(given, Recipe)
