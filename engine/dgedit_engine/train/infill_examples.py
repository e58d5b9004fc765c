"""Training examples for the causal reading of a pretrained base: two ways of laying out one hole.

`ahead` reads left to right, as the base was trained: the text up to the hole, the hole's text, and
some of what follows, as it goes on. `turned` puts what follows first, as `prompt/plain.py` lays it
out: `BOS suffix`, blank lines, and then the same. Neither has a token for the hole's end: it is
where the text goes on into what follows, and the first tokens of that count as the hole's own do.
A base with marks for infilling has a form of its own, `fim`, and so has a masked diffusion model
(`infill_draw.py`). A batch is a function of the seed and its number. Knows nothing of the model.

Letters: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dgedit_engine.prompt.fim import FimMarks
from dgedit_engine.prompt.layout import BOS, PAD
from dgedit_engine.prompt.plain import FIRST, JOINT, NEAR, joined, sure
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.spans import Outline, draw_kind, pick

Form = Literal["ahead", "turned", "fim", "masked"]
FORMS: tuple[Form, ...] = ("ahead", "turned")
"""The forms of a base that has nothing for infilling."""
Made = TypeVar("Made", covariant=True)

WEIGHTS = {"line": 0.45, "lines": 0.2, "node": 0.15, "random": 0.2}
"""The share of each kind of span; none of them has several holes."""

AHEAD = 48
"""Tokens of what follows that are read behind the hole."""

END = 4
"""The first of them, which say that the hole is over."""

EMPTY_SUFFIX = 0.1
"""The share of holes behind which nothing follows."""

LONGEST = 128
"""Tokens of the longest middle."""

CHARACTERS = 6
"""A token has so many at most, on average: how much text is worth tokenising."""

_LARGEST_DRAW = 20_000  # bytes up to which a document is drawn by its size
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of tokens in the loss."""

    middle: float = 1.0
    """Weight of the hole's text."""
    end: float = 1.0
    """Weight of the first tokens behind it."""
    text: float = 0.1
    """Weight of the rest of the text, behind the first 16 tokens of a part; 0 for what was read
    already, as all that follows the end in the turned form: it would teach to copy.
    """


@dataclass(frozen=True, slots=True)
class BaseFormat:
    """What a base's vocabulary says of its examples; by default a Gemma's."""

    bos: int | None = BOS
    """The first token of a text."""
    marks: FimMarks | None = None
    """The marks of one that was trained to fill in the middle."""
    joins: bool = False
    """Whether white space and the word behind it may be one token."""
    mask: int | None = None
    """The mask of a masked diffusion model."""

    @property
    def form(self) -> Form | None:
        """The one form of its examples; None: both of `FORMS`."""
        return "masked" if self.mask is not None else "fim" if self.marks is not None else None


@dataclass(frozen=True, slots=True)
class InfillExample:
    """One hole, laid out as a row of tokens."""

    ids: list[int]
    """At most as many tokens as asked for."""
    weights: list[float]
    """The weight of each token as a target; 0 for the first."""
    middle: Span
    """Which tokens are the hole's."""
    prefix: Span
    """Which tokens are those of the text up to the hole."""


@dataclass(frozen=True, slots=True)
class InfillBatch:
    """Examples of one form, the shorter ones padded behind their end."""

    ids: npt.NDArray[np.int64]
    """(B, T): the tokens."""
    weights: npt.NDArray[np.float32]
    """(B, T): their weights in the loss."""
    middle: npt.NDArray[np.bool_]
    """(B, T): the tokens of the holes."""
    ends: npt.NDArray[np.bool_]
    """(B, T): the first ones behind them."""
    prefix: npt.NDArray[np.int64]
    """(B, 2): the span of the text up to the hole."""
    sizes: npt.NDArray[np.int64]
    """(B,): the tokens of each."""
    form: Form
    """How they are laid out."""
    targets: npt.NDArray[np.int64] | None = None
    """(B, T): the right tokens, where `ids` has masks; None: these."""


def lay_out(
    text: str,
    span: Span,
    tokenizer: Tokenizer,
    *,
    form: Form,
    limit: int,
    weights: Weights = Weights(),
    suffix_tokens: int | None = None,
    format: BaseFormat = BaseFormat(),
) -> InfillExample | None:
    """Lay out a text with a hole at `span`; None where the middle is empty or too long, or nothing
    at all stands before it.

    `suffix_tokens` is the most of what follows that stands first. A hole's text is encoded together
    with the token before it where that might have been another one, as it will be when the hole is
    filled.
    """
    read = read_around(text, span, tokenizer, limit=limit, ahead=AHEAD, joins=format.joins)
    if read is None:
        return None
    head = [] if form == "ahead" else turned_head(read.after, tokenizer, suffix_tokens, limit)
    start = [] if format.bos is None else [format.bos]
    prefix, (skipped, over) = read.prefix, read.middle
    rest = read.ids[: over + AHEAD][: limit - 1 - len(head)]
    prefix = prefix[max(0, len(prefix) - (limit - 1 - len(head) - len(rest))) :]
    at = len(start) + len(head) + len(prefix)
    if at + skipped == 0:
        return None
    counted = [weights.text] * skipped + [weights.middle] * (over - skipped)
    counted += [weights.end] * END + [0.0 if head else weights.text] * AHEAD
    return InfillExample(
        [*start, *head, *prefix, *rest],
        [
            *(0.0 for _ in start),
            *light(len(head), weights),
            *light(len(prefix), weights),
            *counted[: len(rest)],
        ],
        (at + skipped, at + over),
        (len(start) + len(head), at),
    )


