"""Training examples for the causal reading of a pretrained base: three ways of seeing one hole.

`ahead` reads left to right, as the base was trained: the text up to the hole, what stood in it, and
some of what follows, as it goes on. `behind` puts what follows first: `BOS SUF suffix PRE prefix |
middle EOS`. `turned` does without special tokens, as `prompt/plain.py` lays it out: `BOS suffix`,
blank lines, and the text from the prefix on as it goes on. The second has an end to learn; the
others go on into what follows. A batch is a function of the seed and its number. Knows nothing of
the model.

Letters: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import BOS, EOS, PAD, PRE, SUF
from dgedit_engine.prompt.plain import FIRST, JOINT
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.spans import Outline, draw_kind, pick

Form = Literal["ahead", "behind", "turned"]
FORMS: tuple[Form, ...] = get_args(Form)

WEIGHTS = {"line": 0.45, "lines": 0.2, "node": 0.15, "random": 0.2}
"""The share of each kind of span: none of several holes."""

AHEAD = 48
"""Tokens of what follows that the first form reads behind the hole."""

EMPTY_SUFFIX = 0.1
"""The share of holes behind which nothing follows."""

LONGEST = 128
"""Tokens of the longest middle."""

_CHARACTERS = 6  # a token, at most, on average: how much text is worth tokenising
_LARGEST_DRAW = 20_000  # bytes up to which a document is drawn by its size
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Weights:
    """What a token counts in the loss."""

    middle: float = 1.0
    """What stood in the hole."""
    end: float = 1.0
    """The end behind it."""
    text: float = 0.03
    """The rest of the text, behind the first 16 tokens of a part."""


@dataclass(frozen=True, slots=True)
class Example:
    """One hole, laid out."""

    ids: list[int]
    """At most as many tokens as asked for."""
    weights: list[float]
    """What each token counts, as what is to be predicted; 0 for the first."""
    middle: Span
    """Which tokens are the hole's, the end with them."""
    prefix: Span
    """Which tokens are those of the text up to the hole."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of one form, the shorter ones filled up behind their end."""

    ids: npt.NDArray[np.int64]
    """(B, T)"""
    weights: npt.NDArray[np.float32]
    """(B, T)"""
    middle: npt.NDArray[np.bool_]
    """(B, T): the tokens of the holes, and their ends."""
    prefix: npt.NDArray[np.int64]
    """(B, 2): where the text up to the hole stands."""
    form: Form
    """How they are laid out."""


def lay_out(
    text: str,
    span: Span,
    tokenizer: Tokenizer,
    *,
    form: Form,
    limit: int,
    weights: Weights = Weights(),
    suffix_tokens: int | None = None,
) -> Example | None:
    """The example of a text with a hole at `span`; None where the middle is empty or too long.

    `suffix_tokens` is the most of what follows; None: a third of the room in the second form,
    `AHEAD` in the first.
    """
    start, end = span
    reach = limit * _CHARACTERS
    first = max(0, start - reach)
    first = text.find("\n", first, start) + 1 or first if first else 0
    before, middle = text[first:start], text[start:end]
    after = text[end : end + reach]
    if form == "ahead":
        return _ahead(before, middle, after, tokenizer, limit, weights, suffix_tokens)
    if form == "turned":
        return _turned(before, middle, after, tokenizer, limit, weights, suffix_tokens)
    return _behind(before, middle, after, tokenizer, limit, weights, suffix_tokens)


