"""Attention of n queries over m keys, with fewer key heads than query heads, at scale 1."""

from torch import Tensor
from torch.nn import functional as F


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
    """q (B, H, n, E), k and v (B, K, m, E) -> (B, H, n, E); H is a multiple of K.

    `mask` (n, m) is True where a query may look. `causal` needs n = m and no mask. The logits are not divided by
    sqrt(E): the norms of queries and keys carry the scale (Gemma 4).
    """
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=1.0, enable_gqa=q.shape[1] != k.shape[1]
    )
