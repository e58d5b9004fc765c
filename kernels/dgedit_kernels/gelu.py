"""The tanh approximation of GELU of a product and its bias: an MLP without a gate (StarCoder2).

Knows nothing of the products before and behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import Product
from dgedit_kernels.dispatch import Variant, on_gpu
from dgedit_kernels.gated import gated, gated_variant
from dgedit_kernels.qmatmul import whole


def gelu(
    inner: Product, bias: Tensor, *, dtype: torch.dtype | None = None, planes: int = 1
) -> Tensor:
    """Return `gelu_tanh(inner + bias)`, (…, F) -> (…, F); bias (F,). Source: Hendrycks & Gimpel,
    arXiv 1606.08415.

    The kernel computes in fp32 and rounds once; the PyTorch path rounds the sum too. It also adds
    the parts of a product, the result in `dtype`, and writes columns in so many `planes`
    (`decode.planes`).
    """
    first = inner if isinstance(inner, Tensor) else inner.parts
    if on_gpu(first) and not torch.is_grad_enabled():
        return gelu_triton(inner, bias, dtype=dtype, planes=planes)
    return gelu_reference(whole(inner, dtype or first.dtype), bias)


def gelu_reference(inner: Tensor, bias: Tensor) -> Tensor:
    """Compute `gelu` in PyTorch."""
    return F.gelu(inner + bias.to(inner.dtype), approximate="tanh")


def gelu_triton(
    inner: Product, bias: Tensor, *, dtype: torch.dtype | None = None, planes: int = 1
) -> Tensor:
    """Compute `gelu` by a kernel."""
    first = inner if isinstance(inner, Tensor) else inner.parts
    return gated(inner, dtype or first.dtype, silu=False, planes=planes, bias=bias.contiguous())


def variants() -> list[Variant]:
    """Return the kernel's variant for StarCoder2 3B."""
    return [gated_variant("gelu", 12_288, silu=False, biased=True)]
