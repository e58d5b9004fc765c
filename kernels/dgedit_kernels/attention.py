"""Attention at scale 1, with fewer key heads than query heads (grouped-query attention).

Knows no layers, no caches and no rotation. `attention` is for training and for keys in one piece;
it has no kernel of ours. `attend` reads the prompt in its buffer and the new tokens' own keys
beside it; on a GPU it copies neither and takes the prompt's length from the device
(`attention_split.py`), so that a captured graph serves every prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.attention_split import attend_triton
from dgedit_kernels.dispatch import card, on_gpu


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False
) -> Tensor:
    """Attend with q (B, H, n, E) to k and v (B, K, m, E) -> (B, H, n, E); H is a multiple of K.

    `mask` (n, m) is True where a query may look. `causal` needs n = m and no mask. The logits are
    not divided by sqrt(E): the norms of queries and keys carry the scale (Gemma 4).
    """
    if q.dtype == torch.bfloat16 and q.device.type == "cpu":
        # forward and backward of 16 rows of 288: 26 ms against 51 ms (one core, bfloat16 matrix
        # instructions)
        return attention_reference(q, k, v, mask, causal=causal)
    if mask is not None and q.is_cuda:
        # no fast kernel takes both a mask and shared heads; without one, all scores are written out
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=1.0, enable_gqa=q.shape[1] != k.shape[1]
    )


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False
) -> Tensor:
    """Compute `attention` as the formula is written: two matrix products around a softmax."""
    batch, heads, n, width = q.shape
    shared, keys = k.shape[1], k.shape[2]
    if causal:
        mask = torch.ones(n, keys, dtype=torch.bool, device=q.device).tril()
    scores = (q.reshape(batch, shared, -1, width) @ k.transpose(2, 3)).view(batch, heads, n, keys)
    if mask is not None:
        scores = scores + torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    weights = scores.softmax(-1).view(batch, shared, -1, keys)
    return (weights @ v).view(batch, heads, n, width)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prompt_k: Tensor,
    prompt_v: Tensor,
    extent: Tensor,
    *,
    causal: bool,
    window: int | None = None,
    own: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """Attend with n new tokens to a prompt and to each other -> (B, n, H, E), contiguous.

    q (B, H, n, E), k and v (B, K, n, E): the tokens' own, of any strides but a last one of 1.
    prompt_k, prompt_v (B, K, slots, E), or (1, K, slots, E) where all rows share one, as wide as q
    or float8_e4m3fn of scale 1. Slots from extent[0] up to extent[1], int32 (2,) on the device, are
    valid; the contents of the others do not matter.

    A token attends to those with the same number in `own` (n,) int32 (None: all). Unless `causal`,
    it attends to all of them, and to the last `window` - 1 tokens of the prompt (None: all). If
    `causal`, it attends to itself and what is before it in its sequence, `window` tokens in all:
    `offset` (n,) int32 is its place there, counted from the prompt's end (None: its index).
    """
    options = {"causal": causal, "window": window, "own": own, "offset": offset}
    if on_gpu(q) and not torch.is_grad_enabled():
        has = card(q)
        options |= {"processors": has.processors, "shared": has.shared}
        return attend_triton(*(q, k, v, prompt_k, prompt_v, extent), **options)
    n, (first, end) = q.shape[2], extent.tolist()
    if window is not None:
        first = max(first, end - window + 1)
    past = max(0, end - first)
    prompts = (each[:, :, end - past : end].to(q.dtype) for each in (prompt_k, prompt_v))
    behind = (each.expand(len(q), -1, -1, -1) for each in prompts)
    keys, values = (torch.cat(both, 2) for both in zip(behind, (k, v), strict=True))
    plain = own is None and offset is None
    if causal and n > 1:
        plain = plain and past == 0 and (window is None or n <= window)
    place = torch.arange(-past, 0, device=q.device)
    mask = None if plain else _seen(place, n, **options)
    found = attention(q, keys, values, mask, causal=plain and causal and n > 1)
    return found.transpose(1, 2).contiguous()


def attend_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prompt_k: Tensor,
    prompt_v: Tensor,
    extent: Tensor,
    *,
    causal: bool,
    window: int | None = None,
    own: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """Compute `attend` in fp32, with one mask over all slots and tokens."""
    slot, n = torch.arange(prompt_k.shape[2], device=q.device), q.shape[2]
    valid = (slot >= extent[0]) & (slot < extent[1])
    seen = _seen(slot - extent[1], n, causal=causal, window=window, own=own, offset=offset)
    seen[:, :-n] &= valid
    prompts = (torch.where(valid[:, None], each.float(), 0.0) for each in (prompt_k, prompt_v))
    behind = (each.expand(len(q), -1, -1, -1) for each in prompts)
    keys, values = (
        torch.cat((past, new.float()), 2) for past, new in zip(behind, (k, v), strict=True)
    )
    found = attention_reference(q.float(), keys, values, seen)
    return found.transpose(1, 2).to(q.dtype).contiguous()


def _seen(
    place: Tensor,
    n: int,
    *,
    causal: bool,
    window: int | None,
    own: Tensor | None,
    offset: Tensor | None,
) -> Tensor:
    """Return which keys n tokens attend to: prompt slots whose `place` (T,) counts from the
    prompt's end, and each other -> (n, T + n) bool.
    """
    offset = torch.arange(n, device=place.device) if offset is None else offset
    mine = torch.ones(n, n, dtype=torch.bool, device=place.device)
    mine = mine if own is None else own[:, None] == own
    theirs = torch.ones(n, len(place), dtype=torch.bool, device=place.device)
    if causal:
        mine = mine & (offset <= offset[:, None])
    if window is not None:
        latest = offset[:, None] if causal else torch.zeros_like(offset)[:, None]
        theirs = place > latest - window
        mine = mine & (offset > latest - window) if causal else mine
    return torch.cat((theirs, mine), 1)
