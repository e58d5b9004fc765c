"""The settings that decide the training of a base's canvas, beside the data and the base.

Each field is an option, so that a comparison is one option. Knows neither models nor files.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal, get_args

from dgedit_engine.train import options
from dgedit_engine.train.adapter import AdapterSettings
from dgedit_engine.train.infill_examples import Weights
from dgedit_engine.train.lora_recipe import WORDS, Adapting, check_shares

Read = Literal["before", "at"]
Noise = Literal["uniform", "causal", "mixed"]


@dataclass(frozen=True, slots=True)
class CanvasRecipe(Adapting):
    """All settings that decide a run, beside the data and the base. Raises ValueError, naming the
    value, for unusable ones.
    """

    slots: str = "32"
    """Slots of the canvases, which batches take in turn: numbers with commas between them."""
    copies: int = 4
    """Canvases noised for each prompt, K."""
    read: Read = "before"
    """Which token predicts a slot: the one before it, as the base was trained, or the slot
    itself.
    """
    kl: float = 0.0
    """Share of the loss that is the divergence from the causal reading's prediction of each slot
    behind the right text; the rest is the cross-entropy of the right text.
    """
    noise: Noise = "uniform"
    """What noised slots hold: a token of the shortlist, one that the causal reading draws behind
    the right text, or half of the canvases each.
    """
    full: float = 0.25
    """Share of canvases that are all noise."""
    scattered: float = 0.25
    """Share of canvases in which every few slots have a noise level of their own."""
    conditioned: float = 0.5
    """Share of steps with self-conditioning, until the last phase."""
    on_policy: float = 0.25
    """Share of steps on the canvas's own drafts, until the last phase."""
    last_phase: float = 0.3
    """Share of the run, at its end, with self-conditioning at 0.95 and own drafts at 0.5."""
    clean: float = 1.0
    """Weight of slots that are right as they are, beside wrong ones."""
    end: float = 1.0
    """Weight of the first slots behind a hole's text, beside the text's."""
    text: float = 0.25
    """Weight of the slots further behind."""

    def __post_init__(self) -> None:
        Adapting.__post_init__(self)
        check_shares(self, "kl", "full", "scattered", "conditioned", "on_policy", "last_phase")
        for name in ("clean", "end", "text"):
            if not (weight := getattr(self, name)) >= 0:
                raise ValueError(f"{name} is a weight from 0 on, not {weight}")
        if self.copies < 1:
            raise ValueError(f"copies must be positive, not {self.copies}")
        for name, known in (("read", Read), ("noise", Noise)):
            if (value := getattr(self, name)) not in get_args(known):
                raise ValueError(f"{name} is one of {', '.join(get_args(known))}, not {value}")
        self.sizes()

    @property
    def shifted(self) -> float:
        """Share of canvases into which tokens are inserted: none; see `recipe.plan`."""
        return 0.0

    def sizes(self) -> tuple[int, ...]:
        """Return the canvases' slots, in turn."""
        found = self.slots.split(",")
        if not all(one.isdecimal() and int(one) >= 4 for one in found):
            raise ValueError(f"slots are numbers from 4 on, with commas, not {self.slots}")
        return tuple(map(int, found))

    def settings(self) -> AdapterSettings:
        """Return the adapter's settings: without token rows, since the embedding stays the causal
        reading's.
        """
        found = Adapting.settings(self)
        return AdapterSettings(found.rank, found.alpha, found.projections, tokens=0)

    def weights(self) -> Weights:
        """Return the weights of slots in the loss."""
        return Weights(end=self.end, text=self.text)


_HELP = WORDS | {
    "limit": "tokens of a prompt",
    "slots": "slots of the canvases, taken in turn, with commas",
    "copies": "canvases noised for each prompt",
    "read": "a slot is read at the token before it, as the base was trained, or at itself",
    "kl": "share of the loss that is the divergence from the causal reading",
    "noise": "uniform over the shortlist, what the causal reading draws, or both in turn",
    "full": "share of canvases that are all noise",
    "scattered": "share of canvases in which every few slots have a noise level of their own",
    "conditioned": "share of steps with self-conditioning, until the last phase",
    "on_policy": "share of steps on the canvas's own drafts, until the last phase",
    "last_phase": "share of the run, at its end, mostly with both",
    "clean": "weight of slots that are right as they are",
    "end": "weight of the first slots behind a hole's text",
    "text": "weight of the slots further behind",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field."""
    options.add(parser, CanvasRecipe, _HELP)


def from_options(given: argparse.Namespace) -> CanvasRecipe:
    """Return the recipe of the options. Raises ValueError, naming the value, for an
    unusable one.
    """
    return options.read(given, CanvasRecipe)
