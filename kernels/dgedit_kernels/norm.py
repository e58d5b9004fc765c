"""Root-mean-square norms over the last dimension, alone or with the operations around them.

Knows no layers and no dtypes of its own. On a GPU every row is read once: what is added before a
norm and what multiplies behind it cost no further pass over memory, and a program loads all that it
needs before the first of its sums, so that it waits for memory once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, tl, triton
from dgedit_kernels.norm_backward import residual_norm_trained, rms_norm_trained

_OUTPUTS = 3
"""Most scaled norms of one row: the dense MLP's, the experts' and the router's."""


def rms_norm(x: Tensor, weight: Tensor | None, eps: float, *, plus: Tensor | None = None) -> Tensor:
    """Return `x / sqrt(mean(x²) + eps) · weight`, computed in fp32, in x's dtype. x (…, D), weight
    (D,) or None. With `plus` (…, D): of x + plus.

    The weight multiplies as it is, not as 1 + weight (Gemma 4). Source: Zhang & Sennrich, arXiv
    1910.07467.
    """
    if on_gpu(x) and not torch.is_grad_enabled():
        return rms_norm_triton(x, weight, eps, plus=plus)
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
    y: Tensor | tuple[Tensor, Tensor],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Add a branch to the residual stream, and norm the sum for those who read it next.

    Returns `r = (x + rms_norm(y) · weight) · scalar` and `rms_norm(r) · w` for each w of `weights`
    (at most 3), all (…, D) in x's dtype. With `inner`, y is two branches and stands for
    `rms_norm(y[0]) · inner[0] + rms_norm(y[1]) · inner[1]`. x, y (…, D); every weight (D,), of any
    dtype; scalar one number on the device. Without a `weight` the branch is added as it is (Llama).

    The kernel computes in fp32 and rounds once, at its outputs. The PyTorch path rounds behind each
    operation: in bfloat16 the two differ by a few units in the last place.
    """
    path = residual_norm_reference
    if _trained(x) and isinstance(y, Tensor) and weight is not None:
        return residual_norm_trained(x, y, weight, eps, scalar=scalar, weights=weights)
    if on_gpu(x) and not torch.is_grad_enabled():
        path = residual_norm_triton
    return path(x, y, weight, eps, inner=inner, scalar=scalar, weights=weights)


def residual_norm_reference(
    x: Tensor,
    y: Tensor | tuple[Tensor, Tensor],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Compute `residual_norm` in PyTorch."""
    first, second = _branches(y, inner)
    branch = _as(first, x)
    if inner is not None and second is not None:
        branch = rms_norm(branch, inner[0], eps) + rms_norm(_as(second, x), inner[1], eps)
    x = x + (branch if weight is None else rms_norm(branch, weight, eps))
    if scalar is not None:
        x = x * _as(scalar, x)
    if len(weights) < 2:
        return x, [rms_norm(x, each, eps) for each in weights]
    normed = rms_norm(x, None, eps)  # once for all
    return x, [normed * _as(each, x) for each in weights]


def rms_norm_triton(
    x: Tensor, weight: Tensor | None, eps: float, *, plus: Tensor | None = None
) -> Tensor:
    """Compute `rms_norm` by a kernel."""
    rows, more = _rows(x), None if plus is None else _rows(plus)
    out = rows.new_empty(rows.shape)
    tile, block, warps = _tile(rows.shape[1])
    launch(_rms_norm_kernel, (divided(len(rows), tile),))(
        *(rows, more, None if weight is None else weight.contiguous(), out),
        *(rows.stride(0), 0 if more is None else more.stride(0), len(rows), eps),
        *(rows.shape[1], tile, block),
        num_warps=warps,
    )
    return out.view(x.shape)


