"""Slice, join and mask drafts before they are drawn or accepted.

Knows drafts; nothing of holes, steps or screens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from dgedit_engine.types import Draft

MASK = "░"
BANDS = (0.9, 0.7, 0.4)
"""Confidence is shown in four bands: these are the lower bounds of the first three."""
LEVELS = (0.7, 0.4)
"""A piece that is not certain is drawn in three levels of brightness: its confidence is at least
the first of these, the second, or less.
"""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# The most mask signs drawn for one unsettled stretch: a canvas may have hundreds of slots.
_MASKS = 8
_WORD = re.compile(r"\s*(?:[^\w\s]*(?:\d+\.\d\w*|\w+)|[^\w\s]+)|\s+\Z")
_LINE = re.compile(r"[\r\n]*[^\r\n]+|[\r\n]+\Z")


def first_word(text: str) -> str:
    """Return the first word with any blanks and punctuation before it: `self`, `.name`, or ` =`."""
    found = _WORD.match(text)
    return found[0] if found else ""


def first_line(text: str) -> str:
    """Return the first line that is not empty, with the line ends before it but without its own, so
    that accepting it adds no empty line behind it.
    """
    found = _LINE.match(text)
    return found[0] if found else ""


def cut(draft: Draft, pieces: range) -> tuple[Draft, Draft, Draft]:
    """Split a draft into what is before a range of pieces, the range, and what is behind it."""
    return (
        _slice(draft, 0, pieces.start),
        _slice(draft, pieces.start, pieces.stop),
        _slice(draft, pieces.stop, len(draft.pieces)),
    )


def joined(drafts: Sequence[Draft]) -> Draft:
    """Join several drafts into one."""
    if len(drafts) == 1:
        return drafts[0]
    return Draft(
        tuple(piece for draft in drafts for piece in draft.pieces),
        tuple(one for draft in drafts for one in draft.confidence),
        tuple(one for draft in drafts for one in draft.settled),
    )


def rest(draft: Draft, taken: str) -> Draft | None:
    """Return what follows the accepted text; None if the draft does not begin with it."""
    if not draft.text.startswith(taken):
        return None
    left = len(taken)
    for at, piece in enumerate(draft.pieces):
        if left < len(piece):
            tail = _slice(draft, at, len(draft.pieces))
            return Draft((piece[left:], *tail.pieces[1:]), tail.confidence, tail.settled)
        left -= len(piece)
    return Draft((), (), ())


def veiled(draft: Draft, live: str, index: int) -> Draft:
    """Return what is drawn of a draft before the last step.

    `live` is "full" (everything), "off" (a spinner) or else: settled pieces only, the others
    masked.
    """
    if live == "full":
        return draft
    if live == "off":
        return Draft((_SPINNER[index % len(_SPINNER)],), (1.0,), (False,))
    pieces, confidence, settled = [], [], []
    for clear, group in groupby(
        zip(draft.pieces, draft.confidence, draft.settled, strict=True), key=lambda one: one[2]
    ):
        for piece, sure, _ in list(group)[: None if clear else _MASKS]:
            pieces.append(piece if clear else MASK)
            confidence.append(sure)
            settled.append(clear)
    return Draft(tuple(pieces), tuple(confidence), tuple(settled))


def _slice(draft: Draft, start: int, stop: int) -> Draft:
    return Draft(draft.pieces[start:stop], draft.confidence[start:stop], draft.settled[start:stop])
