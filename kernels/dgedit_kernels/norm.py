"""Root-mean-square norms over the last dimension, alone or with the operations around them.

Knows no layers and no dtypes of its own. On a GPU every row is read once: what is added before a
norm and what multiplies behind it cost no further pass over memory, and a program loads all that it
needs before the first of its sums, so that it waits for memory once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import FEW, Product, Unsummed, added
from dgedit_kernels.decode import place as in_planes
from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, row_tile, tl, triton
from dgedit_kernels.norm_backward import residual_norm_trained, rms_norm_trained
from dgedit_kernels.qmatmul import whole

_OUTPUTS = 3
"""Most scaled norms of one row: the dense MLP's, the experts' and the router's."""


def rms_norm(
    x: Tensor,
    weight: Tensor | None,
    eps: float,
    *,
    plus: Tensor | None = None,
    planes: int = 1,
) -> Tensor:
    """Return `x / sqrt(mean(x²) + eps) · weight`, computed in fp32, in x's dtype. x (…, D), weight
    (D,) or None. With `plus` (…, D): of x + plus. A kernel writes its columns in so many `planes`
    (`decode.planes`), for a product that reads it next.

    The weight multiplies as it is, not as 1 + weight (Gemma 4). Source: Zhang & Sennrich, arXiv
    1910.07467.
    """
    if on_gpu(x) and not torch.is_grad_enabled():
        return rms_norm_triton(x, weight, eps, plus=plus, planes=planes)
    assert planes == 1, "planes are a kernel's"
    if _trained(x):
        return rms_norm_trained(x, weight, eps, plus=plus)
    x = x if plus is None else x + _as(plus, x)
    return F.rms_norm(x, (x.shape[-1],), None if weight is None else _as(weight, x), eps)


def rms_norm_reference(
    x: Tensor, weight: Tensor | None, eps: float, *, plus: Tensor | None = None
) -> Tensor:
    """Compute `rms_norm` as the formula is written, for tests."""
    wide = x.float() if plus is None else x.float() + plus.float()
    y = wide * torch.pow(wide.pow(2).mean(-1, keepdim=True) + eps, -0.5)
    return (y if weight is None else y * weight.float()).to(x.dtype)


