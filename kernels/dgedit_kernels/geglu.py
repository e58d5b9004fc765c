"""Gated linear unit with the tanh approximation of GELU.

Knows nothing of the products before and behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, on_gpu
from dgedit_kernels.gated import gated, gated_variant


def geglu(gate_up: Tensor) -> Tensor:
    """Return `gelu_tanh(gate) · up` from the two joined, (…, 2F) -> (…, F). Source: Shazeer, arXiv
    2002.05202.

    The kernel computes in fp32 and rounds once; the PyTorch path rounds between the two factors.
    """
    if on_gpu(gate_up) and not torch.is_grad_enabled():
        return geglu_triton(gate_up)
    return geglu_reference(gate_up)


def geglu_reference(gate_up: Tensor) -> Tensor:
    """Compute `geglu` in PyTorch."""
    gate, up = gate_up.chunk(2, -1)
    return F.gelu(gate, approximate="tanh") * up


def geglu_triton(gate_up: Tensor) -> Tensor:
    """Compute `geglu` by a kernel."""
    return gated(gate_up, silu=False)


def variants() -> list[Variant]:
    """Return the kernel's variant for the dense MLP; the experts' differ in F alone."""
    return [gated_variant("geglu", 2112, silu=False)]