@dataclass(frozen=True, slots=True)
class HoleTokens:
    """A hole's text and the text around it, as tokens."""

    prefix: list[int]
    """The tokens before it, but for one that might have been another."""
    ids: list[int]
    """That token's text, the hole's and some of what follows, encoded together."""
    middle: Span
    """Which of these are the hole's."""
    whole: bool
    """Whether they reach the end of the text."""
    after: str
    """What follows the hole."""


def read_around(
    text: str, span: Span, tokenizer: Tokenizer, *, limit: int, ahead: int, joins: bool = False
) -> HoleTokens | None:
    """Encode the text around a span, at least `ahead` tokens behind it where there are so many;
    None where the span's own are none or more than a hole may have.
    """
    start, end = span
    reach = limit * CHARACTERS
    first = max(0, start - reach)
    first = text.find("\n", first, start) + 1 or first if first else 0
    before, middle, after = text[first:start], text[start:end], text[end : end + reach]
    prefix, begun = _prefix(before, tokenizer, joins=joins)
    behind = after[: 8 * ahead]
    read = tokenizer.encode(begun + middle + behind, add_special_tokens=False)
    own = [begin < len(begun) + len(middle) and stop > len(begun) for begin, stop in read.offsets]
    if not 1 <= sum(own) <= min(LONGEST, limit // 2):
        return None
    skipped = own.index(True)
    whole = end + len(behind) == len(text)
    return HoleTokens(prefix, read.ids, (skipped, skipped + sum(own)), whole, after)


def _prefix(before: str, tokenizer: Tokenizer, *, joins: bool) -> tuple[list[int], str]:
    """Return the tokens before a hole, without the last ones where others might have stood there,
    and their text.
    """
    read = tokenizer.encode(before, add_special_tokens=False)
    lost = 0 if sure(before) or not read.ids else 1
    if joins:
        lost = max(lost, joined(before[-NEAR:], lambda text: encoded(tokenizer, text)))
    if not lost:
        return read.ids, ""
    start = read.offsets[-lost][0]
    return [
        token for token, (begin, _) in zip(read.ids, read.offsets, strict=True) if begin < start
    ], before[start:]


def turned_head(after: str, tokenizer: Tokenizer, most: int | None, limit: int) -> list[int]:
    """Return the tokens that stand before the text in the turned form: none where nothing
    follows.
    """
    if not after.strip():
        return []
    share = min(FIRST if most is None else most, FIRST, limit // 3)
    return encoded(tokenizer, after)[:share] + encoded(tokenizer, JOINT)


class Lay(Protocol[Made]):
    """A function that lays out the hole at a span of a text, with at most so many tokens of what
    follows it first; None where it cannot be.
    """

    def __call__(self, text: str, span: Span, form: Form, suffix_tokens: int) -> Made | None: ...


class Holes:
    """Draws holes from a corpus."""

    def __init__(self, corpus: Texts, *, turned: float) -> None:
        """`turned` is the share of batches of that form."""
        self.corpus, self.turned = corpus, turned
        self.edges = np.cumsum(np.minimum(corpus.sizes, _LARGEST_DRAW))

    def drawn(
        self, rows: int, lay: Lay[Made], *, seed: int, number: int
    ) -> tuple[Form, list[Made]]:
        """Draw and lay out `rows` holes of one form, up to two of a document: a function of the
        seed and the number.
        """
        rng = np.random.default_rng([seed, number])
        form: Form = "turned" if rng.random() < self.turned else "ahead"
        found: list[Made] = []
        while len(found) < rows:
            place = int(rng.integers(self.edges[-1]))
            index = int(np.searchsorted(self.edges, place, side="right"))
            outline = Outline(self.corpus.text(index), self.corpus.path(index))
            two = [self._one(outline, form, lay, rng) for _ in range(2)]
            found += [one for one in two if one is not None][: rows - len(found)]
        return form, found

    def _one(
        self, outline: Outline, form: Form, lay: Lay[Made], rng: np.random.Generator
    ) -> Made | None:
        """Lay out one hole of a text; None where none of several spans of one kind fits."""
        kind = draw_kind(rng, WEIGHTS)  # type: ignore[arg-type]
        for _ in range(_TRIES):
            span = pick(outline, kind, rng)
            if span is None or not outline.text[slice(*span)].strip():
                continue
            if span[1] - span[0] > LONGEST * CHARACTERS:
                continue
            text = outline.text[: span[1]] if rng.random() < EMPTY_SUFFIX else outline.text
            share = int(rng.integers(16, FIRST + 1))
            if (found := lay(text, span, form, share)) is not None:
                return found
        return None


def batched(examples: Sequence[InfillExample], form: Form) -> InfillBatch:
    """Pad the examples to the longest; the pads have weight 0 and nothing attends to them."""
    longest = max(len(one.ids) for one in examples)
    ids = np.full((len(examples), longest), PAD, dtype=np.int64)
    weights = np.zeros(ids.shape, dtype=np.float32)
    middle, ends = np.zeros(ids.shape, dtype=bool), np.zeros(ids.shape, dtype=bool)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids)] = one.ids
        weights[row, : len(one.ids)] = one.weights
        middle[row, slice(*one.middle)] = True
        ends[row, one.middle[1] : min(one.middle[1] + END, len(one.ids))] = True
    prefix = np.array([one.prefix for one in examples], dtype=np.int64)
    sizes = np.array([len(one.ids) for one in examples], dtype=np.int64)
    return InfillBatch(ids, weights, middle, ends, prefix, sizes, form)


def light(count: int, weights: Weights) -> list[float]:
    """Return the weights of a part that is only read: 0 for its first tokens, which lack
    context.
    """
    return [0.0] * min(count, 16) + [weights.text] * max(0, count - 16)


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids if text else []
