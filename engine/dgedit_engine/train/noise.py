"""Noise gold canvases, which the model must then restore.

Uniform-state noise: a slot keeps its token or gets one drawn evenly from the whole vocabulary, as
the released sampler renoises. Beside it: one token for all noise (a control), tokens inserted and
deleted, and the model's own drafts. Pinned slots never change. Everything is a pure function of the
generator, and is drawn on its device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dgedit_engine.decode import sampler

STRETCH = 8
"""Slots, on average, that share a noise level where a canvas has several."""
LONGEST_SHIFT = 3
"""Tokens that are inserted or deleted together, at most."""


@dataclass(frozen=True, slots=True)
class Noised:
    """Noised canvases, K for each gold one."""

    ids: Tensor
    """(B, K, C): what the model sees."""
    corrupted: Tensor
    """(B, K, C): True where the token was replaced."""
    level: Tensor
    """(B, K): the share of slots replaced, 0 to 1."""

    def to(self, device: torch.device | str) -> Noised:
        """Move to a device."""
        return Noised(self.ids.to(device), self.corrupted.to(device), self.level.to(device))


def corrupt(
    gold: Tensor,
    pinned: Tensor,
    *,
    copies: int,
    vocab: int,
    full: float,
    generator: torch.Generator,
    scattered: float = 0.0,
    mask: int | None = None,
) -> Noised:
    """Noise gold (B, C) `copies` times.

    Levels cover (0, 1] evenly over the batch (low discrepancy); copies come in complementary pairs,
    which replace what the other keeps (LLaDA2.0). A share `full` of the canvases is all noise, as
    at the first step of an infill. In a share `scattered` every few slots have a level of their
    own, as where some are settled already. With `mask` that token is all noise.
    """
    batch, slots = gold.shape
    shape, pairs = (batch, copies, slots), (copies + 1) // 2
    rand = partial(torch.rand, generator=generator, device=gold.device)
    offset = rand(())
    order = torch.randperm(batch * pairs, generator=generator, device=gold.device)
    level = ((order + offset) / (batch * pairs)).view(batch, pairs, 1)
    draw = rand(batch, pairs, slots)
    if scattered:
        level = _in_stretches(level, slots, scattered, generator)  # (B, pairs, C)
    corrupted = torch.stack((draw < level, draw >= level), 2).view(batch, 2 * pairs, slots)
    level = level.mean(-1)
    level = torch.stack((level, 1 - level), 2).view(batch, 2 * pairs)[:, :copies]
    all_noise = rand(batch, copies) < full
    level = torch.where(all_noise, 1.0, level)
    corrupted = (corrupted[:, :copies] | all_noise[..., None]) & ~pinned[:, None]
    noise = _noise(shape, vocab, mask, generator)
    return Noised(torch.where(corrupted, noise, gold[:, None]), corrupted, level)


def shift(
    noised: Noised,
    gold: Tensor,
    pinned: Tensor,
    *,
    share: float,
    vocab: int,
    end: int,
    generator: torch.Generator,
) -> Noised:
    """Insert or delete a few tokens at one place in the text of a `share` of the canvases.

    The tokens behind it move along the canvas, so that a token's place no longer tells what it is.
    Canvases with pinned slots are left alone: their markers must not move.
    """
    batch, copies, slots = noised.ids.shape
    rand = partial(torch.rand, generator=generator, device=gold.device)
    here = torch.arange(slots, device=gold.device)
    text = (gold != end).sum(-1)[:, None, None]  # (B, 1, 1)
    begin = (rand(batch, copies, 1) * (text + 1)).long()
    count = 1 + (rand(batch, copies, 1) * LONGEST_SHIFT).long()
    inserted = rand(batch, copies, 1) < 0.5
    source = torch.where(here < begin, here, here + torch.where(inserted, -count, count))
    moved = noised.ids.gather(-1, source.clamp(0, slots - 1))
    moved = torch.where(source >= slots, end, moved)
    new = inserted & (here >= begin) & (here < begin + count)
    moved = torch.where(new, _noise(moved.shape, vocab, None, generator), moved)
    chosen = (rand(batch, copies, 1) < share) & ~pinned.any(-1)[:, None, None]
    ids = torch.where(chosen, moved, noised.ids)
    wrong = torch.where(chosen, ids != gold[:, None], noised.corrupted)
    return Noised(ids, wrong, noised.level)


def own_draft(
    probs: Tensor,
    fixed: Tensor,
    *,
    copies: int,
    bound: float,
    generator: torch.Generator,
    mask: int | None = None,
) -> Tensor:
    """Return the canvases that the sampler would make of these probabilities (B, K C, V): slots
    accepted within the entropy `bound` in nats, the rest noise. Fixed slots (B, K C) are certain
    already.
    """
    vocab, place = probs.shape[-1], generator.device
    uniform = torch.rand(probs.shape[:-1], generator=generator, device=place).to(probs.device)
    drawn = (probs.cumsum(-1) < uniform[..., None]).sum(-1).clamp(max=vocab - 1)
    entropy = torch.special.entr(probs).sum(-1)
    kept = sampler.accept(entropy.view(fixed.shape[0] * copies, -1), bound).view_as(fixed)
    noise = _noise(fixed.shape, vocab, mask, generator).to(probs.device)
    return torch.where(kept | fixed, drawn, noise)


def _in_stretches(level: Tensor, slots: int, share: float, generator: torch.Generator) -> Tensor:
    """Return noise levels of slots (B, P, C) for those of canvases (B, P, 1): in a `share` of them
    every stretch has its own.

    Stretches, since levels drawn for every slot alone would replace half of them at random, which a
    level of one half does already.
    """
    batch, pairs, _ = level.shape
    rand = partial(torch.rand, batch, pairs, generator=generator, device=level.device)
    stretch = (rand(slots) < 1 / STRETCH).cumsum(-1)
    return torch.where(rand(1) < share, rand(slots + 1).gather(-1, stretch), level)


def _noise(
    shape: tuple[int, ...], vocab: int, mask: int | None, generator: torch.Generator
) -> Tensor:
    if mask is not None:
        return torch.full(shape, mask, device=generator.device)
    return torch.randint(vocab, shape, generator=generator, device=generator.device)
