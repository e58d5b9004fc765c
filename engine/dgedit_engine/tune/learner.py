"""What a run of `tune` needs of a model that learns, and what decides a run.

What is trained differs by the kind of the base: an adapter of one reading or of both, or all of its
weights. Behind this interface they are alike. Knows neither files of a project nor a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.recipe import Recipe
from dgedit_engine.train.schedule import Trainable

MEASURED = 320
"""Tokens of an example that is measured."""

Span = tuple[str, str, int, int]
"""Path, text, start and end of a hole that is measured."""


@dataclass(frozen=True, slots=True)
class TunePlan:
    """All that decides a run, beside its texts."""

    base: Path
    """Folder or GGUF file of the base."""
    folder: Path
    """Where the state and the model are written."""
    name: str
    """The base's name, for an adapter's file."""
    recipe: LoraRecipe | Recipe | BothRecipe
    """How it is trained: a recipe of the base's kind (`kinds.recipe_of`)."""
    device: str = "cpu"
    """Where."""
    general: int = 6
    """Batches of other people's text that are measured, of each form."""
    fills: int = 16
    """Spans that are filled before and after; 0: none."""


class Learner(Protocol):
    """A model under training, with the spans and the other texts that it is measured on."""

    whole: bool
    """Whether what is written is a model by itself, not an adapter of its base."""

    @property
    def run(self) -> Trainable[Any]:
        """The training run, which counts steps and tokens."""

    @property
    def spans(self) -> Sequence[Span]:
        """Those of the held-out spans that the model can be measured on."""

    def update(self) -> float:
        """Take the next step -> its loss, in nats a token of the holes. Raises Diverged for one
        that is no number, with the weights of the step before in place.
        """

    def blended(self, share: float) -> AbstractContextManager[None]:
        """Be meanwhile at a share of the way from the base's weights to the tuned ones: 0 is the
        base.
        """

    def losses(self, places: Iterable[int]) -> list[float]:
        """Measure the spans at these places -> nats a token of each one's hole: the same figure for
        the same weights.
        """

    def elsewhere(self) -> float:
        """Measure other people's text -> the mean nats a token of its holes."""

    def save(self, folder: Path) -> None:
        """Write what `resume` goes on from; each file is whole or as it was."""

    def resume(self, folder: Path) -> None:
        """Go on from what `save` wrote. Raises an error where that is of another run."""

    def write(self, place: Path) -> None:
        """Write the model or the adapter, as it is now, to a folder."""
