"""Training examples for a DiffusionGemma: the prompt of a request, and the canvas that answers it.

Both are what an infill has: the prompt is `prompt.build`'s, in the model's own format, and behind
the hole's text the canvas has what `decode/canvas.py` puts there (of a chat model the closed fence,
the end of the turn, padding). A batch is a function of the seed and its number. Knows nothing of
noise or of the model.

Letters: T prompt tokens, C canvas slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgedit_engine.prompt.prompt import build
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.infill_examples import WEIGHTS
from dgedit_engine.train.spans import Outline, draw_kind, pick
from dgedit_engine.types import Hole, InfillRequest, Passage

EMPTY_SUFFIX = 0.1
"""The share of holes behind which nothing follows."""

_CHARACTERS = 6  # a token, at most, on average: how much text is worth tokenising
_LARGEST_DRAW = 20_000  # bytes up to which a document is drawn by its size
_TRIES = 8


@dataclass(frozen=True, slots=True)
class AnsweredHole:
    """A prompt, and the canvas that answers it."""

    prompt: list[int]
    """(T,)."""
    canvas: list[int]
    """(C,): the hole's text, its end, and padding."""
    length: int
    """Slots of the text and its end: those behind are padding."""


def lay_out(
    text: str, span: Span, tokenizer: Tokenizer, *, path: str, limit: int, slots: int, end: int
) -> AnsweredHole | None:
    """Lay out a text with a hole at `span`, in a prompt of at most `limit` tokens; None where the
    hole's text and its end do not fit `slots`. `end` is the model's end token.

    Raises ValueError, naming the number, for a limit that leaves no room for the text.
    """
    start, stop = span
    reach = limit * _CHARACTERS
    first = max(0, start - reach)
    first = text.find("\n", first, start) + 1 if first else 0
    hole = Hole(text[start:stop])
    parts = (text[first:start], hole, text[stop : stop + reach])
    request = InfillRequest((Passage(path, parts),))
    prompt = build(request, tokenizer, context=limit)
    (own,) = prompt.holes
    ending = prompt.tail or (end,)
    closing = len(ending) - 1 if len(ending) > 1 else 1  # the last is padding, unless it is alone
    if len(own) + closing > slots:
        return None
    canvas = [*own, *ending]
    canvas = [*canvas, *ending[-1:] * slots][:slots]
    return AnsweredHole(prompt.ids, canvas, len(own) + closing)


class AnswerDraw:
    """Draws batches from texts."""

    def __init__(
        self, texts: Texts, tokenizer: Tokenizer, *, limit: int, slots: tuple[int, ...], end: int
    ) -> None:
        """`slots` are the canvases' sizes, which batches take in turn."""
        self.texts, self.tokenizer = texts, tokenizer
        self.limit, self.slots, self.end = limit, slots, end
        self.edges = np.cumsum(np.minimum(texts.sizes, _LARGEST_DRAW))

    def batch(self, rows: int, *, seed: int, number: int) -> tuple[AnsweredHole, ...]:
        """Make a batch by its number: `rows` holes, up to two of a document."""
        rng = np.random.default_rng([seed, number])
        slots = self.slots[number % len(self.slots)]
        found: list[AnsweredHole] = []
        while len(found) < rows:
            place = int(rng.integers(self.edges[-1]))
            index = int(np.searchsorted(self.edges, place, side="right"))
            outline = Outline(self.texts.text(index), self.texts.path(index))
            two = [self._one(outline, slots, rng) for _ in range(2)]
            found += [one for one in two if one is not None][: rows - len(found)]
        return tuple(found)

    def _one(self, outline: Outline, slots: int, rng: np.random.Generator) -> AnsweredHole | None:
        """Lay out one hole of a text; None where none of several spans of one kind fits."""
        kind = draw_kind(rng, WEIGHTS)  # type: ignore[arg-type]
        for _ in range(_TRIES):
            span = pick(outline, kind, rng)
            if span is None or not outline.text[slice(*span)].strip():
                continue
            if span[1] - span[0] > slots * _CHARACTERS:
                continue
            text = outline.text[: span[1]] if rng.random() < EMPTY_SUFFIX else outline.text
            given = {"path": outline.path, "limit": self.limit, "slots": slots, "end": self.end}
            if (found := lay_out(text, span, self.tokenizer, **given)) is not None:  # type: ignore[arg-type]
                return found
        return None
