"""The published models that dgedit fills with, by short names: a table of ours.

Scores are others', with where they are from: single lines of HumanEval-Infilling whose tests pass,
in percent, the length unknown. Memory is planned (`dgedit model info` says it of one that is here):
with 2,048 tokens on a GPU. Knows no files, and asks nobody.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dgedit.models.sizes import Bits

Way = Literal["left to right", "marks", "masks", "canvas"]
"""How holes are filled: by drafts of a reader from left to right, or of one that was taught marks
for what is before and behind; by a masked diffusion model; or by canvases.
"""

_APACHE = "Apache-2.0"
_CODE = "92 languages"
_PYTHON = "mostly Python"
_DREAM_ON = "DreamOn's table, arXiv 2602.01326"
_MEASURED = "a user's run of 1,033 lines"
_SLOWEST = 1.0  # billions of parameters that a CPU fills with at ease
_LOST = 4.0  # points that 4 bits are taken to cost, which nobody measured
_SPARE = 1.1  # times the memory that a model is planned to take


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published model."""

    name: str
    """Its short name."""
    repo: str
    """Where a hub has it."""
    licence: str
    """The licence of its weights."""
    parameters: float
    """In billions."""
    size: float
    """GB to fetch."""
    memory4: float | None
    """GB that it takes at 4 bits, as `pull --quant int4` makes it; None: hardly less."""
    memory8: float
    """GB that it takes at 8 bits, as `pull --quant int8` makes it."""
    languages: str
    """What it was trained on."""
    way: Way
    """How it fills holes."""
    score: float | None = None
    """Lines that pass, in percent; None where nobody published it."""
    source: str = ""
    """Where the score is from, and what limits it."""

    def bits(self, free: float) -> Bits | Literal["whole"] | None:
        """Return how it fits so many free GB: whole, in int8, in int4; None: not at all."""
        room = free / _SPARE
        wider = self.size - self.parameters  # what is fetched has more than a byte for each weight
        if self.memory8 + wider <= room:
            return "whole"
        if self.memory8 <= room:
            return "int8"
        return "int4" if self.memory4 is not None and self.memory4 <= room else None

    @property
    def open(self) -> bool:
        """Whether its licence lets anybody use it for anything, as far as we know."""
        return self.licence in (_APACHE, "MIT")


# fmt: off
# Name and repository; licence, billions of parameters, GB to fetch, GB at 4 and at 8 bits;
# languages, way and score; where the score is from.
KNOWN = (
    KnownModel("dreamon", "Dream-org/DreamOn-v0-7B",
               _APACHE, 7.6, 15.2, 6.7, 9.5,
               _PYTHON, "masks", 90.8,
               f"{_DREAM_ON}; one hole at a time: with four 54 of 92"),
    KnownModel("dream-coder", "Dream-org/Dream-Coder-v0-Instruct-7B",
               _APACHE, 7.6, 15.2, 6.7, 9.5,
               _CODE, "masks", 55.3,
               f"{_DREAM_ON}, mean of five lengths; 93.3 with the length given"),
    KnownModel("diffucoder", "apple/DiffuCoder-7B-cpGRPO",
               "Apple's, for research alone", 7.6, 15.2, 6.7, 9.5,
               _CODE, "masks", 54.8,
               f"{_DREAM_ON}, of the base model, mean of five lengths"),
    KnownModel("open-dcoder", "fredzzp/open-dcoder-0.5B",
               _APACHE, 0.49, 1.0, 1.4, 1.6,
               _PYTHON, "masks", 32.5,
               "Open-dLLM's readme, mean of five lengths; 77.4 with it given"),
    KnownModel("cdlm", "Shuibai12138/CDLM-0.5B",
               "not stated on its card, as far as we know", 0.49, 1.0, 1.4, 1.6,
               _PYTHON, "masks"),
    KnownModel("qwen-coder-0.5b", "Qwen/Qwen2.5-Coder-0.5B",
               _APACHE, 0.49, 1.0, 2.0, 2.2,
               _CODE, "marks", 74.2,
               _MEASURED),
    KnownModel("qwen-coder-1.5b", "Qwen/Qwen2.5-Coder-1.5B",
               _APACHE, 1.54, 3.1, 2.7, 3.3,
               _CODE, "marks", 80.3,
               _MEASURED),
    KnownModel("qwen-coder-7b", "Qwen/Qwen2.5-Coder-7B",
               _APACHE, 7.6, 15.2, 7.6, 10.4,
               _CODE, "marks", 92.6,
               _DREAM_ON),
    KnownModel("deepseek-coder-1.3b", "deepseek-ai/deepseek-coder-1.3b-base",
               "DeepSeek's", 1.35, 2.7, 5.7, 6.3,
               "87 languages", "marks", 79.5,
               _MEASURED),
    KnownModel("seed-coder-8b", "ByteDance-Seed/Seed-Coder-8B-Base",
               "MIT", 8.25, 16.5, 9.6, 12.7,
               "89 languages", "marks", 89.7,
               _DREAM_ON),
    KnownModel("starcoder2-3b", "bigcode/starcoder2-3b",
               "BigCode OpenRAIL-M", 3.03, 12.1, 3.4, 4.7,
               "17 languages", "marks", 75.6,
               _MEASURED),
    KnownModel("smollm2", "HuggingFaceTB/SmolLM2-135M",
               _APACHE, 0.13, 0.27, None, 2.15,
               "text, some code", "left to right", 42,
               "our run of 60 lines (docs/models.md)"),
    KnownModel("diffusiongemma", "google/diffusiongemma-26B-A4B-it",
               _APACHE, 25.2, 51.7, 18, 30,
               "any, and follows instructions", "canvas"),
    KnownModel("gemma-4", "google/gemma-4-26B-A4B-it",
               _APACHE, 25.2, 51.6, 17.3, 27.4,
               "any, and follows instructions", "left to right"),
)
# fmt: on
"""All of them; the memory of DiffusionGemma is Google's and ours for its published forms, that of
Gemma 4 with its experts in 4 or 8 bits and the rest in int8, as `dgedit model quantize` makes it.
"""


def known(name: str) -> KnownModel | None:
    """Return the model of a short name; None where there is none."""
    return next((one for one in KNOWN if one.name == name.lower()), None)


def near(name: str) -> str:
    """Name the short name that is nearly this one; empty where none is."""
    return next(iter(difflib.get_close_matches(name.lower(), [one.name for one in KNOWN], 1)), "")


def fitting(free: float, *, gpu: bool, models: Sequence[KnownModel] = KNOWN) -> list[KnownModel]:
    """Return the models that fit so many free GB, the best score first, in 4 bits a little less; on
    a CPU none that would be slow there. Those whose licence may forbid the use, and those without a
    score, are left out.
    """
    found = []
    for one in models:
        quick = gpu or one.parameters <= _SLOWEST
        if one.open and one.score is not None and quick and one.bits(free):
            found.append(one)

    def worth(one: KnownModel) -> float:
        return (one.score or 0) - (_LOST if one.bits(free) == "int4" else 0)

    return sorted(found, key=worth, reverse=True)


def told(one: KnownModel) -> str:
    """Say in a line what somebody who fetches a model should know."""
    words = f"{one.repo}: {one.size:g} GB, licence {one.licence}"
    return words if one.open else f"{words}: read it before you use it"
