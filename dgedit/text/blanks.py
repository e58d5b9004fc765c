"""Find the blanks of a template: single characters that are to be filled while all else stays.

Knows texts and the names of files; neither holes nor engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from dgedit.errors import UsageError

USUAL = "auto"
"""Stands for the blank of a file's kind."""


@dataclass(frozen=True, slots=True)
class Blanks:
    """The character that stands for a blank, and the ones that a blank may become."""

    character: str
    """One character."""
    alphabet: str = ""
    """Characters, each once; empty: any."""

    def places(self, text: str) -> tuple[int, ...]:
        """Return the places of the blanks in a text."""
        return tuple(place for place, one in enumerate(text) if one == self.character)

    def put(self, held: str, read: str, text: str) -> str | None:
        """Return `held` with the blanks of a filled `text`, whose template was `read`: the same, as
        a model reads it. None where they do not fit.
        """
        places, found = self.places(read), list(held)
        own = self.places(held)
        if len(text) != len(read) or len(places) != len(own):
            return None
        for place, blank in zip(own, places, strict=True):
            found[place] = text[blank]
        return "".join(found)


CUSTOMARY = "?_.0"
"""Characters that often stand for a blank."""

_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_PROTEIN = Blanks("?", _AMINO_ACIDS)
_SUDOKU = Blanks(".", "123456789")
_KINDS: Mapping[str, Blanks] = {
    **dict.fromkeys((".sudoku", ".sdk", ".sdm"), _SUDOKU),
    **dict.fromkeys((".fasta", ".fa", ".faa"), _PROTEIN),
    **dict.fromkeys((".dot", ".gv"), Blanks("?")),
}


def usual(path: PurePath | str | None) -> Blanks | None:
    """Return the blanks of a file's kind; None where it has none of its own."""
    return _KINDS.get(PurePath(path or "").suffix.lower())


def parsed(character: str | None, alphabet: str = "") -> Blanks | None:
    """Return the blanks of the options; None without them, `USUAL` as a blank that is not known
    yet. Raises UsageError.
    """
    if character is None:
        if alphabet:
            raise UsageError("--alphabet goes with --blank, which says what is to be filled")
        return None
    if character != USUAL and (len(character) != 1 or not character.isprintable()):
        raise UsageError(f"a blank is one character, not {character!r:.40} (or {USUAL})")
    return Blanks(character, _letters(alphabet))


def of_file(given: Blanks, path: PurePath | str | None) -> Blanks:
    """Return the blanks that were `given` for a file: where they are its kind's, these. Raises
    UsageError for a kind that has none.
    """
    if given.character != USUAL:
        return given
    if (own := usual(path)) is None:
        raise UsageError(f"{path or 'the text'} has no blank of its kind: --blank names one")
    return Blanks(own.character, given.alphabet or own.alphabet)


def _letters(given: str) -> str:
    """Return the characters of an alphabet, in which `1-9` is a range. Raises UsageError."""
    found: list[str] = []
    at = 0
    while at < len(given):
        first, last = given[at], given[at]
        at += 1
        if given[at : at + 1] == "-" and at + 1 < len(given):
            last = given[at + 1]
            at += 2
        if last < first or ord(last) - ord(first) > 0xFFFF:
            raise UsageError(f"no range of characters: {first}-{last}")
        found += [chr(code) for code in range(ord(first), ord(last) + 1)]
    if not all(one.isprintable() for one in found):
        raise UsageError(f"an alphabet is of characters that print, not {given!r:.40}")
    return "".join(dict.fromkeys(found))
