"""The settings that decide an adapter's training, beside the base and the corpus.

Each field is an option. `Adapting` has those of any reading's adapter, `LoraRecipe` the causal
one's. Knows neither models nor files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from dgedit_engine.train import options
from dgedit_engine.train.adapter import ATTENTION, PROJECTIONS, AdapterSettings
from dgedit_engine.train.infill_examples import Weights
from dgedit_engine.train.optimiser import Descent


@dataclass(frozen=True, slots=True)
class Adapting:
    """How an adapter of any reading is trained. Raises ValueError, naming the value, for unusable
    settings.
    """

    minutes: float = 30.0
    """Minutes of wall-clock that the schedule takes."""
    steps: int | None = None
    """Steps of the schedule instead, repeatable bit for bit on a CPU."""
    seed: int = 0
    """Seed of the first weights and the order."""
    rank: int = 8
    """Rank of each change."""
    alpha: float = 16.0
    """Changes are multiplied by alpha / rank."""
    projections: str = ",".join(ATTENTION)
    """Which matrices are changed, with commas; `all` for every one."""
    lr: float = 2e-4
    """Peak learning rate of AdamW."""
    token_lr: float = 4.0
    """Factor of the learning rate of what is no change of a matrix: rows of special tokens, and a
    block that the base lacks.
    """
    decay: float = 0.0
    """Weight decay."""
    clip: float = 1.0
    """Largest gradient norm."""
    warm_up: float = 0.03
    """Share of the run in which the rate rises."""
    constant: float = 0.5
    """Share of the run after which it falls to zero."""
    rows: int = 12
    """Examples of a step."""
    micro: int = 4
    """Examples of a pass: a step adds up the gradients of several."""
    limit: int = 512
    """Tokens of an example."""
    turned: float = 0.8
    """Share of examples with the suffix first; the others are left to right."""

    def __post_init__(self) -> None:
        check_shares(self, "turned", "warm_up", "constant")
        for name in ("minutes", "lr", "clip", "rows", "micro", "alpha"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        if self.limit < 32:
            raise ValueError(f"limit must be at least 32, not {self.limit}")
        self.settings()

    def settings(self) -> AdapterSettings:
        """Return the adapter's settings. Raises ValueError for unknown projections."""
        names = PROJECTIONS if self.projections == "all" else tuple(self.projections.split(","))
        return AdapterSettings(self.rank, self.alpha, names)


@dataclass(frozen=True, slots=True)
class LoraRecipe(Adapting):
    """All settings that decide a run of the causal reading's adapter, beside the data and
    the base.
    """

    end: float = 1.0
    """Weight of the first tokens behind a hole, beside the hole's."""
    text: float = 0.1
    """Weight of the rest of the text."""
    text_kept: float = 0.25
    """Share of the rest that is drawn to count, with weights as much larger: the head is
    expensive.
    """
    kl: float = 0.0
    """Weight of the Kullback-Leibler divergence from the base's own reading of the text up to the
    hole.
    """
    kl_kept: float = 0.25
    """Share of those tokens that is drawn to count."""

    def __post_init__(self) -> None:
        Adapting.__post_init__(self)
        check_shares(self, "text_kept", "kl_kept")

    def weights(self) -> Weights:
        """Return the weights of tokens in the loss."""
        return Weights(end=self.end, text=self.text)


def descent(
    recipe: Adapting, changes: Iterable[nn.Parameter], others: Iterable[nn.Parameter]
) -> Descent:
    """Make the optimiser of a recipe, for an adapter's changes of matrices and its other parts."""
    return Descent(
        [(changes, recipe.lr), (others, recipe.lr * recipe.token_lr)],
        decay=recipe.decay,
        clip=recipe.clip,
        warm_up=recipe.warm_up,
        constant=recipe.constant,
    )


def check_shares(recipe: object, *names: str) -> None:
    """Raise ValueError, naming it, for a field that is no share."""
    for name in names:
        if not 0 <= (share := getattr(recipe, name)) <= 1:
            raise ValueError(f"{name} is a share from 0 to 1, not {share}")


WORDS = {
    "minutes": "wall-clock of the schedule",
    "steps": "a schedule of so many steps instead, repeatable bit for bit on a CPU",
    "seed": "decides order and first weights",
    "rank": "of each change",
    "alpha": "changes count alpha / rank",
    "projections": f"which matrices, with commas, or all: {', '.join(PROJECTIONS)}",
    "lr": "peak learning rate of AdamW",
    "token_lr": "times the rate that rows of special tokens and new blocks have",
    "decay": "weight decay",
    "clip": "largest gradient norm",
    "warm_up": "share of the run in which the rate rises",
    "constant": "share of the run behind which it falls to zero",
    "rows": "examples of a step",
    "micro": "examples of a pass",
    "limit": "tokens of an example",
    "turned": "share of examples with the suffix first",
}
"""Help texts of the options of `Adapting`."""

_HELP = WORDS | {
    "end": "weight of the first tokens behind the hole",
    "text": "weight of the text around the hole",
    "text_kept": "share of that text's tokens that is drawn to count",
    "kl": "weight of the divergence from the base's own left-to-right reading",
    "kl_kept": "share of the tokens that is drawn for it",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field."""
    options.add(parser, LoraRecipe, _HELP)


def from_options(given: argparse.Namespace) -> LoraRecipe:
    """Return the recipe of the options. Raises ValueError, naming the value, for an
    unusable one.
    """
    return options.read(given, LoraRecipe)
