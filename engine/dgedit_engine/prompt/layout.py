"""Lay out a text with holes as a prompt and a canvas, in training as at inference.

Works on token ids alone. One hole: what follows it comes first and what leads to it last, so that
the canvas continues the text (or the other way round, with a marker before the canvas). Several
holes: the text in order with a marker for each hole, and on the canvas the holes' texts in order,
each but the first behind its marker, which stays fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPECIALS = (
    *("<pad>", "<eos>", "<bos>", "<|pre|>", "<|suf|>", "<|mid|>", "<|file|>", "<|note|>"),
    *(f"<|hole{index}|>" for index in range(8)),
)
"""The special tokens; a token's id is its place here."""

PAD, EOS, BOS, PRE, SUF, MID, FILE, NOTE = range(8)
HOLES = tuple(range(8, 16))

PATH_TOKENS = 32
"""A path keeps this many of its last tokens."""


@dataclass(frozen=True, slots=True)
class CanvasLayout:
    """A canvas that holds the holes' texts."""

    ids: list[int]
    """Each hole's text, filled up with end tokens, behind its marker from the second hole on."""
    fixed: list[bool]
    """Which slots hold a marker."""


def prompt_ids(
    texts: Sequence[Sequence[int]],
    *,
    budget: int,
    path: Sequence[int] = (),
    note: Sequence[int] = (),
    suffix_first: bool = True,
    stride: int = 1,
) -> list[int]:
    """Return the prompt's ids, at most `budget`, for the n holes between n + 1 texts.

    The first text loses its head and the last its tail where they do not fit, by multiples of
    `stride` tokens: with a long stride the prompt mostly keeps its beginning while somebody types,
    and so its cached keys. Raises ValueError, naming the number, where the texts between holes
    alone do not fit.
    """
    holes = len(texts) - 1
    if not 1 <= holes <= len(HOLES):
        raise ValueError(f"between 1 and {len(HOLES)} holes fit a canvas, not {holes}")
    head = [BOS]
    if path:
        head += [FILE, *path[-PATH_TOKENS:]]
    if note:
        head += [NOTE, *note[: budget // 4]]
    between: list[int] = [] if holes == 1 else [HOLES[0]]
    for hole, text in zip(HOLES[1:holes], texts[1:-1], strict=True):
        between += [*text, hole]
    markers = 3 if holes == 1 and not suffix_first else 2  # PRE with SUF or MID, or all three
    room = budget - len(head) - len(between) - markers
    if room < 0:
        raise ValueError(f"{budget} tokens are {-room} too few for what must be in the prompt")
    first, last = _fit(texts[0], texts[-1], room, stride)
    if holes > 1:
        return [*head, PRE, *first, *between, *last, MID]
    if suffix_first:
        return [*head, SUF, *last, PRE, *first]
    return [*head, PRE, *first, SUF, *last, MID]


def canvas_layout(texts: Sequence[Sequence[int]], sizes: Sequence[int]) -> CanvasLayout:
    """Lay out the canvas that gives `sizes[k]` slots to hole k; a text longer than its slots is
    cut.
    """
    ids: list[int] = []
    fixed: list[bool] = []
    for hole, text, size in zip(HOLES, texts, sizes, strict=False):
        if ids:
            ids.append(hole)
            fixed.append(True)
        ids += [*text[:size], *[EOS] * (size - len(text))]
        fixed += [False] * size
    return CanvasLayout(ids, fixed)


def _fit(
    first: Sequence[int], last: Sequence[int], room: int, stride: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the tail of `first` and the head of `last`: a third of the room for that, more where
    `first` is short.
    """
    suffix = min(len(last), max(room // 3, (room - len(first)) // stride * stride))
    lost = -(-max(0, len(first) + suffix - room) // stride) * stride
    return first[min(lost, len(first)) :], last[:suffix]
