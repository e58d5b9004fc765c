"""Brackets and quotes as they are typed: in pairs, where a pair is meant.

A bracket is closed where no word follows. A quote is one where it cannot be an apostrophe, and
where it does not end what an earlier one of its line began. What was put in so is remembered by
what follows it on its line, which typing before it leaves as it is: typed, it is stepped over.

Knows names of files, lines and columns; nothing of widgets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from dgedit.text.languages import kind_of

BRACKETS: Mapping[str, str] = {"(": ")", "[": "]", "{": "}"}
"""What closes each bracket."""

# Where an apostrophe is one, begins a lifetime, or stands for "quote": by the language, or by what
# begins a comment.
_APOSTROPHES = frozenset({None, "markdown", "html", "xml", "json", "rust", "<!--", "%", ";"})
_BACKTICKS = frozenset({"javascript", "markdown", "go", "bash", ".ts", ".tsx", ".zsh"})
# What may stand right behind a pair that is put in, besides blanks.
_BEHIND = frozenset(")]}>,;:.=")
# Letters right before a quote that say what kind of text it begins.
_PREFIX = re.compile(r"(?<!\w)(?:[fFbBuUrRcL]|[rR][bBfF]|[bBfF][rR]|u8)\Z")


def pairs_of(name: str) -> Mapping[str, str]:
    """Return what closes what in a file of this name."""
    kind, suffix = kind_of(name), PurePath(name).suffix.lower()
    mark = kind.comment[0] if kind.comment else kind.language
    quotes = '"'
    if not {kind.language or mark, mark} & _APOSTROPHES:
        quotes += "'"
    if kind.language in _BACKTICKS or suffix in _BACKTICKS:
        quotes += "`"
    return {**BRACKETS, **{quote: quote for quote in quotes}}


@dataclass(frozen=True, slots=True)
class Pending:
    """The closing signs of a line that were put in, and not typed since."""

    row: int = -1
    """The line."""
    tails: tuple[int, ...] = ()
    """How many characters the line has from each on, the innermost first."""

    def has(self, row: int, tail: int) -> bool:
        """Return whether one is there."""
        return row == self.row and tail in self.tails

    def opened(self, row: int, tail: int) -> Pending:
        """With one more, around which all others are."""
        return Pending(row, (tail, *self.closed(row, tail).tails))

    def closed(self, row: int, tail: int) -> Pending:
        """Without that one, and without those before it."""
        return Pending(row, tuple(one for one in self.tails if one < tail) * (row == self.row))


def opens_pair(line: str, column: int, sign: str, pairs: Mapping[str, str], *, inner: bool) -> bool:
    """Return whether a sign that is typed at a column is the first of a pair; `inner`: what follows
    there closes a pair that was put in.
    """
    if sign not in pairs:
        return False
    before, behind = line[:column], line[column : column + 1]
    if not (inner or not behind.strip() or behind in _BEHIND):
        return False
    if sign in BRACKETS:
        return True
    if before.endswith(("\\", sign)) or before.count(sign) % 2:
        return False
    inside = before[-1:].isalnum() or before[-1:] == "_"
    return not inside or (sign != "`" and _PREFIX.search(before[-3:]) is not None)


def holds_empty_pair(line: str, column: int, pairs: Mapping[str, str]) -> bool:
    """Return whether a column is between two signs that make a pair with nothing in it."""
    sign, behind = line[column - 1 : column], line[column : column + 1]
    if column == 0 or not behind or pairs.get(sign) != behind:
        return False
    return sign in BRACKETS or line.count(sign, 0, column - 1) % 2 == 0
