"""Root-mean-square norm over the last dimension, alone or with what stands around it in a layer.

On a GPU a row is one program's work and is read once: what is added to it before, and what
multiplies it behind, costs no further pass over memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, on_gpu, tl, triton


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """`x / sqrt(mean(x²) + eps) · weight`, computed in fp32, in x's dtype. x (…, D), weight (D,) or
    None.

    The weight multiplies as it is, not as 1 + weight (Gemma 4). Source: Zhang & Sennrich, arXiv
    1910.07467.
    """
    if on_gpu(x) and not torch.is_grad_enabled():
        return rms_norm_triton(x, weight, eps)
    if weight is not None and weight.dtype != x.dtype:
        weight = weight.to(x.dtype)
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rms_norm_reference(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The formula as it is written, for tests."""
    y = x.float() * torch.pow(x.float().pow(2).mean(-1, keepdim=True) + eps, -0.5)
    return (y if weight is None else y * weight.float()).to(x.dtype)


def rms_norm_triton(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The same by a kernel."""
    width = x.shape[-1]
    rows = x.reshape(-1, width)
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    out = torch.empty_like(rows, memory_format=torch.contiguous_format)
    block = triton.next_power_of_2(width)
    _rms_norm_kernel[(len(rows),)](
        rows, weight, out, rows.stride(0), eps, width, block, num_warps=_warps(block)
    )
    return out.view(x.shape)


def _warps(block: int) -> int:
    return max(1, min(8, block // 512))


@triton.jit
def _rms_norm_kernel(x, weight, out, stride, eps, D: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    inside = place < D
    value = tl.load(x + row * stride + place, mask=inside, other=0.0).to(tl.float32)
    value *= tl.rsqrt(tl.sum(value * value, 0) / D + eps)
    if weight is not None:
        value *= tl.load(weight + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * D + place, value.to(out.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """For the released width."""
    types = {"x": "*bf16", "weight": "*bf16", "out": "*bf16", "stride": "i32", "eps": "fp32"}
    return [Variant("rms_norm", _rms_norm_kernel, types, {"D": 2816, "BLOCK": 4096}, warps=8)]