def _ahead(
    before: str,
    middle: str,
    after: str,
    tokenizer: Tokenizer,
    limit: int,
    weights: Weights,
    most: int | None,
) -> Example | None:
    """`BOS prefix middle suffix`: middle and suffix are read as one text, as it goes on."""
    read = tokenizer.encode(middle + after[: 8 * AHEAD], add_special_tokens=False)
    count = sum(begin < len(middle) for begin, _ in read.offsets)
    if not 1 <= count <= min(LONGEST, limit // 2):
        return None
    rest = read.ids[: count + (AHEAD if most is None else most)][: limit - 1]
    prefix = _encode(tokenizer, before)
    prefix = prefix[max(0, len(prefix) - (limit - 1 - len(rest))) :]
    at = 1 + len(prefix)
    counted = [weights.middle] * count + [weights.text] * (len(rest) - count)
    return Example(
        [BOS, *prefix, *rest],
        [0.0, *_light(len(prefix), weights), *counted],
        (at, at + count),
        (1, at),
    )


def _turned(
    before: str,
    middle: str,
    after: str,
    tokenizer: Tokenizer,
    limit: int,
    weights: Weights,
    most: int | None,
) -> Example | None:
    """`BOS suffix`, blank lines, `prefix middle suffix`: the last as far as in the first form."""
    if not after.strip():
        return _ahead(before, middle, after, tokenizer, limit, weights, None)
    head = _encode(tokenizer, after)[: min(FIRST if most is None else most, FIRST, limit // 3)]
    head += _encode(tokenizer, JOINT)
    found = _ahead(before, middle, after, tokenizer, limit - len(head), weights, None)
    if found is None:
        return None
    ids, moved = found.ids, len(head)
    counted = [0.0, *_light(moved, weights), *found.weights[1:]]
    middle_at, prefix_at = (
        (start + moved, end + moved) for start, end in (found.middle, found.prefix)
    )
    return Example([ids[0], *head, *ids[1:]], counted, middle_at, prefix_at)


def _behind(
    before: str,
    middle: str,
    after: str,
    tokenizer: Tokenizer,
    limit: int,
    weights: Weights,
    most: int | None,
) -> Example | None:
    """`BOS SUF suffix PRE prefix | middle EOS`: each part is tokenised by itself."""
    own = _encode(tokenizer, middle)
    if not 1 <= len(own) <= min(LONGEST, limit // 2):
        return None
    room = limit - len(own) - 4
    prefix, suffix = _encode(tokenizer, before), _encode(tokenizer, after)
    share = max(room // 3, room - len(prefix)) if most is None else most
    suffix = suffix[: min(share, room)]
    prefix = prefix[max(0, len(prefix) - (room - len(suffix))) :]
    head = [BOS, SUF, *suffix, PRE]
    at = len(head) + len(prefix)
    return Example(
        [*head, *prefix, *own, EOS],
        [
            *([0.0] * 2 + _light(len(suffix), weights) + [0.0]),
            *_light(len(prefix), weights),
            *([weights.middle] * len(own) + [weights.end]),
        ],
        (at, at + len(own) + 1),
        (len(head), at),
    )


class Draw:
    """Draws batches of either form from a corpus."""

    def __init__(
        self,
        corpus: Texts,
        tokenizer: Tokenizer,
        *,
        limit: int = 512,
        behind: float = 0.5,
        turned: float = 0.0,
        weights: Weights = Weights(),
    ) -> None:
        self.corpus, self.tokenizer, self.limit = corpus, tokenizer, limit
        self.behind, self.turned, self.weights = behind, turned, weights
        self.edges = np.cumsum(np.minimum(corpus.sizes, _LARGEST_DRAW))

    def batch(self, rows: int, *, seed: int, number: int) -> Batch:
        """A batch by its number; its examples are of one form, up to two of a document."""
        rng = np.random.default_rng([seed, number])
        drawn = rng.random()
        form: Form = "behind" if drawn < self.behind else "ahead"
        form = "turned" if self.behind <= drawn < self.behind + self.turned else form
        found: list[Example] = []
        while len(found) < rows:
            place = int(rng.integers(self.edges[-1]))
            index = int(np.searchsorted(self.edges, place, side="right"))
            outline = Outline(self.corpus.text(index), self.corpus.path(index))
            two = [self.example(outline, form, rng) for _ in range(2)]
            found += [one for one in two if one is not None][: rows - len(found)]
        return batched(found, form)

    def example(self, outline: Outline, form: Form, rng: np.random.Generator) -> Example | None:
        """One example of a text; None where none of several spans of one kind fits."""
        kind = draw_kind(rng, WEIGHTS)  # type: ignore[arg-type]
        for _ in range(_TRIES):
            span = pick(outline, kind, rng)
            if span is None or not outline.text[slice(*span)].strip():
                continue
            if span[1] - span[0] > LONGEST * _CHARACTERS:
                continue
            text = outline.text[: span[1]] if rng.random() < EMPTY_SUFFIX else outline.text
            share = None if form == "ahead" else int(rng.integers(16, self.limit // 2))
            options = {"form": form, "limit": self.limit, "weights": self.weights}
            found = lay_out(text, span, self.tokenizer, suffix_tokens=share, **options)  # type: ignore[arg-type]
            if found is not None:
                return found
        return None


def batched(examples: Sequence[Example], form: Form) -> Batch:
    """The examples, filled up to the longest by pads that nothing counts and nothing sees."""
    longest = max(len(one.ids) for one in examples)
    ids = np.full((len(examples), longest), PAD, dtype=np.int64)
    weights = np.zeros(ids.shape, dtype=np.float32)
    middle = np.zeros(ids.shape, dtype=bool)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids)] = one.ids
        weights[row, : len(one.ids)] = one.weights
        middle[row, slice(*one.middle)] = True
    prefix = np.array([one.prefix for one in examples], dtype=np.int64)
    return Batch(ids, weights, middle, prefix, form)


def _light(count: int, weights: Weights) -> list[float]:
    """The weights of a part that is only read: nothing for its first tokens, which lack context."""
    return [0.0] * min(count, 16) + [weights.text] * max(0, count - 16)


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids if text else []
