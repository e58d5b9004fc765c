"""Training examples for the canvas of a pretrained base: a prompt, and the text that continues it.

The prompt is that of the causal reading's examples (`infill_examples.py`). A canvas of C slots
holds the hole's text and then the text behind it, as far as it reaches: there is no token for a
hole's end here either; the canvas goes on as the file does, and the decoder sees where it repeats
the text behind the hole. Where the file itself ends an end token stands, and slots behind it have
weight 0: trained to fill whole canvases with ends, a model answers with nothing.

Prompts are cut to a multiple of `WIDTH` tokens, and those of one length stand in one pass: nothing
is padded. A batch is a function of the seed and its number. Knows nothing of the model.

Letters: B prompts, T their tokens, C slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import BOS, EOS
from dgedit_engine.prompt.plain import JOINT
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.infill_examples import (
    END,
    Form,
    Holes,
    Weights,
    read_around,
    turned_head,
)

WIDTH = 64
"""Prompts have a multiple of so many tokens: few shapes, for each of which layers are compiled."""

COUNTED = Weights(text=0.25)
"""The default weights of slots: the text behind stands in the prompt, mostly."""


@dataclass(frozen=True, slots=True)
class CanvasExample:
    """One hole, laid out as a prompt and a canvas."""

    prompt: list[int]
    """At most as many tokens as asked for."""
    canvas: list[int]
    """The tokens in its slots."""
    weights: list[float]
    """The weight of each slot in the loss."""
    middle: Span
    """Which slots are the hole's."""


@dataclass(frozen=True, slots=True)
class Canvases:
    """Examples whose prompts have the same length."""

    prompt: npt.NDArray[np.int64]
    """(B, T): the prompts."""
    gold: npt.NDArray[np.int64]
    """(B, C): the right tokens of the slots."""
    weights: npt.NDArray[np.float32]
    """(B, C): the slots' weights in the loss."""
    middle: npt.NDArray[np.bool_]
    """(B, C): the slots of the holes."""
    form: Form
    """How the prompts are laid out."""


def lay_out(
    text: str,
    span: Span,
    form: Form,
    suffix_tokens: int | None,
    *,
    tokenizer: Tokenizer,
    limit: int,
    slots: int,
    weights: Weights = COUNTED,
) -> CanvasExample | None:
    """Lay out a text with a hole at `span`, its prompt of at most `limit` tokens; None where the
    hole is empty or too long, and for a prompt of less than `WIDTH` tokens.

    `suffix_tokens` is the most of what follows that stands first.
    """
    read = read_around(text, span, tokenizer, limit=limit, ahead=slots)
    if read is None:
        return None
    head = [] if form == "ahead" else turned_head(read.after, tokenizer, suffix_tokens, limit)
    joint = len(tokenizer.encode(JOINT, add_special_tokens=False).ids)
    prompt = _prompt(head, read.prefix, joint, limit)
    canvas = read.ids[:slots]
    over = slots - len(canvas)
    if prompt is None or (over and not read.whole):
        return None
    first, last = (min(place, slots) for place in read.middle)
    counted = [weights.text] * first + [weights.middle] * (last - first)
    counted += [weights.end] * END + [weights.text] * slots
    counted = counted[: len(canvas)] + ([weights.end] + [0.0] * (over - 1) if over else [])
    return CanvasExample(prompt, canvas + [EOS] * over, counted, (first, last))


def _prompt(head: list[int], prefix: list[int], joint: int, limit: int) -> list[int] | None:
    """Join BOS, the head and the end of the prefix to a multiple of `WIDTH` tokens: what is too
    much is taken from the prefix's start, or where that is short, from the end of what stands
    before the head's last `joint` tokens.
    """
    room = limit - 1 - len(head)
    prefix = prefix[max(0, len(prefix) - room) :]
    over = (1 + len(head) + len(prefix)) % WIDTH
    if over < len(prefix) or not over:
        return [BOS, *head, *prefix[over:]]
    if over < len(head) - joint:
        return [BOS, *head[: len(head) - joint - over], *head[len(head) - joint :], *prefix]
    return None


class CanvasDraw:
    """Draws batches of canvases from a corpus."""

    def __init__(
        self,
        corpus: Texts,
        tokenizer: Tokenizer,
        *,
        limit: int = 512,
        turned: float = 0.8,
        slots: Sequence[int] = (32,),
        weights: Weights = COUNTED,
    ) -> None:
        """Batches have canvases of `slots` in turn."""
        self.holes, self.slots = Holes(corpus, turned=turned), slots
        self.laid_out = partial(lay_out, tokenizer=tokenizer, limit=limit, weights=weights)

    def batch(self, rows: int, *, micro: int, seed: int, number: int) -> tuple[Canvases, ...]:
        """Make a batch by its number, in parts for a pass each, of at most `micro` examples."""
        lay = partial(self.laid_out, slots=self.slots[number % len(self.slots)])
        form, found = self.holes.drawn(rows, lay, seed=seed, number=number)
        return tuple(_batched(some, form) for some in _alike(found, micro))


def _alike(examples: Sequence[CanvasExample], micro: int) -> Iterator[list[CanvasExample]]:
    """Yield groups of examples with prompts of one length, `micro` of them or one alone, so that
    few shapes occur.
    """
    for length in sorted({len(one.prompt) for one in examples}):
        some = [one for one in examples if len(one.prompt) == length]
        whole = len(some) // micro * micro
        yield from (some[start : start + micro] for start in range(0, whole, micro))
        yield from ([one] for one in some[whole:])


def _batched(examples: Sequence[CanvasExample], form: Form) -> Canvases:
    place = np.arange(len(examples[0].canvas))
    first, last = np.array([one.middle for one in examples]).T[..., None]
    return Canvases(
        np.array([one.prompt for one in examples], dtype=np.int64),
        np.array([one.canvas for one in examples], dtype=np.int64),
        np.array([one.weights for one in examples], dtype=np.float32),
        (first <= place) & (place < last),
        form,
    )