def residual_norm_triton(
    x: Tensor,
    y: Tensor | tuple[Tensor, Tensor],
    weight: Tensor | None,
    eps: float,
    *,
    inner: tuple[Tensor, Tensor] | None = None,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Compute `residual_norm` by a kernel."""
    assert len(weights) <= _OUTPUTS, len(weights)
    none = [None] * (_OUTPUTS - len(weights))
    first, second = _branches(y, inner)
    rows, one, two = _rows(x), _rows(first), None if second is None else _rows(second)
    out, *normed = (rows.new_empty(rows.shape) for _ in range(1 + len(weights)))
    tile, block, warps = _tile(rows.shape[1])
    launch(_residual_norm_kernel, (divided(len(rows), tile),))(
        *(rows, one, two, None if weight is None else weight.contiguous()),
        *((None, None) if inner is None else (each.contiguous() for each in inner)),
        *(scalar, *(each.contiguous() for each in weights), *none, out, *normed, *none),
        *(rows.stride(0), one.stride(0), 0 if two is None else two.stride(0), len(rows), eps),
        *(rows.shape[1], tile, block),
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
    y: Tensor | tuple[Tensor, Tensor], inner: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor | None]:
    if isinstance(y, Tensor):
        assert inner is None, "two inner weights for one branch"
        return y, None
    assert inner is not None, "two branches without weights of their own"
    return y


def _rows(x: Tensor) -> Tensor:
    """x (…, D) -> (rows, D), copied only where a row is not in one piece."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _tile(width: int) -> tuple[int, int, int]:
    """Rows of a program, their padded width, and warps.

    A thread holds 8 to 16 numbers of a row, one or two loads of 16 bytes in bfloat16, and narrow
    rows share a program (4 of 256). At D 2816 that is a row in 8 warps: 256 slots are two programs
    for each of 132 processors, all resident. Up to D 16,384 a row stays in registers; beyond, some
    of it spills.
    """
    block = triton.next_power_of_2(width)
    rows = max(1, 1024 // block)
    return rows, block, min(16, max(4, rows * block // 512))


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
    tl.store(out + row * D + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _residual_norm_kernel(
    x,
    y,
    z,
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
    count,
    eps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    place = tl.arange(0, BLOCK)[None, :]
    wide = place < D
    inside = (row < count) & wide
    to = row * D + place
    value = tl.load(x + row * x_stride + place, mask=inside, other=0.0).to(tl.float32)
    branch = tl.load(y + row * y_stride + place, mask=inside, other=0.0).to(tl.float32)
    if z is not None:
        second = tl.load(z + row * z_stride + place, mask=inside, other=0.0).to(tl.float32)
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
        tl.store(out_0 + to, one.to(out_0.dtype.element_ty), mask=inside)
    if weight_1 is not None:
        one = value * scale_1.to(tl.float32)
        tl.store(out_1 + to, one.to(out_1.dtype.element_ty), mask=inside)
    if weight_2 is not None:
        one = value * scale_2.to(tl.float32)
        tl.store(out_2 + to, one.to(out_2.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernels' variants. For the released width: a plain norm, and a layer's two ends.
    For Gemma 3 270M, whose norms are fp32, and for Qwen2 7B, which adds branches plainly: an end.
    """
    shape = {"D": 2816, "ROWS": 1, "BLOCK": 4096}
    # strides are constants here, since a launch sees by itself that 16 divides them
    alone = {"plus": None, "x_stride": 2816, "plus_stride": 0}
    plain = {"x": "*bf16", "weight": "*bf16", "out": "*bf16", "count": "i32", "eps": "fp32"}
    strides = {"x_stride": 2816, "y_stride": 2816, "z_stride": 2816}
    ends = {"x": "*bf16", "y": "*bf16", "weight": "*bf16", "weight_0": "*bf16", "out": "*bf16"}
    ends |= {"out_0": "*bf16", "count": "i32", "eps": "fp32"}
    three = {"weight_1": "*bf16", "weight_2": "*fp32", "out_1": "*bf16", "out_2": "*bf16"}
    two = {"z": "*bf16", "y_weight": "*bf16", "z_weight": "*bf16", "scalar": "*bf16"}
    kernel = _residual_norm_kernel
    return [
        Variant("rms_norm", _rms_norm_kernel, plain, {**alone, **shape}, warps=8),
        Variant(
            "residual_norm attention",
            kernel,
            ends | three,
            strides | dict.fromkeys(two) | shape,
            warps=8,
        ),
        Variant(
            "residual_norm feed",
            kernel,
            ends | two,
            strides | dict.fromkeys(three) | shape,
            warps=8,
        ),
        Variant(
            "residual_norm gemma3",
            kernel,
            ends | {"weight": "*fp32", "weight_0": "*fp32"},
            {"x_stride": 640, "y_stride": 640, "z_stride": 0, "D": 640, "ROWS": 1, "BLOCK": 1024}
            | dict.fromkeys((*two, *three)),
        ),
        Variant(
            "residual_norm llama",
            kernel,
            ends,
            {"x_stride": 3584, "y_stride": 3584, "z_stride": 0, "D": 3584, "ROWS": 1}
            | {"BLOCK": 4096, "weight": None}
            | dict.fromkeys((*two, *three)),
            warps=8,
        ),
    ]
