"""Rotary position embedding, split-half pairing: element i turns with element i + E/2."""

import torch
from torch import Tensor


def rope_table(
    positions: Tensor, *, head_dim: int, theta: float, rotated: int
) -> tuple[Tensor, Tensor]:
    """Cosine and sine for each position, fp32 (n, E).

    Of the E/2 pairs only the first `rotated` turn; the exponent's denominator is the whole width
    ("proportional", the full-attention layers of Gemma 4). With all pairs rotated this is
    RoFormer's table (arXiv 2104.09864).
    """
    pairs = torch.arange(rotated, device=positions.device, dtype=torch.float32)
    frequency = torch.zeros(head_dim // 2, device=positions.device)
    frequency[:rotated] = theta ** (-2 * pairs / head_dim)
    angle = positions.float()[:, None] * frequency  # (n, E/2)
    return torch.cat((angle.cos(), angle.cos()), -1), torch.cat((angle.sin(), angle.sin()), -1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x (…, n, h, E) by cos, sin (n, E), the same for all h heads."""
    low, high = x.chunk(2, -1)
    turned = torch.cat((-high, low), -1)
    return x * cos[:, None] + turned * sin[:, None]
