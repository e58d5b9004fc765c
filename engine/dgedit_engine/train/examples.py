"""Make training batches of documents: prompts of exact length and canvases with the holes' texts.

A batch is a pure function of the seed and its number, so that a run that stopped goes on as if it
had not. Shapes never change: a short prompt stands behind the end of another document. Knows
nothing of noise or of the model.

Letters: B batch, T prompt tokens, C canvas slots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import EOS, CanvasLayout, canvas_layout, prompt_ids
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.spans import KINDS, Cut, Outline, cut, draw_kind

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SUFFIX_FIRST = 0.7
"""The share of single holes whose prompt has the suffix first."""
WITH_PATH = 0.5
"""The share of prompts that name the file."""
WITH_NOTE = 0.7
"""The share of holes with a comment whose prompt says the comment as an instruction."""
SHORT = 0.15
"""The share of prompts with less context than fits."""
CONTINUED = 0.1
"""The share of holes longer than the canvas whose text fills it without an end; others are drawn
again.
"""
LARGEST_DRAW = 20_000
"""Bytes up to which a document is drawn in proportion to its size."""
TRIES = 8
"""Cuts of one kind that are tried before another document is drawn."""

_CHARACTERS = 6  # a token, at most, on average over a prompt: how much text is worth tokenising
_COMMENT = re.compile(r'(?:#+|""")[ \t]*([A-Za-z][^\n"#]{7,120})(?=\n|""")')


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the texts of its holes."""

    prompt: list[int]
    """At most T tokens."""
    holes: list[list[int]]
    """The tokens of each hole's text, without an end."""
    kind: int
    """The index in KINDS of the holes' kind."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of one shape."""

    prompt: Ints
    """(B, T): the prompts."""
    canvas: Ints
    """(B, C): the holes' texts, each filled up with end tokens."""
    pinned: Bools
    """(B, C): the markers between holes."""
    length: Ints
    """(B,): slots up to and including the last hole's first end; C where the text goes on."""
    kind: Ints
    """(B,): places in KINDS."""
    marks: Ints | None = None
    """(B, C, any number): the marks that each slot bears, of a model that has marks."""


def batches(
    corpus: Texts,
    tokenizer: Tokenizer,
    *,
    seed: int,
    prompt_tokens: int,
    canvas: int,
    batch: int,
    start: int = 0,
) -> Iterator[Batch]:
    """Yield batches without end, from number `start` on."""
    draw = Draw(corpus, tokenizer, prompt_tokens, canvas)
    while True:
        yield draw.batch(batch, seed=seed, number=start)
        start += 1


def assemble(
    text: str,
    spans: Sequence[Span],
    tokenizer: Tokenizer,
    *,
    budget: int,
    path: str = "",
    note: str = "",
    suffix_first: bool = True,
    kind: int = 0,
) -> Example:
    """Make the example of `text` with holes at `spans`.

    Raises ValueError where the text between holes exceeds the budget.
    """
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(edges)]
    fixed, holes = pieces[::2], pieces[1::2]
    reach = budget * _CHARACTERS
    fixed[0] = fixed[0][_line_start(fixed[0], len(fixed[0]) - reach) :]
    fixed[-1] = fixed[-1][:reach]
    prompt = prompt_ids(
        [_encode(tokenizer, piece) for piece in fixed],
        budget=budget,
        path=_encode(tokenizer, path),
        note=_encode(tokenizer, note),
        suffix_first=suffix_first,
    )
    return Example(prompt, [_encode(tokenizer, hole) for hole in holes], kind)


def lone(
    text: str,
    span: Span,
    tokenizer: Tokenizer,
    *,
    budget: int,
    path: str,
    canvases: Sequence[int],
) -> Batch | None:
    """Make the batch of the one hole at `span`, its prompt of at most `budget` tokens, on the first
    of these canvases that its text and an end fit; None where it fits none, or is empty.
    """
    example = assemble(text, [span], tokenizer, budget=budget, path=PurePosixPath(path).name)
    length = len(example.holes[0])
    size = next((slots for slots in canvases if length < slots), None)
    if size is None or not length:
        return None
    layout = canvas_layout(example.holes, [size])
    canvas = np.array([layout.ids], dtype=np.int64)
    return Batch(
        prompt=np.array([example.prompt], dtype=np.int64),
        canvas=canvas,
        pinned=np.array([layout.fixed]),
        length=_length(canvas),
        kind=np.zeros(1, dtype=np.int64),
    )


