"""The protein model: residues restored in members of families that it was trained on.

A canvas holds a sequence's residues alone; each bears marks that say whether it is given, and its
place in the sequence. No header is read: what family it is must be seen from the residues.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dgedit_engine.domains.domain import Board, Domain, shape
from dgedit_engine.domains.families import Family, families
from dgedit_engine.model.config import Sampling
from dgedit_engine.rules import proteins as rules
from dgedit_engine.rules.proteins import AMINO_ACIDS, OTHERS, WINDOW
from dgedit_engine.train.recipe import Recipe

STRETCH = 8
"""Residues of a stretch that is restored."""
SHARE = 0.15
"""Share of single residues that are restored."""

_TOKENS = 4096
_VARIED = 0.4  # share of given residues that are exchanged in training, at most
_SHIFT = 6  # places by which a sequence is shifted in training, at most
_CHARACTERS = AMINO_ACIDS + OTHERS + "0123456789 \n.,:;?-_[]()"


def board(sequence: str, blank: Sequence[int], start: int = 0) -> Board:
    """Return a sequence, or the part of one from `start` on, as a canvas, with blanks at some
    places.
    """
    missing = set(blank)
    given = [place not in missing for place in range(len(sequence))]
    return Board(sequence, given, rules.marks(given, start), AMINO_ACIDS)


def singles(length: int, rng: random.Random, share: float = SHARE) -> list[int]:
    """Draw single places, at least one."""
    return sorted(rng.sample(range(length), max(1, round(share * length))))


def stretch(length: int, rng: random.Random, count: int = STRETCH) -> list[int]:
    """Draw a stretch of places."""
    start = rng.randrange(max(1, length - count + 1))
    return list(range(start, min(length, start + count)))


@cache
def _known(data: Path) -> list[Family]:
    return families(data)


def draw(data: Path, rng: random.Random, progress: float) -> list[Board]:
    """Return a batch of sequences, cut to one length: most with single blanks, a tenth to six
    tenths of the residues, some with stretches.
    """
    family = rng.choices(_known(data), k=1)[0]
    length = rng.choice([len(one) for one in family.train])
    count = max(1, _TOKENS // length)
    long = [one for other in _known(data) for one in other.train if len(one) >= length]
    return [_drawn(rng.choice(long), length, rng) for _ in range(count)]


def _drawn(sequence: str, length: int, rng: random.Random) -> Board:
    start = rng.randrange(len(sequence) - length + 1)
    part = sequence[start : start + length]
    kind = rng.random()
    blank = singles(length, rng, rng.uniform(0.1, 0.6))
    if kind < 0.3:
        each = (stretch(length, rng, rng.randint(4, 16)) for _ in range(1 + length // 40))
        blank = [place for one in each for place in one]
    return board(_varied(part, blank, rng), blank, max(0, start + rng.randint(-_SHIFT, _SHIFT)))


def _varied(sequence: str, blank: Sequence[int], rng: random.Random) -> str:
    """Return a sequence with some given residues exchanged for others at random, as in a relative:
    what is around a blank is then not learnt by heart.
    """
    kept, share = set(blank), rng.uniform(0, _VARIED)
    return "".join(
        rng.choice(AMINO_ACIDS) if place not in kept and rng.random() < share else one
        for place, one in enumerate(sequence)
    )


def domain(data: Path, *, minutes: float = 45.0) -> Domain:
    """Return the domain; `data` is the FASTA file that it learns from."""
    return Domain(
        name="protein",
        suffixes=(".fasta", ".fa", ".faa"),
        characters=_CHARACTERS,
        config=shape(
            vocab=16 + len(_CHARACTERS),
            dim=128,
            layers=6,
            mlp=256,
            heads=4,
            canvas=WINDOW,
            marks=rules.MARKS,
        ),
        recipe=Recipe(
            minutes=minutes,
            copies=1,
            causal=0.0,
            full=0.7,
            conditioned=0.1,
            last_phase=0.1,
        ),
        sampling=Sampling(steps=16, entropy_bound=1.0, t_min=0.4, t_max=0.8, confidence=0.05),
        draw=lambda rng, progress: draw(data, rng, progress),
    )
