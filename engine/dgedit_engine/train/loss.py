"""What training minimises: restoring canvases, and reading causally.

The canvas loss is the released recipe's flat cross-entropy over all free slots, clean and noised,
end slots included: down-weighted ends never learnt to end at a small budget. The causal loss keeps
the encoder a language model.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def canvas_loss(logits: Tensor, gold: Tensor, free: Tensor) -> Tensor:
    """Mean cross-entropy over free slots, in nats. logits (B, K, C, V), gold (B, C), free (B, C) ->
    ().
    """
    losses = slot_losses(logits, gold)
    weight = free[:, None].expand_as(losses).to(losses.dtype)
    return (losses * weight).sum() / weight.sum()


def slot_losses(logits: Tensor, gold: Tensor) -> Tensor:
    """Cross-entropy of every slot, (B, K, C)."""
    target = gold[:, None].expand(logits.shape[:-1])
    return F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view(
        target.shape
    )


def causal_loss(logits: Tensor, ids: Tensor, counted: Tensor) -> Tensor:
    """Mean cross-entropy of the next token where `counted`. logits (B, n, V), ids and counted (B,
    n) -> ().
    """
    losses = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weight = counted[:, 1:].flatten().to(losses.dtype)
    return (losses * weight).sum() / weight.sum()


def counted_causally(prompt: Tensor, canvas: Tensor, *, end: int) -> Tensor:
    """Which tokens of [prompt, canvas] (B, T + C) the causal loss counts: not the fill behind a
    first end.
    """
    previous = torch.cat((prompt[:, -1:], canvas[:, :-1]), 1)
    fill = (canvas == end) & (previous == end)
    return torch.cat((torch.ones_like(prompt, dtype=torch.bool), ~fill), 1)
