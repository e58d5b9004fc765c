"""Drafts cut, joined and veiled: what is done to their pieces before they are drawn or taken.

Knows drafts; nothing of holes, steps or screens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from dgedit_engine.types import Draft

MASK = "░"
BANDS = (0.9, 0.7, 0.4)
"""Confidence is told in four bands: at least the first of these, the second, the third, or less."""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# No more of these stand for a stretch that has not settled: a canvas may have hundreds of slots.
_MASKS = 8
_WORD = re.compile(r"\s*(?:[^\w\s]*(?:\d+\.\d\w*|\w+)|[^\w\s]+)|\s+\Z")
_LINE = re.compile(r"[\r\n]*[^\r\n]+|[\r\n]+\Z")


def first_word(text: str) -> str:
    """The first word, with the blanks and then the signs before it: `self`, `.name`, ` =`, ` x`."""
    found = _WORD.match(text)
    return found[0] if found else ""


def first_line(text: str) -> str:
    """The first line with anything in it and the line ends before it, not the one behind it: who
    stops there leaves no empty line.
    """
    found = _LINE.match(text)
    return found[0] if found else ""


def cut(draft: Draft, pieces: range) -> tuple[Draft, Draft, Draft]:
    """What is before some pieces, they, and what is behind them."""
    return (
        _slice(draft, 0, pieces.start),
        _slice(draft, pieces.start, pieces.stop),
        _slice(draft, pieces.stop, len(draft.pieces)),
    )


def joined(drafts: Sequence[Draft]) -> Draft:
    """One draft of several."""
    if len(drafts) == 1:
        return drafts[0]
    return Draft(
        tuple(piece for draft in drafts for piece in draft.pieces),
        tuple(one for draft in drafts for one in draft.confidence),
        tuple(one for draft in drafts for one in draft.settled),
    )


def rest(draft: Draft, taken: str) -> Draft | None:
    """What follows the text that was taken; None where the draft does not begin with it."""
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
    """What is drawn of a draft before the last step: all, what has settled, or a sign of life."""
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
