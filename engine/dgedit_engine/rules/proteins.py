"""Protein sequences in FASTA: which characters are residues, and what a model of them is told.

A sequence goes from a header, a line that begins with >, to the next one. Knows neither families
nor models.
"""

from __future__ import annotations

from collections.abc import Sequence

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
"""The twenty amino acids."""
OTHERS = "BJOUXZ"
"""Letters of rare, ambiguous and unknown residues."""
BLANK = "?"
WINDOW = 256
"""Residues that a model reads, at most."""
PLACES = 256
"""Places in a sequence that are told apart; all that are further on are one."""
MARKS = 3 + PLACES
"""Marks that `marks` knows: none, blank and given, and each place."""


def residues(text: str, place: int) -> list[int]:
    """Return the places of the residues of the sequence around a place in a text: its letters and
    blanks. Raises ValueError for a sequence without any.
    """
    start = text.rfind(">", 0, place)
    first = 0 if start < 0 else text.find("\n", start) + 1
    end = text.find("\n>", place)
    known = {*AMINO_ACIDS, *OTHERS, BLANK}
    found = [at for at in range(first, len(text) if end < 0 else end) if text[at].upper() in known]
    if not found:
        raise ValueError("no residues: a sequence is letters and blanks under a line with >")
    return found


def window(places: Sequence[int], span: range) -> list[int]:
    """Return the residues that a model reads, as evenly around the blanks of a span as it goes.
    Raises ValueError, naming the number, where the blanks are further apart.
    """
    inside = [at for at, place in enumerate(places) if place in span]
    count = inside[-1] + 1 - inside[0] if inside else 0
    if count > WINDOW:
        raise ValueError(f"the blanks are {count} residues apart; {WINDOW} are the most")
    spare = WINDOW - count
    start = max(0, min(inside[0] - spare // 2 if inside else 0, len(places) - WINDOW))
    return list(places[start : start + WINDOW])


def marks(given: Sequence[bool], start: int = 0) -> list[tuple[int, int]]:
    """Return the marks that each residue bears: whether it is given, and its place in the sequence,
    of which the first one is at `start`.
    """
    return [(1 + known, 3 + min(PLACES - 1, start + place)) for place, known in enumerate(given)]
