"""Round activations to e4m3, for products in which both sides have 8 bits.

Cards from sm_89 on multiply e4m3 at twice the rate of bfloat16, and nothing is decoded: a weight's
codes are the operand as they lie. Each row of x is scaled so that its largest magnitude is the
largest of e4m3. A number is off by 1/16 of itself at most, but for tiny ones, a row of normally
distributed ones by 2.6% of its size, as a weight's own codes are.

Knows rows alone, no weights but whether they ask for it. Fast because a row is read once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_kernels.dispatch import Variant, divided, launch, row_tile, tl, triton
from dgedit_kernels.quantised import LARGEST, Quantised

MANY = 256
"""Rows of x from which on products are so computed. With fewer, a product takes the time to read
its weight, and rounding is a kernel more: a pass of the released model is bound by operations from
390 tokens on an RTX 5090 and 680 on an H200, earlier where tiles of experts are half empty.
"""

_LEAST = 1e-30


class RoundedRows(NamedTuple):
    """Rows in e4m3."""

    codes: Tensor
    """(M, m) float8_e4m3fn."""
    scale: Tensor
    """(M,) fp32: what a row's codes are multiplied by."""

    def worth(self, dtype: torch.dtype) -> Tensor:
        """Return the numbers that they stand for, (M, m)."""
        return (self.codes.float() * self.scale[:, None]).to(dtype)


def in_8_bits(x: Tensor, weight: object) -> bool:
    """Say whether a product with a weight is one of e4m3 on both sides, of as many rows as x (…, m)
    has.
    """
    if not isinstance(weight, Quantised) or not weight.w8a8 or torch.is_grad_enabled():
        return False
    return weight.shape[-1] % 16 == 0 and x.numel() >= MANY * x.shape[-1]


def rounded_reference(x: Tensor) -> RoundedRows:
    """Compute `rounded_triton` in PyTorch."""
    wide = x.float()
    scale = wide.abs().amax(-1).clamp(min=_LEAST) / LARGEST["e4m3"]
    return RoundedRows((wide / scale[:, None]).to(torch.float8_e4m3fn), scale)


def rounded_triton(x: Tensor) -> RoundedRows:
    """Round the rows of x (M, m) to e4m3, by a kernel."""
    count, width = x.shape
    codes = torch.empty(count, width, dtype=torch.float8_e4m3fn, device=x.device)
    scale = torch.empty(count, dtype=torch.float32, device=x.device)
    rows, block, warps = row_tile(width)
    launch(_round_kernel, (divided(count, rows),))(
        *(x, codes, scale, x.stride(0), count, width, rows, block),
        num_warps=warps,
    )
    return RoundedRows(codes, scale)


@triton.jit
def _round_kernel(
    x, codes, scale, stride, count, m: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)[None, :]
    there = row < count
    inside = there[:, None] & (column < m)
    value = tl.load(x + row[:, None] * stride + column, mask=inside, other=0.0).to(tl.float32)
    worth = tl.maximum(tl.max(tl.abs(value), 1), 1e-30) / 448.0
    tl.store(scale + row, worth, mask=there)
    code = (value / worth[:, None]).to(codes.dtype.element_ty)
    tl.store(codes + row[:, None] * m + column, code, mask=inside)


def variants() -> list[Variant]:
    """Return the kernel's variants for the released model: what norms, and what experts write."""
    types = {"x": "*bf16", "codes": "*fp8e4nv", "scale": "*fp32", "count": "i32"}
    found = []
    for width in (2816, 704):
        rows, block, warps = row_tile(width)
        shape = {"stride": width, "m": width, "ROWS": rows, "BLOCK": block}
        name, targets = f"round {width}", (89, 90, 120)
        found.append(Variant(name, _round_kernel, types, shape, warps, targets=targets))
    return found