def residual_norm(
    x: Tensor,
    y: Product | tuple[Product, Product],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
    planes: Sequence[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Add a branch to the residual stream, and norm the sum for those who read it next.

    Returns `r = (x + rms_norm(y) · weight) · scalar` and `rms_norm(r) · w` for each w of `weights`
    (at most 3), all (…, D) in x's dtype. With `inner`, y is two branches and stands for
    `rms_norm(y[0]) · inner[0] + rms_norm(y[1]) · inner[1]`. x, y (…, D); every weight (D,), of any
    dtype; scalar one number on the device. Without a `weight` the branch is added as it is (Llama).
    A kernel writes the columns of each norm in so many `planes` (`decode.planes`; none given: 1),
    and adds the parts of a product that has not been summed.

    The kernel computes in fp32 and rounds once, at its outputs. The PyTorch path rounds behind each
    operation: in bfloat16 the two differ by a few units in the last place.
    """
    path: Callable[..., tuple[Tensor, list[Tensor]]] = residual_norm_reference
    if _trained(x) and isinstance(y, Tensor) and weight is not None:
        return residual_norm_trained(x, y, weight, eps, scalar=scalar, weights=weights)
    if on_gpu(x) and not torch.is_grad_enabled():
        path = partial(residual_norm_triton, planes=planes)
    return path(x, y, weight, eps, inner=inner, scalar=scalar, weights=weights)


def residual_norm_reference(
    x: Tensor,
    y: Product | tuple[Product, Product],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Compute `residual_norm` in PyTorch."""
    first, second = _branches(y, inner)
    branch = whole(first, x.dtype)
    if inner is not None and second is not None:
        branch = rms_norm(branch, inner[0], eps)
        branch = branch + rms_norm(whole(second, x.dtype), inner[1], eps)
    x = x + (branch if weight is None else rms_norm(branch, weight, eps))
    if scalar is not None:
        x = x * _as(scalar, x)
    if len(weights) < 2:
        return x, [rms_norm(x, each, eps) for each in weights]
    normed = rms_norm(x, None, eps)  # once for all
    return x, [normed * _as(each, x) for each in weights]


def rms_norm_triton(
    x: Tensor,
    weight: Tensor | None,
    eps: float,
    *,
    plus: Tensor | None = None,
    planes: int = 1,
) -> Tensor:
    """Compute `rms_norm` by a kernel."""
    rows, more = in_rows(x), None if plus is None else in_rows(plus)
    out = rows.new_empty(rows.shape)
    tile, block, warps = row_tile(rows.shape[1])
    launch(_rms_norm_kernel, (divided(len(rows), tile),))(
        *(rows, more, None if weight is None else weight.contiguous(), out),
        *(rows.stride(0), 0 if more is None else more.stride(0), len(rows), eps),
        *(rows.shape[1], tile, block, planes),
        num_warps=warps,
    )
    return out.view(x.shape)


def residual_norm_triton(
    x: Tensor,
    y: Product | tuple[Product, Product],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
    planes: Sequence[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Compute `residual_norm` by a kernel."""
    assert len(weights) <= _OUTPUTS, len(weights)
    none = [None] * (_OUTPUTS - len(weights))
    first, second = _branches(y, inner)
    rows, one = in_rows(x), branch_parts(first)
    two = _NONE if second is None else branch_parts(second)
    out, *normed = (rows.new_empty(rows.shape) for _ in range(1 + len(weights)))
    tile, block, warps = row_tile(rows.shape[1])
    launch(_residual_norm_kernel, (divided(len(rows), tile),))(
        *(rows, one.values, two.values, one.row, two.row),
        *(None if weight is None else weight.contiguous(),),
        *((None, None) if inner is None else (each.contiguous() for each in inner)),
        *(scalar, *(each.contiguous() for each in weights), *none, out, *normed, *none),
        *(rows.stride(0), one.stride, two.stride, one.apart, two.apart, len(rows), eps),
        *(rows.shape[1], tile, block, one.count, two.count),
        *(planes or (1,) * len(weights)),
        *(1,) * len(none),
        num_warps=warps,
    )
    return out.view(x.shape), [each.view(x.shape) for each in normed]


def _trained(x: Tensor) -> bool:
    """Say whether a written backward is wanted: on a GPU torch has one, a compiler makes one."""
    return torch.is_grad_enabled() and not x.is_cuda and not torch.compiler.is_compiling()


def _as(weight: Tensor, x: Tensor) -> Tensor:
    """The weight in x's dtype; asking first costs a fifth of a `to` that does nothing."""
    return weight if weight.dtype == x.dtype else weight.to(x.dtype)


def _branches(
    y: Product | tuple[Product, Product], inner: tuple[Tensor, Tensor] | None
) -> tuple[Product, Product | None]:
    if isinstance(y, Tensor | Unsummed):
        assert inner is None, "two inner weights for one branch"
        return y, None
    assert inner is not None, "two branches without weights of their own"
    return y


def in_rows(x: Tensor) -> Tensor:
    """x (…, D) -> (rows, D), copied only where a row is not in one piece."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


class BranchParts(NamedTuple):
    """A branch as the kernel takes it."""

    values: Tensor | None
    """(rows, …): its numbers, or the parts of their sums."""
    row: Tensor | None = None
    """What multiplies the sums."""
    stride: int = 0
    """From row to row."""
    apart: int = 0
    """From part to part of a row."""
    count: int = 1
    """Parts of a row."""


_NONE = BranchParts(None)


def branch_parts(branch: Product) -> BranchParts:
    """Return a branch as a kernel takes it."""
    if isinstance(branch, Tensor):
        rows = in_rows(branch)
        return BranchParts(rows, None, rows.stride(0))
    parts = branch.parts
    assert parts.stride(2) == 1 and parts.shape[1] <= FEW, parts.shape
    return BranchParts(parts, branch.row, parts.stride(0), parts.stride(1), parts.shape[1])


@triton.jit
def _normed(x, eps, D: tl.constexpr):
    return x * tl.rsqrt(tl.sum(x * x, 1, keep_dims=True) / D + eps)


@triton.jit
def _rms_norm_kernel(
    x,
    plus,
    weight,
    out,
    x_stride,
    plus_stride,
    count,
    eps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PLANES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.arange(0, BLOCK)[None, :]
    inside = (row < count) & (place < D)
    value = tl.load(x + row * x_stride + place, mask=inside, other=0.0).to(tl.float32)
    if plus is not None:
        value += tl.load(plus + row * plus_stride + place, mask=inside, other=0.0).to(tl.float32)
    if weight is not None:
        scale = tl.load(weight + place, mask=place < D, other=0.0)
    value = _normed(value, eps, D)
    if weight is not None:
        value *= scale.to(tl.float32)
    to = out + row * D + in_planes(place, D, PLANES)
    tl.store(to, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _residual_norm_kernel(
    x,
    y,
    z,
    y_row,
    z_row,
    weight,
    y_weight,
    z_weight,
    scalar,
    weight_0,
    weight_1,
    weight_2,
    out,
    out_0,
    out_1,
    out_2,
    x_stride,
    y_stride,
    z_stride,
    y_apart,
    z_apart,
    count,
    eps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    Y_PARTS: tl.constexpr,
    Z_PARTS: tl.constexpr,
    PLANES_0: tl.constexpr,
    PLANES_1: tl.constexpr,
    PLANES_2: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.arange(0, BLOCK)[None, :]
    wide = place < D
    inside = (row < count) & wide
    to = row * D + place
    value = tl.load(x + row * x_stride + place, mask=inside, other=0.0).to(tl.float32)
    branch = added(y + row * y_stride + place, y_row, y_apart, place, inside, wide, Y_PARTS)
    if z is not None:
        second = added(z + row * z_stride + place, z_row, z_apart, place, inside, wide, Z_PARTS)
        y_scale = tl.load(y_weight + place, mask=wide, other=0.0)
        z_scale = tl.load(z_weight + place, mask=wide, other=0.0)
    if weight is not None:
        scale = tl.load(weight + place, mask=wide, other=0.0)
    if scalar is not None:
        factor = tl.load(scalar).to(tl.float32)
    if weight_0 is not None:
        scale_0 = tl.load(weight_0 + place, mask=wide, other=0.0)
    if weight_1 is not None:
        scale_1 = tl.load(weight_1 + place, mask=wide, other=0.0)
    if weight_2 is not None:
        scale_2 = tl.load(weight_2 + place, mask=wide, other=0.0)

    if z is not None:
        branch = _normed(branch, eps, D) * y_scale.to(tl.float32)
        branch += _normed(second, eps, D) * z_scale.to(tl.float32)
    if weight is not None:
        branch = _normed(branch, eps, D) * scale.to(tl.float32)
    value += branch
    if scalar is not None:
        value *= factor
    tl.store(out + to, value.to(out.dtype.element_ty), mask=inside)
    if weight_0 is not None:
        value = _normed(value, eps, D)
        one = value * scale_0.to(tl.float32)
        at = out_0 + row * D + in_planes(place, D, PLANES_0)
        tl.store(at, one.to(out_0.dtype.element_ty), mask=inside)
    if weight_1 is not None:
        one = value * scale_1.to(tl.float32)
        at = out_1 + row * D + in_planes(place, D, PLANES_1)
        tl.store(at, one.to(out_1.dtype.element_ty), mask=inside)
    if weight_2 is not None:
        one = value * scale_2.to(tl.float32)
        at = out_2 + row * D + in_planes(place, D, PLANES_2)
        tl.store(at, one.to(out_2.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernels' variants. For the released width: a plain norm, and a layer's two ends of
    products in parts, before products with 8 and 4 bits. An end for Gemma 3 270M, whose norms are
    fp32, and for Qwen2 7B, which adds branches plainly.
    """
    plain = {"x": "*bf16", "weight": "*bf16", "out": "*bf16", "count": "i32", "eps": "fp32"}
    alone = {"plus": None, "x_stride": 2816, "plus_stride": 0, "PLANES": 2}
    ends = {"x": "*bf16", "y": "*bf16", "weight": "*bf16", "weight_0": "*bf16", "out": "*bf16"}
    ends |= {"out_0": "*bf16", "count": "i32", "eps": "fp32"}
    three = {"weight_1": "*bf16", "weight_2": "*fp32", "out_1": "*bf16", "out_2": "*bf16"}
    two = {"z": "*bf16", "y_weight": "*bf16", "z_weight": "*bf16", "scalar": "*bf16"}
    summed = {"y": "*fp32", "y_row": "*fp32"}

    def end(name: str, width: int, types: dict[str, str], **more: Any) -> Variant:
        # strides are constants here, since a launch sees by itself that 16 divides them
        given = dict.fromkeys(("y_row", "z_row", "weight", *two, *three))
        given |= {"x_stride": width, "y_stride": width, "z_stride": 8 * width}
        given |= {"y_apart": 256 * width, "z_apart": width, "Y_PARTS": 1, "Z_PARTS": 1}
        given |= {"PLANES_0": 1, "PLANES_1": 1, "PLANES_2": 1, "D": width}
        rows, block, warps = row_tile(width)
        given |= {"ROWS": rows, "BLOCK": block, **more}
        given = {key: value for key, value in given.items() if key not in types}
        return Variant(f"residual_norm {name}", _residual_norm_kernel, types, given, warps)

    rows, block, warps = row_tile(2816)
    shape = {"D": 2816, "ROWS": rows, "BLOCK": block}
    parts = {"Y_PARTS": 3, "PLANES_0": 2}
    return [
        Variant("rms_norm", _rms_norm_kernel, plain, alone | shape, warps),
        end("attention", 2816, ends | three | summed, **parts, PLANES_1=4),
        end("feed", 2816, ends | two | summed, **parts, Z_PARTS=8),
        end("gemma3", 640, ends | {"weight": "*fp32", "weight_0": "*fp32"}),
        end("llama", 3584, {key: one for key, one in ends.items() if key != "weight"}),
    ]
