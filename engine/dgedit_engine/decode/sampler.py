"""The rules by which a canvas is refined: temperature, acceptance, renoising, stopping.

The released entropy-bound sampler (transformers 5.23, generation_diffusion_gemma.py; Ben-Hamu et
al., arXiv 2505.24857), draw for draw, and what in-line editing adds: slots that are fixed count
nowhere. Pure functions on tensors; the loop is in `loop.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dgedit_engine.model.config import Sampling


def temperature(sampling: Sampling, remaining: int) -> float:
    """Return the temperature, linear in the steps that remain, counting this one: t_max at the
    first of `sampling.steps`, towards t_min.
    """
    return sampling.t_min + (sampling.t_max - sampling.t_min) * remaining / sampling.steps


def pin(logits: Tensor, ids: Tensor, fixed: Tensor) -> Tensor:
    """Make fixed slots certain of their token: one-hot logits, 0 and -inf. logits (B, C, V); ids,
    fixed (B, C).
    """
    if not fixed.any():
        return logits
    known = torch.full_like(logits, -torch.inf).scatter_(-1, ids[..., None], 0.0)
    return torch.where(fixed[..., None], known, logits)


def confine(logits: Tensor, kinds: Tensor, choices: Sequence[Tensor]) -> Tensor:
    """Leave slots nothing but their choices, where they have some: -inf for all other tokens.
    logits (1, C, V); kinds (1, C): the index of a slot's choices, or -1.
    """
    found = logits.clone()
    for kind, tokens in enumerate(choices):
        slots = (kinds[0] == kind).nonzero()[:, 0]
        if len(slots):
            found[0, slots] = -torch.inf
            found[0, slots[:, None], tokens] = logits[0, slots[:, None], tokens]
    return found


def accept(entropy: Tensor, bound: float) -> Tensor:
    """Return which slots of entropy (B, C), in nats, to keep: the most certain ones, while their
    joint uncertainty stays in `bound`.

    The sum of the entropies less the largest bounds their mutual information; the most certain slot
    is always kept. Fixed slots have entropy 0, so they cost nothing; see `accept_free` for their
    part in the guarantee.
    """
    ordered, order = entropy.sort(dim=-1)
    kept = ordered.cumsum(-1) - ordered <= bound
    return torch.zeros_like(kept).scatter(-1, order, kept)


def accept_free(entropy: Tensor, fixed: Tensor, bound: float) -> Tensor:
    """Return what `accept` keeps among the free slots alone, and all fixed ones, (B, C): at least
    one free slot is kept.
    """
    return accept(entropy.masked_fill(fixed, torch.inf), bound) | fixed


def renoise(ids: Tensor, kept: Tensor, vocab: int, generator: torch.Generator | None) -> Tensor:
    """Replace every slot of ids (B, C) that is not kept by a token drawn evenly from the
    vocabulary.
    """
    noise = torch.randint(vocab, ids.shape, generator=generator, device=ids.device)
    return torch.where(kept, ids, noise)


def confident(entropy: Tensor, fixed: Tensor, threshold: float) -> bool:
    """Say whether the free slots' mean entropy (B, C) is below `threshold` nats. Fixed ones would
    make that too easy.
    """
    free = ~fixed
    return not free.any() or bool(entropy[free].mean() < threshold)
