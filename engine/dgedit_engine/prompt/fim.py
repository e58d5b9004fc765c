"""The prompts of models that were trained to fill in the middle, by their special tokens.

Such a model reads what is before a hole and what is behind it, each behind a mark, and writes the
hole's text behind a third, to which it puts an end itself (Bavarian et al., arXiv 2207.14255).
Which marks there are, and in which order, is the vocabulary's alone to say. In training the text
was cut at any character and its parts were encoded apart, so nothing has to be healed.

Knows ids and names of tokens; neither text nor tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgedit_engine.prompt.tokenizer import Tokenizer

_STRIDE = 128  # tokens by which a long text loses its head
_BEHIND = 4  # of so many parts of the room, the text behind gets one at least


@dataclass(frozen=True, slots=True)
class FimNames:
    """A family's names of its marks."""

    before: str
    """Before the text that leads to the hole."""
    behind: str
    """Before the text behind it."""
    middle: str
    """Where the infill begins."""
    ends: tuple[str, ...]
    """The marks that end it; the first is the one that a trained text ends with."""
    begins: bool = False
    """Whether the prompt begins as any text does, with the model's first token."""
    behind_first: bool = False
    """Whether the text behind comes first."""


_TEXT_END = "<|endoftext|>"
FAMILIES = {
    "qwen": FimNames(
        *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        (_TEXT_END, "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"),
    ),
    "starcoder": FimNames(
        *("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        (_TEXT_END, "<fim_pad>", "<file_sep>", "<repo_name>"),
    ),
    "santacoder": FimNames(
        *("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), (_TEXT_END, "<fim-pad>")
    ),
    "deepseek": FimNames(
        *("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        ("<｜end▁of▁sentence｜>",),
        begins=True,
    ),
    "seed": FimNames(
        *("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
        ("<[end▁of▁sentence]>", "<[PAD▁TOKEN]>"),
        begins=True,
        behind_first=True,
    ),
    "codellama": FimNames(*("▁<PRE>", "▁<SUF>", "▁<MID>"), ("▁<EOT>", "</s>"), begins=True),
}
"""Qwen2.5-Coder, StarCoder2, SantaCoder, DeepSeek-Coder, Seed-Coder and CodeLlama: their authors'
readmes have the prompts.
"""


@dataclass(frozen=True, slots=True)
class FimMarks:
    """The marks of one vocabulary."""

    before: int
    behind: int
    middle: int
    ends: tuple[int, ...]
    begins: bool
    behind_first: bool

    def laid(
        self, first: Sequence[int], last: Sequence[int], *, bos: int, budget: int
    ) -> list[int]:
        """Return the prompt for a hole between two texts, at most `budget` tokens: the first text
        loses its head, by strides, and the last its tail.
        """
        start = [bos] if self.begins else []
        room = max(0, budget - len(start) - 3)
        tail = min(len(last), max(room // _BEHIND, room - len(first)))
        stride = max(1, min(_STRIDE, room // _BEHIND))
        lost = -(-max(0, len(first) + tail - room) // stride) * stride
        left, right = [self.before, *first[lost:]], [self.behind, *last[:tail]]
        parts = (right, left) if self.behind_first else (left, right)
        return [*start, *parts[0], *parts[1], self.middle]


def marks(tokenizer: Tokenizer) -> FimMarks | None:
    """Return the marks of a vocabulary; None where it has none that are known."""
    for names in FAMILIES.values():
        found = [tokenizer.id(one) for one in (names.before, names.behind, names.middle)]
        ends = [tokenizer.id(one) for one in names.ends]
        known = tuple(one for one in ends if one is not None)
        before, behind, middle = found
        if before is not None and behind is not None and middle is not None and known:
            return FimMarks(before, behind, middle, known, names.begins, names.behind_first)
    return None
