"""Root-mean-square norm over the last dimension."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """`x / sqrt(mean(x²) + eps) · weight`, computed in fp32, in x's dtype. x (…, D), weight (D,) or
    None.

    The weight multiplies as it is, not as 1 + weight (Gemma 4). Source: Zhang & Sennrich, arXiv
    1910.07467.
    """
    if weight is not None and weight.dtype != x.dtype:
        weight = weight.to(x.dtype)
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rms_norm_reference(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The formula as it is written, for tests."""
    y = x.float() * torch.pow(x.float().pow(2).mean(-1, keepdim=True) + eps, -0.5)
    return (y if weight is None else y * weight.float()).to(x.dtype)
