"""LayerNorm over the last dimension, alone or behind a branch that is added to what it norms.

Its weight is one vector, the factors before what is added to them. Knows no layers. On a GPU every
row is read once, as in `norm.py`, which is this without a mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import Product, added
from dgedit_kernels.decode import place as in_planes
from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, row_tile, tl, triton
from dgedit_kernels.norm import BranchParts, branch_parts, in_rows
from dgedit_kernels.qmatmul import whole


def layer_norm(x: Tensor, weight: Tensor, eps: float, *, planes: int = 1) -> Tensor:
    """Return `(x - mean(x)) / sqrt(var(x) + eps) · w + b` in x's dtype; x (…, D), weight (2 D,): w
    and b. Source: Ba et al., arXiv 1607.06450.

    The kernel computes in fp32 and writes its columns in so many `planes` (`decode.planes`).
    """
    if on_gpu(x) and not torch.is_grad_enabled():
        return layer_norm_triton(x, weight, eps, planes=planes)
    assert planes == 1, "planes are a kernel's"
    return layer_norm_reference(x, weight, eps)


def residual_layer_norm(
    x: Tensor, y: Product, bias: Tensor, weight: Tensor, eps: float, *, planes: int = 1
) -> tuple[Tensor, Tensor]:
    """Return `r = x + y + bias` and `layer_norm(r)`, both (…, D) in x's dtype: x, y (…, D), bias
    (D,), weight (2 D,). The kernel adds the parts of a product that has not been summed.
    """
    if on_gpu(x) and not torch.is_grad_enabled():
        return residual_layer_norm_triton(x, y, bias, weight, eps, planes=planes)
    assert planes == 1, "planes are a kernel's"
    return residual_layer_norm_reference(x, y, bias, weight, eps)


def layer_norm_reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Compute `layer_norm` in PyTorch."""
    return F.layer_norm(x, (x.shape[-1],), *weight.to(x.dtype).chunk(2), eps)


def residual_layer_norm_reference(
    x: Tensor, y: Product, bias: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Compute `residual_layer_norm` in PyTorch."""
    x = x + whole(y, x.dtype) + bias.to(x.dtype)
    return x, layer_norm_reference(x, weight, eps)


def layer_norm_triton(x: Tensor, weight: Tensor, eps: float, *, planes: int = 1) -> Tensor:
    """Compute `layer_norm` by a kernel."""
    return _launched(x, BranchParts(None), None, weight, eps, planes)[1]


def residual_layer_norm_triton(
    x: Tensor, y: Product, bias: Tensor, weight: Tensor, eps: float, *, planes: int = 1
) -> tuple[Tensor, Tensor]:
    """Compute `residual_layer_norm` by a kernel."""
    return _launched(x, branch_parts(y), bias.contiguous(), weight, eps, planes)


def _launched(
    x: Tensor, y: BranchParts, bias: Tensor | None, weight: Tensor, eps: float, planes: int
) -> tuple[Tensor, Tensor]:
    rows = in_rows(x)
    out = rows.new_empty(rows.shape)
    total = out if bias is None else rows.new_empty(rows.shape)
    tile, block, warps = row_tile(rows.shape[1])
    launch(_layer_norm_kernel, (divided(len(rows), tile),))(
        *(rows, y.values, y.row, bias, weight.contiguous(), total, out),
        *(rows.stride(0), y.stride, y.apart, len(rows), eps),
        *(rows.shape[1], tile, block, y.count, planes),
        num_warps=warps,
    )
    return total.view(x.shape), out.view(x.shape)


@triton.jit
def _layer_norm_kernel(
    x,
    y,
    y_row,
    bias,
    weight,
    total,
    out,
    x_stride,
    y_stride,
    y_apart,
    count,
    eps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    Y_PARTS: tl.constexpr,
    PLANES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.arange(0, BLOCK)[None, :]
    wide = place < D
    inside = (row < count) & wide
    value = tl.load(x + row * x_stride + place, mask=inside, other=0.0).to(tl.float32)
    if y is not None:
        value += added(y + row * y_stride + place, y_row, y_apart, place, inside, wide, Y_PARTS)
        value += tl.load(bias + place, mask=wide, other=0.0).to(tl.float32)
    scale = tl.load(weight + place, mask=wide, other=0.0)
    shift = tl.load(weight + D + place, mask=wide, other=0.0)
    if y is not None:
        tl.store(total + row * D + place, value.to(total.dtype.element_ty), mask=inside)
    value = tl.where(wide, value - tl.sum(value, 1, keep_dims=True) / D, 0.0)
    value *= tl.rsqrt(tl.sum(value * value, 1, keep_dims=True) / D + eps)
    value = value * scale.to(tl.float32) + shift.to(tl.float32)
    to = out + row * D + in_planes(place, D, PLANES)
    tl.store(to, value.to(out.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernel's variant for StarCoder2 3B: a layer's end, of a product in parts, before
    one with 8 bits.
    """
    types = {"x": "*bf16", "y": "*fp32", "y_row": "*fp32", "bias": "*bf16", "weight": "*bf16"}
    types |= {"total": "*bf16", "out": "*bf16", "count": "i32", "eps": "fp32"}
    tile, block, warps = row_tile(3072)
    # strides are constants here, since a launch sees by itself that 16 divides them
    given = {"x_stride": 3072, "y_stride": 8 * 3072, "y_apart": 3072, "D": 3072}
    given |= {"ROWS": tile, "BLOCK": block, "Y_PARTS": 3, "PLANES": 2}
    return [Variant("residual_layer_norm", _layer_norm_kernel, types, given, warps)]
