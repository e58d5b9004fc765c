"""The tile of the gated linear units, which differ in their gate alone: `geglu.py`, `swiglu.py`;
and of `gelu.py`, which is the gate alone, of a product and its bias.

Knows nothing of the products before and behind it. A thread takes eight columns, 16 bytes of each
half in bfloat16, and rounds once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgedit_kernels.decode import Product, added
from dgedit_kernels.decode import place as in_planes
from dgedit_kernels.dispatch import Variant, divided, launch, tl, triton

_TILE = 1024
"""Elements of a program of four warps: eight for each thread."""


def gated(
    gate_up: Product,
    dtype: torch.dtype,
    *,
    silu: bool,
    planes: int = 1,
    bias: Tensor | None = None,
) -> Tensor:
    """Compute a gate times its values from the two joined, (…, 2F) -> (…, F) in `dtype`, by a
    kernel; `silu` chooses the gate, SiLU or the tanh approximation of GELU. With a `bias` (F,) it
    is the gate alone, of the sum of both: (…, F) -> (…, F). Parts of a product are added, and
    columns written in so many `planes` (`decode.planes`).
    """
    row, apart, parts, lead = None, 0, 1, gate_up.shape[:-1] if isinstance(gate_up, Tensor) else ()
    if isinstance(gate_up, Tensor):
        joined = gate_up.reshape(-1, gate_up.shape[-1])
        joined = joined if joined.stride(1) == 1 else joined.contiguous()
    else:
        joined, row, lead = gate_up
        parts, apart = joined.shape[1], joined.stride(1)
    count, width = len(joined), joined.shape[-1] // (2 if bias is None else 1)
    out = joined.new_empty(count, width, dtype=dtype)
    # columns in blocks of 256: 2112 and 704 fill 9 and 3 of them, but one of 1024 to two thirds
    block = min(256, triton.next_power_of_2(width))
    rows = _TILE // block
    launch(_gated_kernel, (divided(count, rows), divided(width, block)))(
        *(joined, row, bias, out, joined.stride(0), apart, count),
        *(width, silu, rows, block, parts, planes),
        num_warps=4,
    )
    return out.view(*lead, width)


@triton.jit
def _gated_kernel(
    joined,
    factor,
    bias,
    out,
    stride,
    apart,
    count,
    F: tl.constexpr,
    SILU: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    PLANES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    wide = place < F
    inside = (row < count) & wide
    source = joined + row * stride + place
    gate = added(source, factor, apart, place, inside, wide, PARTS)
    if bias is None:
        up = added(source + F, factor, apart, place + F, inside, wide, PARTS)
    else:
        gate += tl.load(bias + place, mask=wide, other=0.0).to(tl.float32)
        up = 1.0
    if SILU:
        value = gate * tl.sigmoid(gate) * up
    else:
        # (1 + tanh(u)) / 2 is the sigmoid of 2u, with 2 sqrt(2 / pi) = 1.5957691
        value = gate * tl.sigmoid(1.5957691216 * (gate + 0.044715 * gate * gate * gate)) * up
    to = out + row * F + in_planes(place, F, PLANES)
    tl.store(to, value.to(out.dtype.element_ty), mask=inside)


def gated_variant(name: str, width: int, *, silu: bool, biased: bool = False) -> Variant:
    """Return the kernel's variant for rows of 2 x `width` numbers in two parts, or of `width` that
    have a bias, before a product with 8 bits.
    """
    types = {"joined": "*fp32", "factor": "*fp32", "out": "*bf16", "count": "i32"}
    types |= {"bias": "*bf16"} if biased else {}
    joined = width if biased else 2 * width
    # the stride is a constant here, since a launch sees by itself that 16 divides it
    shape = {"stride": joined, "F": width, "SILU": silu, "ROWS": 4, "BLOCK": 256}
    shape |= {"apart": 256 * joined, "PARTS": 2, "PLANES": 2}
    return Variant(name, _gated_kernel, types, shape if biased else shape | {"bias": None})
