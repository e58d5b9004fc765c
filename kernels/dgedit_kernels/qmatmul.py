"""A matrix product with a quantised weight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.quantised import Quantised

_STEP = 4 << 20
"""Entries dequantised at a time: in fp32 they are 16 MB."""


def qmatmul(x: Tensor, weight: Quantised) -> Tensor:
    """x (…, m) by weight (n, m) -> (…, n) in x's dtype."""
    rows = max(1, _STEP // weight.shape[1])
    parts = [
        qmatmul_reference(x, weight[start : start + rows])
        for start in range(0, weight.shape[0], rows)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def qmatmul_reference(x: Tensor, weight: Quantised) -> Tensor:
    """The same, with the whole weight dequantised."""
    return F.linear(x, weight.dequantised(x.dtype))
