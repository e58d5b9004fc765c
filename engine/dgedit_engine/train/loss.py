"""The losses that training minimises: of denoised canvases, and of the causal reading.

By default the canvas loss is the released recipe's flat cross-entropy over all free slots, clean
and noised, end slots included: with a smaller weight, ends were not learnt within a small budget.
The causal loss keeps the encoder a language model.
"""

from __future__ import annotations

import torch
from torch import Tensor


def canvas_loss(losses: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over slots of cross-entropies in nats, with weights (B, K,
    C) -> ().
    """
    return (losses * weight).sum() / weight.sum()


def slot_weights(
    gold: Tensor, free: Tensor, wrong: Tensor, *, end: int, clean: float = 1.0, ends: float = 1.0
) -> Tensor:
    """Return the weight of each slot: gold and free (B, C), wrong (B, K, C) -> (B, K, C).

    Pinned slots weigh 0, those that are not wrong `clean`, and the fill behind a first end `ends`;
    a slot to which both apply weighs their product.
    """
    weight = free[:, None].expand_as(wrong).to(torch.float32)
    if clean != 1:
        weight = torch.where(wrong, weight, weight * clean)
    if ends != 1:
        fill = torch.zeros_like(free)
        fill[:, 1:] = (gold[:, 1:] == end) & (gold[:, :-1] == end)
        weight = torch.where(fill[:, None], weight * ends, weight)
    return weight


def causal_loss(losses: Tensor, counted: Tensor) -> Tensor:
    """Return the mean cross-entropy of the next token (B, n), in nats, where `counted`, or weighted
    by it -> ().
    """
    weight = counted.to(losses.dtype)
    return (losses * weight).sum() / weight.sum()


def counted_causally(prompt: Tensor, canvas: Tensor, *, end: int) -> Tensor:
    """Return which tokens of [prompt, canvas] (B, T + C) the causal loss counts: not the fill
    behind a first end.
    """
    previous = torch.cat((prompt[:, -1:], canvas[:, :-1]), 1)
    fill = (canvas == end) & (previous == end)
    return torch.cat((torch.ones_like(prompt, dtype=torch.bool), ~fill), 1)
