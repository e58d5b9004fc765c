"""A domain: what a small model of it is made of, and how it learns.

Knows shapes, recipes and boards; neither rules nor files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dgedit_engine.model.config import Config, LayerConfig, Sampling
from dgedit_engine.prompt.layout import BOS, SPECIALS
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.recipe import Recipe

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz \n.,:;?-_[]()"
"""The characters of a puzzle's vocabulary: few are ever right, so that most noise is seen to be
noise.
"""


@dataclass(frozen=True, slots=True)
class Board:
    """One canvas: a puzzle with its solution."""

    text: str
    """The solution, a character a slot."""
    given: Sequence[bool]
    """Which slots are given."""
    marks: Sequence[Sequence[int]]
    """The marks that each slot bears, as many for every slot; none: no slot bears any."""
    choices: str
    """What a blank may become."""

    def keeps(self, found: Sequence[str]) -> bool:
        """Say whether a filled board has what was given."""
        three = zip(found, self.text, self.given, strict=True)
        return all(not given or one == own for one, own, given in three)


@dataclass(frozen=True, slots=True)
class Domain:
    """What a model of a domain is made of."""

    name: str
    """The model's name, and its form's (`rules/forms.py`)."""
    suffixes: tuple[str, ...]
    """The files that it fills."""
    characters: str
    """The characters of its vocabulary, each a token behind the special ones."""
    config: Config
    """Its shape."""
    recipe: Recipe
    """How it learns."""
    sampling: Sampling
    """How its canvases are refined."""
    draw: Callable[[random.Random, float], Sequence[Board]]
    """Return a batch of boards, all of one size, at a progress from 0 to 1."""

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text, one a character."""
        return [len(SPECIALS) + self.characters.index(one) for one in text]

    def batch(self, boards: Sequence[Board]) -> Batch:
        """Return boards of one size as a batch: the prompt is the first token alone."""
        count, slots = len(boards), len(boards[0].text)
        marked = bool(boards[0].marks)
        return Batch(
            prompt=np.full((count, 1), BOS),
            canvas=np.array([self.ids(board.text) for board in boards]),
            pinned=np.array([board.given for board in boards]),
            length=np.full(count, slots),
            kind=np.zeros(count, np.int64),
            marks=np.array([board.marks for board in boards]) if marked else None,
        )


def puzzle_recipe(minutes: float) -> Recipe:
    """Return how puzzles are learnt: by the canvas alone, a quarter of it from own drafts."""
    return Recipe(
        minutes=minutes, copies=1, causal=0.0, conditioned=0.4, on_policy=0.25, last_phase=0.35
    )


def shape(
    *, vocab: int, dim: int, layers: int, mlp: int, heads: int, canvas: int, marks: int = 0
) -> Config:
    """Return a model's shape: a Llama's layers with normed queries and keys, the cheapest ones
    here, and self-conditioning.
    """
    layer = LayerConfig(False, heads, dim // heads, 10_000.0, dim // heads // 2)
    return Config(
        vocab=vocab,
        dim=dim,
        heads=heads,
        layers=(layer,) * layers,
        window=canvas + 8,
        mlp=mlp,
        experts=0,
        active=0,
        expert_width=0,
        canvas=canvas,
        context=4096,
        softcap=None,
        family="llama",
        query_scale=(dim // heads) ** -0.5,
        marks=marks,
    )
