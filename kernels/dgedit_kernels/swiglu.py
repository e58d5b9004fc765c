"""Gated linear unit with SiLU, the activation of Llama and Qwen.

Knows nothing of the products before and behind it.
"""

from __future__ import annotations

from torch import Tensor, is_grad_enabled
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, on_gpu
from dgedit_kernels.gated import gated, gated_variant


def swiglu(gate_up: Tensor) -> Tensor:
    """Return `silu(gate) · up` from the two joined, (…, 2F) -> (…, F). Source: Shazeer, arXiv
    2002.05202.

    The kernel computes in fp32 and rounds once; the PyTorch path rounds between the two factors.
    """
    if on_gpu(gate_up) and not is_grad_enabled():
        return swiglu_triton(gate_up)
    return swiglu_reference(gate_up)


def swiglu_reference(gate_up: Tensor) -> Tensor:
    """Compute `swiglu` in PyTorch."""
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


def swiglu_triton(gate_up: Tensor) -> Tensor:
    """Compute `swiglu` by a kernel."""
    return gated(gate_up, silu=True)


def variants() -> list[Variant]:
    """Return the kernel's variant for Qwen2 7B."""
    return [gated_variant("swiglu", 18_944, silu=True)]
