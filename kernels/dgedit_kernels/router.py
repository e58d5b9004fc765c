"""Choose each token's experts and their weights from the router's logits.

Knows no experts, only their scores. Fast because a token's softmax, its choices and their weights
are one kernel, where PyTorch has six, thirty times in a step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, tl, triton

_TOKENS = 4
"""Tokens of a program of four warps: one each, whose sums and maxima need no shared memory."""


def choose(
    logits: Tensor, scale: Tensor, *, active: int, factor: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Choose experts by logits (n, N) and each expert's scale (N,) -> weights (n, A) in the logits'
    dtype and experts (n, A) int64, the most likely first: the softmax of `factor` · logits in fp32,
    of which the `active` greatest are scaled to a sum of 1, then each by its expert's scale.

    Source: transformers 5.23, models/diffusion_gemma (the router of Gemma 4). Of equal logits the
    kernel takes the expert of the lower number.
    """
    if on_gpu(logits) and not torch.is_grad_enabled():
        return choose_triton(logits, scale, active=active, factor=factor)
    return choose_reference(logits, scale, active=active, factor=factor)


def choose_reference(
    logits: Tensor, scale: Tensor, *, active: int, factor: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Compute `choose` in PyTorch."""
    probs = (logits.float() * factor).softmax(-1)
    weight, index = probs.topk(active, dim=-1)
    weight = weight / weight.sum(-1, keepdim=True) * scale[index]
    return weight.to(logits.dtype), index


def choose_triton(
    logits: Tensor, scale: Tensor, *, active: int, factor: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Compute `choose` by a kernel."""
    logits = logits.contiguous()
    count, experts = logits.shape
    weight = logits.new_empty(count, active)
    index = logits.new_empty(count, active, dtype=torch.int64)
    launch(_choose_kernel, (divided(count, _TOKENS),))(
        *(logits, scale, weight, index, count, factor, experts, active, _TOKENS),
        *(triton.next_power_of_2(experts), triton.next_power_of_2(active)),
    )
    return weight, index


@triton.jit
def _choose_kernel(
    logits,
    scale,
    weight,
    index,
    count,
    factor,
    N: tl.constexpr,
    A: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK: tl.constexpr,
    PLACES: tl.constexpr,
):
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    expert, place = tl.arange(0, BLOCK), tl.arange(0, PLACES)
    valid = token < count
    at = logits + token.to(tl.int64)[:, None] * N + expert[None, :]
    inside = valid[:, None] & (expert < N)[None, :]
    score = tl.load(at, mask=inside, other=float("-inf")).to(tl.float32) * factor
    # the softmax's own sum cancels out, only its greatest must be there
    score = tl.where(expert[None, :] < N, score, float("-inf"))
    top = tl.max(score, 1)
    chosen = tl.zeros((TOKENS, PLACES), tl.int32)
    share = tl.zeros((TOKENS, PLACES), tl.float32)
    for turn in tl.static_range(A):
        best, which = tl.max(score, 1, return_indices=True, return_indices_tie_break_left=True)
        here = place[None, :] == turn
        chosen = tl.where(here, which[:, None], chosen)
        share = tl.where(here, tl.exp(best - top)[:, None], share)
        score = tl.where(expert[None, :] == which[:, None], float("-inf"), score)
    share /= tl.sum(share, 1)[:, None]
    to = token.to(tl.int64)[:, None] * A + place[None, :]
    there = valid[:, None] & (place < A)[None, :]
    share *= tl.load(scale + chosen, mask=there, other=0.0).to(tl.float32)
    tl.store(weight + to, share.to(weight.dtype.element_ty), mask=there)
    tl.store(index + to, chosen.to(tl.int64), mask=there)


def variants() -> list[Variant]:
    """Return the kernel's variant for the released model: 8 of 128."""
    types = {"logits": "*bf16", "scale": "*bf16", "weight": "*bf16", "index": "*i64"}
    shape = {"N": 128, "A": 8, "TOKENS": _TOKENS, "BLOCK": 128, "PLACES": 8}
    return [Variant("choose", _choose_kernel, types | {"count": "i32", "factor": "fp32"}, shape)]
