"""Measure how many missing residues the protein model restores, beside an alignment's ways."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dgedit_engine.domains import proteins
from dgedit_engine.domains.alignment import (
    Floats,
    Scores,
    aligned,
    background,
    load_scores,
    nearest,
    profile,
)
from dgedit_engine.domains.domain import Board
from dgedit_engine.domains.families import Family, families
from dgedit_engine.domains.solving import Solver
from dgedit_engine.domains.tables import share
from dgedit_engine.rules.proteins import AMINO_ACIDS, BLANK

_FAR = 0.2
"""Share of words that the nearest relative has, below which it is a far one."""


@dataclass(slots=True)
class Restored:
    """What was restored of some residues, by way."""

    count: int = 0
    """Residues."""
    right: dict[str, int] = field(default_factory=dict)
    """How many were restored."""
    nats: dict[str, float] = field(default_factory=dict)
    """The sum of the negative log-probabilities, of ways that have probabilities."""

    def add(self, way: str, right: bool, nats: float | None = None) -> None:
        """Count a residue for a way."""
        self.right[way] = self.right.get(way, 0) + right
        if nats is not None:
            self.nats[way] = self.nats.get(way, 0.0) + nats


def of_proteins(solver: Solver, data: Path, rounds: int) -> Iterator[str]:
    """Yield the table of the protein model, a line at a time. Each held-out sequence is asked
    `rounds` times. The matrix is the one that lies beside the data. Raises ModelError.
    """
    scores = load_scores(data.with_name("blosum62.out"))
    known = families(data)
    usual = background([one for family in known for one in family.train])
    ways = ("model, one step", "model", "unigram", "profile", "nearest relative")
    yield f"| missing | nearest relative | residues | {' | '.join(ways)} | perplexity of these |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for kind in ("single residues, 15%", f"a stretch of {proteins.STRETCH}"):
        tallies = {"all": Restored(), "far": Restored(), "near": Restored()}
        for family in known:
            for sequence in family.held:
                for number in range(rounds):
                    rng = random.Random(f"{sequence} {number}")
                    draw = proteins.singles if kind.startswith("single") else proteins.stretch
                    missing = draw(len(sequence), rng)
                    _ask(solver, family, sequence, missing, usual, scores, tallies)
        for which, tally in tallies.items():
            rates = [share(tally.right[way], tally.count) for way in ways]
            nats = ", ".join(
                f"{way} {math.exp(total / tally.count):.1f}" for way, total in tally.nats.items()
            )
            near = {"all": "any", "far": "shares under 20%", "near": "shares 20 to 50%"}[which]
            yield f"| {kind} | {near} | {tally.count} | {' | '.join(rates)} | {nats} |"


def _ask(
    solver: Solver,
    family: Family,
    sequence: str,
    missing: Sequence[int],
    usual: Floats,
    scores: Scores,
    tallies: dict[str, Restored],
) -> None:
    """Restore residues in all ways, and count them."""
    query = "".join(BLANK if place in missing else one for place, one in enumerate(sequence))
    relative, likeness = nearest(query, family.train)
    copied = aligned(query, relative, scores)
    columns = profile(query, family.train, usual, scores)
    board = proteins.board(sequence, missing)
    seen = _probabilities(solver, board)
    restored = solver.refined(board, solver.domain.sampling).text
    for place in missing:
        own = AMINO_ACIDS.index(sequence[place])
        for tally in (tallies["all"], tallies["far" if likeness < _FAR else "near"]):
            tally.count += 1
            for way, chances in (
                ("model, one step", seen[place]),
                ("unigram", usual),
                ("profile", columns[place]),
            ):
                tally.add(way, int(chances.argmax()) == own, -math.log(chances[own]))
            tally.add("model", restored[place] == sequence[place])
            letter = copied[place] or AMINO_ACIDS[int(usual.argmax())]
            tally.add("nearest relative", letter == sequence[place])


@torch.inference_mode()
def _probabilities(solver: Solver, board: Board) -> Floats:
    """Return each slot's probabilities of the amino acids (n, 20), in one pass from noise."""
    canvas = solver.canvas(board, torch.Generator().manual_seed(0))
    hidden = solver.model.denoise(canvas.ids, solver.cache, marks=canvas.marks)
    logits = solver.model.logits(hidden)[0, :, solver.domain.ids(AMINO_ACIDS)]
    found: Floats = logits.double().softmax(-1).numpy()
    return np.maximum(found, 1e-9)
