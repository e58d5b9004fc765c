"""Align proteins to one another, and read what relatives have in the place of a missing residue.

The controls of the protein model: a family's profile and the nearest relative, both of which need
the family's other members at hand. An alignment is Needleman and Wunsch's with a linear gap and
free ends; a missing residue scores 0 against any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dgedit_engine.domains.families import words
from dgedit_engine.rules.proteins import AMINO_ACIDS, BLANK
from dgedit_engine.types import ModelError

Floats = npt.NDArray[np.float64]

_GAP = 5.0  # half bits
_PSEUDO = 5.0  # residues of the background that a column is mixed with


@dataclass(frozen=True, slots=True)
class Scores:
    """Substitution scores, in half bits."""

    table: Floats
    """(21, 21): those of the twenty amino acids, in their order, and zeros for a missing one."""

    def of(self, one: str, other: str) -> Floats:
        """Return the scores of each residue of one against each of the other."""
        rows, columns = (
            [(AMINO_ACIDS + BLANK).index(letter) for letter in text] for text in (one, other)
        )
        return self.table[np.ix_(rows, columns)]


def load_scores(path: Path) -> Scores:
    """Load a matrix as MMseqs2 writes it (`blosum62.out`). Raises ModelError for another file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line[:1] != "#"]
        letters, rows = lines[0], {line[0]: line[1:] for line in lines[1:] if line}
        table = np.zeros((21, 21))
        for at, one in enumerate(AMINO_ACIDS):
            for place, other in enumerate(AMINO_ACIDS):
                table[at, place] = float(rows[one][letters.index(other)])
    except (OSError, LookupError, ValueError) as error:
        raise ModelError(f"{path} is no substitution matrix: {error}") from error
    return Scores(table)


def aligned(query: str, other: str, scores: Scores) -> list[str | None]:
    """Return for each residue of the query the other's in its place; None for a gap."""
    each = scores.of(query, other)  # (n, m)
    n, m = each.shape
    best = np.zeros((n + 1, m + 1))
    ramp = _GAP * np.arange(m + 1)
    for row in range(1, n + 1):
        here = best[row]
        here[1:] = np.maximum(best[row - 1, :-1] + each[row - 1], best[row - 1, 1:] - _GAP)
        here[:] = np.maximum.accumulate(here + ramp) - ramp
    row, column = n, int(best[n].argmax())
    if best[:, m].max() > best[n, column]:
        row, column = int(best[:, m].argmax()), m
    found: list[str | None] = [None] * n
    while row and column:
        here = best[row, column]
        if np.isclose(here, best[row - 1, column - 1] + each[row - 1, column - 1]):
            row, column = row - 1, column - 1
            found[row] = other[column]
        elif np.isclose(here, best[row - 1, column] - _GAP):
            row -= 1
        else:
            column -= 1
    return found


def nearest(query: str, others: Sequence[str]) -> tuple[str, float]:
    """Return the sequence that has most of the query's words of four, and that share of them."""
    own = {word for word in words(query) if BLANK not in word}
    shares = [len(own & words(other)) / max(1, len(own)) for other in others]
    place = int(np.argmax(shares))
    return others[place], shares[place]


def background(sequences: Sequence[str]) -> Floats:
    """Return the share of each amino acid in the sequences, (20,)."""
    counts = np.array([sum(one.count(letter) for one in sequences) for letter in AMINO_ACIDS])
    shares: Floats = counts / counts.sum()
    return shares


def profile(query: str, family: Sequence[str], usual: Floats, scores: Scores) -> Floats:
    """Return each residue's probabilities (n, 20): how often the family has each amino acid in its
    place, mixed with the background `usual` (20,).
    """
    counts = np.tile(usual * _PSEUDO, (len(query), 1))
    for other in family:
        for place, letter in enumerate(aligned(query, other, scores)):
            if letter is not None:
                counts[place, AMINO_ACIDS.index(letter)] += 1
    shares: Floats = counts / counts.sum(1, keepdims=True)
    return shares
