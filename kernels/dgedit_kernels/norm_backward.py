"""Root-mean-square norms for training on a CPU: with a written backward, computed in fp32.

Differentiated op by op, the norms cost a trainer more than its matrix products: each operation
keeps a tensor and passes over memory twice. Here a norm keeps its input and one number a row, and
both directions go over a few rows at a time, so that all but the first read comes from the cache.
The functions have the signatures of `norm.rms_norm` and `norm.residual_norm`, which call them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK = 1 << 16  # numbers of a tensor at a time: 256 KiB in fp32, a few of which fit an L2 cache


def rms_norm_trained(
    x: Tensor, weight: Tensor | None, eps: float, *, plus: Tensor | None = None
) -> Tensor:
    """Compute `rms_norm`, with a written backward."""
    out: Tensor = _RmsNorm.apply(x if plus is None else x + plus.to(x.dtype), weight, eps)
    return out


def residual_norm_trained(
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    eps: float,
    *,
    scalar: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Compute `residual_norm` of one branch, with a written backward."""
    out, *normed = _ResidualNorm.apply(x, y, weight, scalar, eps, *weights)
    return out, normed


class _RmsNorm(torch.autograd.Function):
    """`y = x · r · w` with `r = (mean(x²) + eps)^(-1/2)`, a number a row.

    Given dy, with `g = dy · w`:  `dx = r · g - r³ · x · mean(g · x)`  and  `dw = Σ dy · x · r` over
    the rows.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        rows, wide = _flat(x), _wide(x)
        out, scale = torch.empty_like(rows), rows.new_empty(len(rows), 1, dtype=wide)
        w = None if weight is None else weight.to(wide)
        for part in _parts(rows):
            normed = _scaled(rows[part].to(wide), scale[part], eps)
            out[part] = normed if w is None else normed.mul_(w)
        ctx.save_for_backward(x, weight, scale)
        return out.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        rows, given, wide = _flat(x), _flat(dy), scale.dtype
        w = None if weight is None else weight.to(wide)
        dx = torch.empty_like(rows)
        dw = torch.zeros_like(w) if w is not None and ctx.needs_input_grad[1] else None
        for part in _parts(rows):
            g = given[part].to(wide, copy=True)
            dx[part] = _back(rows[part].to(wide), scale[part], w, g, dw)
        return dx.view(x.shape), None if dw is None else dw.to(weight.dtype), None


class _ResidualNorm(torch.autograd.Function):
    """`r = (x + norm(y) · w) · s`  and  `n_i = norm(r) · w_i`.

    Given dr and every dn_i: `d = dr + Σ`, the backward of `norm(r) · w_i` each;  `dx = s · d`,
    `ds = Σ d · (x + norm(y) · w)`, and dy and dw are those of `norm(y) · w`, given `s · d`. Kept
    are x where s is trained, y, r, and a number a row for each norm.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        weight: Tensor,
        scalar: Tensor | None,
        eps: float,
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        rows, branch, wide = _flat(x), _flat(y), _wide(x)
        out, *normed = (torch.empty_like(rows) for _ in range(1 + len(weights)))
        scales = rows.new_empty(2, len(rows), 1, dtype=wide)
        w, readers = weight.to(wide), [each.to(wide) for each in weights]
        for part in _parts(rows):
            total = _scaled(branch[part].to(wide), scales[0, part], eps)
            total.mul_(w).add_(rows[part])
            if scalar is not None:
                total *= scalar.to(wide)
            out[part] = total
            if readers:
                total = _scaled(total, scales[1, part], eps)
            for each, to in zip(readers, normed, strict=True):
                to[part] = total * each
        kept = x if scalar is not None and ctx.needs_input_grad[3] else None
        ctx.set_materialize_grads(False)
        found = [each.view(x.shape) for each in (out, *normed)]
        ctx.save_for_backward(kept, y, weight, scalar, found[0], scales, *weights)
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dr: Tensor | None, *dn: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, weight, scalar, r, scales, *weights = ctx.saved_tensors
        wide, wanted = scales.dtype, ctx.needs_input_grad
        total, branch, w = _flat(r), _flat(y), weight.to(wide)
        readers = [
            (_flat(given), each.to(wide), torch.zeros_like(each, dtype=wide) if want else None)
            for given, each, want in zip(dn, weights, wanted[5:], strict=True)
            if given is not None
        ]
        dx, dy = torch.empty_like(total), torch.empty_like(branch)
        dw = torch.zeros_like(w) if wanted[2] else None
        ds = None if x is None else torch.zeros((), dtype=wide)
        for part in _parts(total):
            if dr is None:
                d = torch.zeros_like(total[part], dtype=wide)
            else:
                d = _flat(dr)[part].to(wide, copy=True)
            d = _sum_back(d, total[part], scales[1, part], readers, part)
            if ds is not None:
                before = branch[part].to(wide) * scales[0, part] * w + _flat(x)[part]
                ds += (d * before).sum()
            if scalar is not None:
                d *= scalar.to(wide)
            dx[part] = d
            dy[part] = _back(branch[part].to(wide), scales[0, part], w, d, dw)
        given = iter([dw for _, _, dw in readers])
        trained = [None if one is None else next(given) for one in dn]
        return (
            dx.view(r.shape),
            dy.view(y.shape),
            _like(dw, weight),
            None if ds is None else ds.to(scalar.dtype).view(scalar.shape),
            None,
            *(_like(one, each) for one, each in zip(trained, weights, strict=True)),
        )


Reader = tuple[Tensor, Tensor, Tensor | None]
"""For a norm's reader: its output's gradient, its weight, and the sum of the weight's gradient."""


def _sum_back(
    d: Tensor, r: Tensor, scale: Tensor, readers: Sequence[Reader], part: slice
) -> Tensor:
    """Add to d the gradient through the norm of r, whose readers share its one number a row."""
    wide = r.to(d.dtype)
    for given, weight, dw in readers:
        d += _back(wide, scale, weight, given[part].to(d.dtype, copy=True), dw)
    return d


def _scaled(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """Return x · r, and write r to `scale`."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    torch.rsqrt(norm.square_().div_(x.shape[-1]).add_(eps), out=scale)
    return x * scale


def _back(x: Tensor, scale: Tensor, weight: Tensor | None, dy: Tensor, dw: Tensor | None) -> Tensor:
    """Return the gradient for x, in the memory of dy; add the weight's to `dw`."""
    product = dy * x
    if dw is not None:
        dw += product.mT @ scale[:, 0]
    if weight is None:
        mean = product.sum(-1, keepdim=True)
    else:
        mean = product @ weight[:, None]
        dy *= weight
    return dy.mul_(scale).addcmul_(x, mean.mul_(scale.pow(3)).div_(x.shape[-1]), value=-1)


def _like(gradient: Tensor | None, weight: Tensor) -> Tensor | None:
    return None if gradient is None else gradient.to(weight.dtype)


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _wide(x: Tensor) -> torch.dtype:
    """fp32, or fp64 where x has that."""
    return torch.promote_types(x.dtype, torch.float32)


def _parts(rows: Tensor) -> Iterator[slice]:
    """Yield slices of a few rows each."""
    step = max(1, _CHUNK // rows.shape[1])
    return (slice(start, start + step) for start in range(0, len(rows), step))
