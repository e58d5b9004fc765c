"""Lay out a passage as the window that a masked diffusion model reads: its text, with room for
masks in the holes.

The parts are encoded apart, as such models were trained: raw code, neither chat nor marks. A
vocabulary with Dream's or LLaDA's first token has it before the text, and the end of the text
behind it. Knows text and ids; no tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from dgedit_engine.prompt.plain import line_end, with_words
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage

TOKENS = 1024
"""Tokens of a passage's fixed text, at most: DreamOn was trained on so many, and every step reads
all of them anew.
"""
_BEGINNINGS, _END = ("<|beginoftext|>", "<|startoftext|>"), "<|endoftext|>"  # Dream's, LLaDA's
_STRIDE = 64  # tokens by which the text before the first hole loses its head
_CHARACTERS = 8 * TOKENS  # of a text at the passage's ends that are looked at
_BEHIND = 3  # of so many parts of the room, the text behind the last hole gets one at least


@dataclass(frozen=True, slots=True)
class Window:
    """A passage in tokens."""

    passage: Passage
    """What it is of."""
    fixed: tuple[list[int], ...]
    """The text before the first hole, between two, and behind the last one."""
    present: tuple[list[int], ...]
    """Each hole's present text."""
    newline: str
    """What the file's lines end with; in all the tokens here it is "\\n"."""


def windows(request: InfillRequest, tokenizer: Tokenizer, *, context: int) -> list[Window]:
    """Lay out each passage that has holes, its fixed text in at most `context` or `TOKENS` tokens.

    Raises ValueError, naming the number, where the text between holes alone is longer.
    """
    found = [one for one in request.passages if one.holes]
    return [_window(one, request.instruction, tokenizer, min(context, TOKENS)) for one in found]


def _window(passage: Passage, words: str, tokenizer: Tokenizer, budget: int) -> Window:
    texts, present = [""], list[str]()
    for part in passage.parts:
        if isinstance(part, Hole):
            present.append(part.text)
            texts.append("")
        else:
            texts[-1] += part
    newline = line_end("".join([*texts, *present]))
    texts = [one.replace(newline, "\n") for one in texts]
    first = with_words(texts[0][-_CHARACTERS:], passage.path, words)
    fixed = [tokenizer.encode(one) for one in (first, *texts[1:-1], texts[-1][:_CHARACTERS])]
    first_marks = [one for name in _BEGINNINGS if (one := tokenizer.id(name)) is not None]
    marks = next(iter(first_marks), None), tokenizer.id(_END)
    room = budget - sum(map(len, fixed[1:-1])) - sum(one is not None for one in marks)
    if room < 0:
        raise ValueError(f"the holes leave {room} of {budget} tokens for the text around them")
    before, behind = fixed[0], fixed[-1]
    tail = min(len(behind), max(room // _BEHIND, room - len(before)))
    lost = -(-max(0, len(before) + tail - room) // _STRIDE) * _STRIDE
    fixed[0], fixed[-1] = before[lost:], behind[:tail]
    if marks[0] is not None:
        if marks[1] is None:
            raise ModelError(f"the tokenizer has {' or '.join(_BEGINNINGS)} and no {_END}")
        fixed[0], fixed[-1] = [marks[0], *fixed[0]], [*fixed[-1], marks[1]]
    ids = tuple(tokenizer.encode(one.replace(newline, "\n")) for one in present)
    return Window(passage, tuple(fixed), ids, newline)
