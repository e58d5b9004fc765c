"""Gated linear unit with SiLU, the activation of Llama and Qwen.

Knows nothing of the products before and behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor, is_grad_enabled
from torch.nn import functional as F

from dgedit_kernels.decode import Product
from dgedit_kernels.dispatch import Variant, on_gpu
from dgedit_kernels.gated import gated, gated_variant
from dgedit_kernels.qmatmul import whole


def swiglu(gate_up: Product, *, dtype: torch.dtype | None = None, planes: int = 1) -> Tensor:
    """Return `silu(gate) · up` from the two joined, (…, 2F) -> (…, F). Source: Shazeer, arXiv
    2002.05202.

    The kernel computes in fp32 and rounds once; the PyTorch path rounds between the two factors. It
    also adds the parts of a product, the result in `dtype`, and writes columns in so many `planes`
    (`decode.planes`).
    """
    first = gate_up if isinstance(gate_up, Tensor) else gate_up.parts
    if on_gpu(first) and not is_grad_enabled():
        return swiglu_triton(gate_up, dtype=dtype, planes=planes)
    return swiglu_reference(whole(gate_up, dtype or first.dtype))


def swiglu_reference(gate_up: Tensor) -> Tensor:
    """Compute `swiglu` in PyTorch."""
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


def swiglu_triton(gate_up: Product, *, dtype: torch.dtype | None = None, planes: int = 1) -> Tensor:
    """Compute `swiglu` by a kernel."""
    first = gate_up if isinstance(gate_up, Tensor) else gate_up.parts
    return gated(gate_up, dtype or first.dtype, silu=True, planes=planes)


def variants() -> list[Variant]:
    """Return the kernel's variant for Qwen2 7B."""
    return [gated_variant("swiglu", 18_944, silu=True)]
