"""Gated linear unit with SiLU, the activation of Llama and Qwen.

Knows nothing of the products before and behind it. On a GPU it is `geglu`'s tile with another gate.
"""

from __future__ import annotations

from torch import Tensor, is_grad_enabled
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, divided, on_gpu, tl, triton

_TILE = 1024
"""Elements of a program of four warps: eight for each thread."""


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
    joined = gate_up.reshape(-1, gate_up.shape[-1])
    joined = joined if joined.stride(1) == 1 else joined.contiguous()
    count, width = len(joined), joined.shape[1] // 2
    out = joined.new_empty(count, width)
    block = min(256, triton.next_power_of_2(width))
    rows = _TILE // block
    _swiglu_kernel[(divided(count, rows), divided(width, block))](
        joined, out, joined.stride(0), count, width, rows, block, num_warps=4
    )
    return out.view(*gate_up.shape[:-1], width)


@triton.jit
def _swiglu_kernel(
    joined,
    out,
    stride,
    count,
    F: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    inside = (row < count) & (place < F)
    source = joined + row * stride + place
    gate = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(source + F, mask=inside, other=0.0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(out + row * F + place, value.to(out.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernel's variant for Qwen2 7B."""
    types = {"joined": "*bf16", "out": "*bf16", "count": "i32"}
    # the stride is a constant here, since a launch sees by itself that 16 divides it
    shape = {"stride": 37_888, "F": 18_944, "ROWS": 4, "BLOCK": 256}
    return [Variant("swiglu", _swiglu_kernel, types, shape)]