class Draw:
    """Draws batches of one shape from a corpus."""

    def __init__(
        self, corpus: Texts, tokenizer: Tokenizer, prompt_tokens: int, canvas: int
    ) -> None:
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.prompt_tokens = prompt_tokens
        self.canvas = canvas
        self.edges = np.cumsum(np.minimum(corpus.sizes, LARGEST_DRAW))

    def batch(self, size: int, *, seed: int, number: int) -> Batch:
        """Make a batch by its number: examples, up to two of a document."""
        rng = np.random.default_rng([seed, number])
        found: list[tuple[Example, CanvasLayout]] = []
        while len(found) < size:
            index = self.document(rng)
            outline = Outline(self.corpus.text(index), self.corpus.path(index))
            pair = [self.example(index, outline, rng) for _ in range(2)]
            found += [one for one in pair if one is not None][: size - len(found)]
        prompts = [self.filled(example.prompt, rng) for example, _ in found]
        canvas = np.array([layout.ids for _, layout in found], dtype=np.int64)
        return Batch(
            prompt=np.array(prompts, dtype=np.int64),
            canvas=canvas,
            pinned=np.array([layout.fixed for _, layout in found]),
            length=_length(canvas),
            kind=np.array([example.kind for example, _ in found], dtype=np.int64),
        )

    def document(self, rng: np.random.Generator) -> int:
        """Draw a document's index."""
        return int(np.searchsorted(self.edges, rng.integers(self.edges[-1]), side="right"))

    def example(
        self, index: int, outline: Outline, rng: np.random.Generator
    ) -> tuple[Example, CanvasLayout] | None:
        """Draw an example and its canvas. None where none of several cuts of one kind fits."""
        kind = draw_kind(rng)  # once, so that kinds which often do not fit keep their share
        for _ in range(TRIES):
            chosen = cut(outline, rng, kinds={kind: 1.0})
            continued = len(chosen.spans) == 1 and rng.random() < CONTINUED
            length = sum(end - start for start, end in chosen.spans)
            if length > self.canvas * _CHARACTERS and not continued:
                continue
            example = self.assembled(index, outline.text, chosen, rng)
            sizes = example and _sizes([len(hole) for hole in example.holes], self.canvas, rng)
            if example and (sizes or continued):
                return example, canvas_layout(example.holes, sizes or [self.canvas])
        return None

    def assembled(
        self, index: int, text: str, chosen: Cut, rng: np.random.Generator
    ) -> Example | None:
        """Make the example of a cut; None where the text between its holes is too long."""
        text = text[: chosen.end]
        path = PurePosixPath(self.corpus.path(index)).name if rng.random() < WITH_PATH else ""
        note = _note(text, chosen) if rng.random() < WITH_NOTE else ""
        suffix_first = bool(rng.random() < SUFFIX_FIRST)
        try:
            return assemble(
                text,
                chosen.spans,
                self.tokenizer,
                budget=self.budget(rng),
                path=path,
                note=note,
                suffix_first=suffix_first,
                kind=KINDS.index(chosen.kind),
            )
        except ValueError:
            return None

    def budget(self, rng: np.random.Generator) -> int:
        """Draw the prompt tokens of an example: mostly all, at times as few as a short file has."""
        if rng.random() >= SHORT:
            return self.prompt_tokens
        return int(self.prompt_tokens * np.exp(rng.uniform(np.log(1 / 6), 0)))

    def filled(self, prompt: list[int], rng: np.random.Generator) -> list[int]:
        """Put the prompt behind as much of another document's end as it lacks."""
        while (lack := self.prompt_tokens - len(prompt)) > 0:
            text = self.corpus.text(self.document(rng))
            begin = _line_start(text, len(text) - lack * _CHARACTERS)
            prompt = [*_encode(self.tokenizer, text[begin:]), EOS][-lack:] + prompt
        return prompt


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids if text else []


def _line_start(text: str, place: int) -> int:
    """Return where the first line starts behind `place`; 0 for a place before the text."""
    return text.find("\n", place) + 1 if place > 0 else 0


def _note(text: str, chosen: Cut) -> str:
    """Return the first comment in the first hole."""
    found = _COMMENT.search(text, *chosen.spans[0])
    return found[1].strip() if found else ""


def _sizes(lengths: list[int], canvas: int, rng: np.random.Generator) -> list[int] | None:
    """Return the slots for each hole, the surplus dealt at random; None where the canvas is too
    small.
    """
    surplus = canvas - sum(lengths) - (2 * len(lengths) - 1)  # an end for each, and the markers
    if surplus < 0:
        return None
    bounds = np.sort(rng.integers(surplus + 1, size=len(lengths) - 1))
    shares = np.diff([0, *bounds.tolist(), surplus])
    return [length + 1 + int(share) for length, share in zip(lengths, shares, strict=True)]


def _length(canvas: Ints) -> Ints:
    """Count the slots up to the end with which the last run of ends begins, (B,)."""
    size = canvas.shape[1]
    trailing = np.argmax(canvas[:, ::-1] != EOS, axis=1)  # (B,)
    trailing[(canvas == EOS).all(axis=1)] = size
    length: Ints = np.minimum(size - trailing + 1, size)
    return length
