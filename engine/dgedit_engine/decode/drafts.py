"""Turn a hole's tokens into a draft: pieces of text, and how probable each is.

Knows the tokenizer, neither the model nor the canvas's slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft


def draft_of(
    ids: Sequence[int],
    confidence: Sequence[float],
    accepted: Sequence[bool],
    tokenizer: Tokenizer,
    closing: str | None,
    *,
    ended: bool,
) -> Draft:
    """Return the draft of ids, in pieces, the least probable token of each deciding; `closing` and
    what follows it is cut.

    Once `ended`, bytes that make no character are dropped.
    """
    pieces = tokenizer.pieces(ids)
    said = [piece.text.replace("\ufffd", "") if ended else piece.text for piece in pieces]
    room = before_closing("".join(said), closing)
    texts, sure, settled, start = [], [], [], 0
    for piece, text in zip(pieces, said, strict=True):
        tokens = slice(start, start + piece.tokens)
        start += piece.tokens
        if text := text[:room]:
            texts.append(text)
            sure.append(min(confidence[tokens]))
            settled.append(all(accepted[tokens]))
            room -= len(text)
    return Draft(tuple(texts), tuple(sure), tuple(settled))


def open_part(ids: Sequence[int], tokenizer: Tokenizer, closing: str | None) -> int | None:
    """Return how many of the ids stand before `closing`, the text that closes an infill; None if it
    does not come.
    """
    if closing is None:
        return None
    pieces = tokenizer.pieces(ids)
    whole = "".join(piece.text for piece in pieces)
    room = before_closing(whole, closing)
    if room == len(whole):
        return None
    kept = 0
    for piece in pieces:
        room -= len(piece.text)
        if room < 0:
            break
        kept += piece.tokens
    return kept


def before_closing(whole: str, closing: str | None) -> int:
    """Return how many characters of a text stand before `closing`, which may begin with the line's
    end that the text stands behind.
    """
    place = -1 if closing is None else ("\n" + whole).find(closing)
    return len(whole) if place < 0 else max(0, place - 1)


def unchanged(text: str, tokenizer: Tokenizer) -> Draft:
    """Return a hole's own text as a draft, whole even where the vocabulary would not spell it."""
    pieces = [piece.text for piece in tokenizer.pieces(tokenizer.encode(text))]
    pieces = pieces if "".join(pieces) == text else [text] if text else []
    return Draft(tuple(pieces), (1.0,) * len(pieces), (True,) * len(pieces))


def mean_log(drafts: Sequence[Draft]) -> float:
    """Return the mean log-probability of the pieces, in nats; 0 for no text."""
    sure = [math.log(max(value, 1e-9)) for draft in drafts for value in draft.confidence]
    return sum(sure) / len(sure) if sure else 0.0
