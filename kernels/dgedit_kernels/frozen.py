"""Products with frozen quantised matrices, with a written backward: a gradient for the input alone.

Differentiated op by op, every product would keep its matrix as numbers until the backward pass:
with 128 experts in each of 30 layers, the whole model once more, in four times its bits. Here
nothing is kept but the codes, which are there anyway. The matrix is dequantised in the forward pass
and again in the backward one, so that of a stack of experts no more than one is ever there as
numbers, and of a large matrix no more than some of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dgedit_kernels.quantised import Quantised

ENTRIES = 4 << 20
"""Entries dequantised at a time: in fp32 they are 16 MB."""


def frozen_product(
    x: Tensor, weight: Quantised, multiply: Callable[[Tensor, Quantised], Tensor]
) -> Tensor:
    """Multiply x (…, m) by weight (n, m) -> (…, n) in x's dtype, differentiable for x. `multiply`
    does so without a gradient.
    """
    out: Tensor = _FrozenProduct.apply(x, weight, multiply)
    return out


def rows_of(weight: Quantised) -> Iterator[slice]:
    """Yield slices of a matrix's rows (n, m), few enough to dequantise together."""
    step = max(1, ENTRIES // weight.shape[1])
    return (slice(start, start + step) for start in range(0, weight.shape[0], step))


class _FrozenProduct(torch.autograd.Function):
    """`y = x W^T`, and `dx = dy W`, the sum over slices of rows in fp32."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Quantised, multiply: Callable[[Tensor, Quantised], Tensor]
    ) -> Tensor:
        ctx.weight = weight
        return multiply(x, weight)  # in here no gradient is wanted, so kernels may run

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None]:
        weight: Quantised = ctx.weight
        if weight.shape[0] * weight.shape[1] <= ENTRIES:
            return dy @ weight.dequantised(dy.dtype), None, None
        dx = dy.new_zeros(*dy.shape[:-1], weight.shape[1], dtype=_wide(dy))
        for part in rows_of(weight):
            dx += dy[..., part] @ weight[part].dequantised(dy.dtype)
        return dx.to(dy.dtype), None, None


def _wide(x: Tensor) -> torch.dtype:
    """fp32, or fp64 where x has that."""
    return torch.promote_types(x.dtype, torch.float32)
