"""A request, and all that answers it: what every phase reads and none changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from dgedit_engine.decode.decoding import Decoding
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
    """For the prompt."""
    sampling: Sampling
    """The sampler's settings, as the request wants them."""
    decoding: Decoding
    """The candidates', likewise."""
    request: InfillRequest
    """What is asked."""
    prompt: Prompt
    """The same in tokens."""
    refiner: Refiner[Any]
    """What denoises canvases behind the cache."""
    generator: torch.Generator
    """Where all random numbers come from."""
