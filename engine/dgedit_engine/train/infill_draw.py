"""Draw batches of holes, laid out as the base's requests are.

A base with marks for infilling has a prompt by its marks, and the hole's text behind it. A masked
diffusion model has a window of text: masks stand for some tokens of the hole, which are to be
predicted from all others. Any other base has the two forms of `infill_examples.py`. Knows nothing
of the model.

Letters: B rows, T tokens.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dgedit_engine.prompt.fim import FimMarks
from dgedit_engine.prompt.plain import BEHIND
from dgedit_engine.prompt.tokenizer import Tokenizer as OpenTokenizer
from dgedit_engine.prompt.window import windows
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.infill_examples import (
    CHARACTERS,
    LONGEST,
    BaseFormat,
    Form,
    Holes,
    InfillBatch,
    InfillExample,
    Weights,
    batched,
    encoded,
    lay_out,
    light,
)
from dgedit_engine.types import Hole, InfillRequest, Passage

_COUNTED, _GEMMA = Weights(), BaseFormat()


class InfillDraw:
    """Draws batches from a corpus, in the forms of a base."""

    def __init__(
        self,
        corpus: Texts,
        tokenizer: Tokenizer,
        *,
        limit: int = 512,
        turned: float = 0.8,
        weights: Weights = _COUNTED,
        format: BaseFormat = _GEMMA,
    ) -> None:
        self.holes, self.tokenizer = Holes(corpus, turned=turned), tokenizer
        self.limit, self.weights, self.format = limit, weights, format
        self._words = OpenTokenizer(tokenizer)

    def batch(self, rows: int, *, seed: int, number: int) -> InfillBatch:
        """Make a batch by its number."""
        form, found = self.holes.drawn(rows, self.laid_out, seed=seed, number=number)
        batch = batched(found, self.format.form or form)
        if (mask := self.format.mask) is None:
            return batch
        rng = np.random.default_rng([seed, number, 1])
        return masked(batch, mask, 1 - rng.random(rows), rng)

    def measured(self, one: InfillExample, *, seed: int) -> list[InfillBatch]:
        """Return the batches of one example on which a model is measured: of a masked model all of
        its hole is masked, and half of it, which the seed decides.
        """
        batch = batched([one], self.format.form or "turned")
        if (mask := self.format.mask) is None:
            return [batch]
        rng = np.random.default_rng(seed)
        return [masked(batch, mask, np.array([level]), rng) for level in (1.0, 0.5)]

    def laid_out(
        self, text: str, span: Span, form: Form, suffix_tokens: int | None = None
    ) -> InfillExample | None:
        """Lay out the hole at a span of a text, as `lay_out` does."""
        limit, weights, format = self.limit, self.weights, self.format
        if (marks := format.marks) is not None:
            return lay_out_marked(
                text,
                span,
                self.tokenizer,
                marks,
                limit=limit,
                weights=weights,
                bos=format.bos,
            )
        if format.mask is not None:
            return lay_out_window(text, span, self._words, limit=limit)
        return lay_out(
            text,
            span,
            self.tokenizer,
            form=form,
            limit=limit,
            weights=weights,
            suffix_tokens=suffix_tokens,
            format=format,
        )


def lay_out_marked(
    text: str,
    span: Span,
    tokenizer: Tokenizer,
    marks: FimMarks,
    *,
    limit: int,
    weights: Weights = _COUNTED,
    bos: int | None = None,
) -> InfillExample | None:
    """Lay out a text with a hole at `span` by a base's own marks, as a request is laid out
    (`prompt/plain.py`), with the mark behind the hole's text that ends it; None where the middle is
    empty or too long. All parts are encoded apart, as they were when the base was trained.
    """
    start, end = span
    middle = encoded(tokenizer, text[start:end])
    if not 1 <= len(middle) <= min(LONGEST, limit // 2):
        return None
    head = max(0, start - limit * CHARACTERS)
    head = text.find("\n", head, start) + 1 or head if head else 0
    before, after = (encoded(tokenizer, one) for one in (text[head:start], text[end:][:BEHIND]))
    budget = limit - len(middle) - 1
    prompt = marks.laid(before, after, bos=bos or 0, budget=budget)
    first = prompt.index(marks.before) + 1
    last = len(prompt) - 1 if marks.behind_first else prompt.index(marks.behind)
    own = {marks.before, marks.behind, marks.middle}
    pairs = zip(prompt, light(len(prompt), weights), strict=True)
    counted = [0.0 if token in own else weight for token, weight in pairs]
    return InfillExample(
        [*prompt, *middle, marks.ends[0]],
        [*counted, *(weights.middle for _ in middle), weights.end],
        (len(prompt), len(prompt) + len(middle)),
        (first, last),
    )


def lay_out_window(
    text: str, span: Span, tokenizer: OpenTokenizer, *, limit: int
) -> InfillExample | None:
    """Lay out a text with a hole at `span` as a masked model reads it (`prompt/window.py`), in at
    most `limit` tokens and the hole's own; None where the middle is empty or too long, or nothing
    stands before it.
    """
    start, end = span
    reach = limit * CHARACTERS
    parts = (text[max(0, start - reach) : start], Hole(text[start:end]), text[end : end + reach])
    passage = Passage("", tuple(one for one in parts if one != ""))
    (window,) = windows(InfillRequest((passage,)), tokenizer, context=limit)
    (before, behind), (own,) = window.fixed, window.present
    if not before or not 1 <= len(own) <= min(LONGEST, limit // 2):
        return None
    first, last = len(before), len(before) + len(own)
    weights = [0.0] * first + [1.0] * len(own) + [0.0] * len(behind)
    return InfillExample([*before, *own, *behind], weights, (first, last), (0, first))


def masked(
    batch: InfillBatch, mask: int, levels: npt.NDArray[np.float64], rng: np.random.Generator
) -> InfillBatch:
    """Put masks in the place of a share `levels` (B,) of each hole's tokens, at least one, which
    alone count then.
    """
    draws = np.where(batch.middle, rng.random(batch.ids.shape), np.inf)
    drawn = (draws < levels[:, None]) | (draws == draws.min(1, keepdims=True))
    ids = np.where(drawn, mask, batch.ids)
    weights = np.where(drawn, batch.weights, 0).astype(np.float32)
    none = np.zeros_like(batch.ends)
    return replace(batch, ids=ids, weights=weights, middle=drawn, ends=none, targets=batch.ids)
