"""The settings that decide the training of one adapter for both readings of a DiffusionGemma.

Each field is an option. The defaults follow the published recipes (TRL's, NeMo's). Knows neither
models nor files.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from dgedit_engine.train import options
from dgedit_engine.train.adapter import PROJECTIONS, AdapterSettings
from dgedit_engine.train.lora_recipe import WORDS, check_shares


@dataclass(frozen=True, slots=True)
class BothRecipe:
    """All settings that decide a run, beside the data and the base. Raises ValueError, naming the
    value, for unusable ones.
    """

    minutes: float = 60.0
    """Minutes of wall-clock that the schedule takes."""
    steps: int | None = None
    """Steps of the schedule instead, repeatable bit for bit on a CPU."""
    seed: int = 0
    """Seed of the first weights, the noise and the order."""
    rank: int = 16
    """Rank of each change."""
    alpha: float = 32.0
    """Changes are multiplied by alpha / rank."""
    projections: str = "all"
    """Which matrices are changed, with commas; `all`: attention's and the dense MLP's."""
    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    least: float = 0.1
    """Share of it that is left at the end of the run."""
    warm_up: int = 25
    """Steps in which the rate rises."""
    decay: float = 0.0
    """Weight decay."""
    clip: float = 1.0
    """Largest gradient norm."""
    rows: int = 8
    """Prompts of a step, one pass each."""
    limit: int = 1024
    """Tokens of a prompt."""
    slots: str = "all"
    """Slots of the canvases, which steps take in turn: numbers with commas; `all`: the model's own
    number.
    """
    copies: int = 1
    """Canvases noised for each prompt, K."""
    full: float = 0.15
    """Share of canvases that are all noise."""
    conditioned: float = 0.5
    """Share of prompts whose canvases are read twice, first for the self-conditioning signal."""
    causal: float = 1.0
    """Weight of the causal loss beside the canvas's."""
    text: float = 0.0
    """Weight of the prompt's tokens in the causal loss, beside the answer's."""
    padding: float = 1.0
    """Weight of slots behind the end in the canvas's loss, beside other slots."""

    def __post_init__(self) -> None:
        check_shares(self, "least", "full", "conditioned")
        for name in ("minutes", "lr", "clip", "rows", "alpha", "copies", "limit"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name in ("warm_up", "decay", "causal", "text", "padding"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"{name} must be at least 0, not {value}")
        self.settings()
        self.sizes(1)

    def settings(self) -> AdapterSettings:
        """Return the adapter's settings. Raises ValueError for unknown projections."""
        names = PROJECTIONS if self.projections == "all" else tuple(self.projections.split(","))
        return AdapterSettings(self.rank, self.alpha, names, tokens=0)

    def sizes(self, canvas: int) -> tuple[int, ...]:
        """Return the canvases' slots, in turn, for a model whose own number is `canvas`."""
        found = self.slots.split(",")
        if self.slots == "all":
            return (canvas,)
        if not all(one.isdecimal() and int(one) >= 4 for one in found):
            raise ValueError(f"slots are numbers from 4 on, with commas, not {self.slots}")
        return tuple(map(int, found))


_HELP = {name: WORDS[name] for name in ("minutes", "steps", "rank", "alpha", "projections", "lr")}
_HELP |= {name: WORDS[name] for name in ("decay", "clip")}
_HELP |= {
    "seed": "decides order, noise and first weights",
    "least": "share of the rate that is left at the end",
    "warm_up": "steps in which the rate rises",
    "rows": "prompts of a step, one pass each",
    "limit": "tokens of a prompt",
    "slots": "slots of the canvases, taken in turn, with commas; all: the model's own number",
    "copies": "canvases noised for each prompt",
    "full": "share of canvases that are all noise",
    "conditioned": "share of prompts whose canvases are read twice",
    "causal": "weight of the causal loss beside the canvas's",
    "text": "weight of the prompt's tokens in the causal loss",
    "padding": "weight of slots behind the end, in the canvas's loss",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field."""
    options.add(parser, BothRecipe, _HELP)


def from_options(given: argparse.Namespace) -> BothRecipe:
    """Return the recipe of the options. Raises ValueError, naming the value, for an
    unusable one.
    """
    return options.read(given, BothRecipe)
