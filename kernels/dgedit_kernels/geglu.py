"""Gated linear unit with the tanh approximation of GELU.

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


def geglu(gate_up: Product, *, dtype: torch.dtype | None = None, planes: int = 1) -> Tensor:
    """Return `gelu_tanh(gate) · up` from the two joined, (…, 2F) -> (…, F). Source: Shazeer, arXiv
    2002.05202.

    The kernel computes in fp32 and rounds once; the PyTorch path rounds between the two factors. It
    also adds the parts of a product, the result in `dtype`, and writes columns in so many `planes`
    (`decode.planes`).
    """
    first = gate_up if isinstance(gate_up, Tensor) else gate_up.parts
    if on_gpu(first) and not torch.is_grad_enabled():
        return geglu_triton(gate_up, dtype=dtype, planes=planes)
    return geglu_reference(whole(gate_up, dtype or first.dtype))


def geglu_reference(gate_up: Tensor) -> Tensor:
    """Compute `geglu` in PyTorch."""
    gate, up = gate_up.chunk(2, -1)
    return F.gelu(gate, approximate="tanh") * up


def geglu_triton(gate_up: Product, *, dtype: torch.dtype | None = None, planes: int = 1) -> Tensor:
    """Compute `geglu` by a kernel."""
    first = gate_up if isinstance(gate_up, Tensor) else gate_up.parts
    return gated(gate_up, dtype or first.dtype, silu=False, planes=planes)


def variants() -> list[Variant]:
    """Return the kernel's variant for the dense MLP; the experts' differ in F alone."""
    return [gated_variant("geglu", 2112, silu=False)]
