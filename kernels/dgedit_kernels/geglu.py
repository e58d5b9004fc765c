"""Gated linear unit with the tanh approximation of GELU.

Knows nothing of the products before and behind it. On a GPU a thread takes eight columns, 16 bytes
of each half in bfloat16, and rounds once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, divided, on_gpu, tl, triton

_TILE = 1024
"""Elements of a program of four warps: eight for each thread."""


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
    joined = gate_up.reshape(-1, gate_up.shape[-1])
    joined = joined if joined.stride(1) == 1 else joined.contiguous()
    count, width = len(joined), joined.shape[1] // 2
    out = joined.new_empty(count, width)
    # columns in blocks of 256: 2112 and 704 fill 9 and 3 of them, but one of 1024 to two thirds
    block = min(256, triton.next_power_of_2(width))
    rows = _TILE // block
    _geglu_kernel[(divided(count, rows), divided(width, block))](
        joined, out, joined.stride(0), count, width, rows, block, num_warps=4
    )
    return out.view(*gate_up.shape[:-1], width)


@triton.jit
def _geglu_kernel(
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
    # (1 + tanh(u)) / 2 is the sigmoid of 2u, with 2 sqrt(2 / pi) = 1.5957691
    value = gate * tl.sigmoid(1.5957691216 * (gate + 0.044715 * gate * gate * gate)) * up
    tl.store(out + row * F + place, value.to(out.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernel's variant for the dense MLP; the experts' differ in F alone."""
    types = {"joined": "*bf16", "out": "*bf16", "count": "i32"}
    # the stride is a constant here, since a launch sees by itself that 16 divides it
    shape = {"stride": 4224, "F": 2112, "ROWS": 4, "BLOCK": 256}
    return [Variant("geglu", _geglu_kernel, types, shape)]
