"""A request and everything needed to answer it: what every phase reads and none changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.judge import Judge
from dgedit_engine.decode.loop import Refiner
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.prompt import Prompt
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import InfillRequest


@dataclass(frozen=True, slots=True)
class Work:
    """A request under way."""

    model: Model
    """The model."""
    tokenizer: Tokenizer
    """Its tokenizer."""
    cache: PromptCache
    """The prompt's keys and values."""
    sampling: Sampling
    """The sampler's settings, as the request wants them."""
    decoding: Decoding
    """The settings of its candidates, likewise."""
    request: InfillRequest
    """What is asked."""
    prompt: Prompt
    """The request in tokens."""
    refiner: Refiner[Any]
    """Denoises canvases behind the cache."""
    generator: torch.Generator
    """The source of all random numbers."""
    verifier: Judge | None = None
    """A second model, which judges what this one writes."""

    @property
    def judge(self) -> Judge:
        """The model that ranks and confirms: the verifier, or the one that writes."""
        return self.verifier or Judge(self.model, self.cache)
