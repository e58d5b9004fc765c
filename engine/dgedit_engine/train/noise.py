"""How a gold canvas is corrupted before the model must restore it.

Uniform-state noise: a slot keeps its token or gets one drawn evenly from the whole vocabulary, as
the released sampler renoises. Pinned slots never change. Everything is a pure function of the
generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Noised:
    """Canvases to be restored, K for each gold one."""

    ids: Tensor
    """(B, K, C): what the model sees."""
    corrupted: Tensor
    """(B, K, C): True where the token was replaced."""
    level: Tensor
    """(B, K): the share of slots replaced, 0 to 1."""


def corrupt(
    gold: Tensor,
    pinned: Tensor,
    *,
    copies: int,
    vocab: int,
    full: float,
    generator: torch.Generator,
) -> Noised:
    """Noise gold (B, C) `copies` times.

    Levels cover (0, 1] evenly over the batch (low discrepancy); copies come in complementary pairs,
    which replace what the other keeps (LLaDA2.0). A share `full` of the canvases is all noise, as
    at the first step of an infill.
    """
    batch, slots = gold.shape
    shape = (batch, copies, slots)
    pairs = (copies + 1) // 2
    offset = torch.rand((), generator=generator)
    level = (torch.randperm(batch * pairs, generator=generator) + offset) / (
        batch * pairs
    )  # (B pairs,)
    level = level.view(batch, pairs, 1)
    draw = torch.rand(batch, pairs, slots, generator=generator)
    corrupted = torch.stack((draw < level, draw >= level), 2).view(batch, 2 * pairs, slots)[
        :, :copies
    ]
    level = torch.stack((level, 1 - level), 2).view(batch, 2 * pairs)[:, :copies]
    all_noise = torch.rand(batch, copies, generator=generator) < full
    level = torch.where(all_noise, 1.0, level)
    corrupted = (corrupted | all_noise[..., None]) & ~pinned[:, None]
    noise = torch.randint(vocab, shape, generator=generator)
    return Noised(torch.where(corrupted, noise, gold[:, None]), corrupted, level)
