"""A frozen matrix with low-rank changes beside it that are trained (LoRA, arXiv 2106.09685).

`x W^T + s · x A^T B^T`: the gradient never meets W's shape, so that a step costs two thirds of one
that trains W. Knows nothing of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Change:
    """The change of some of a matrix's rows, of rank r."""

    rows: tuple[int, int]
    """Which: from the first up to the last, without it."""
    a: Tensor
    """(r, m), fp32."""
    b: Tensor
    """(rows, r), fp32."""


@dataclass(slots=True)
class Adapted:
    """A matrix (n, m) and its changes, by rows in ascending order, none twice."""

    weight: Tensor
    """(n, m)."""
    changes: tuple[Change, ...]
    """At least one."""
    scale: float
    """alpha / r."""
    active: bool = True
    """False: the matrix alone, as the base has it."""

    def product(self, x: Tensor) -> Tensor:
        """x (…, m) -> (…, n), in bfloat16 where x or the matrix is."""
        narrow = torch.bfloat16 in (x.dtype, self.weight.dtype)
        dtype = torch.bfloat16 if narrow else x.dtype
        x = x.to(dtype)
        y = F.linear(x, self.weight.to(dtype))
        if not self.active:
            return y
        low = F.linear(x, torch.cat([one.a for one in self.changes]).to(dtype))
        parts, done, column = [], 0, 0
        for one in self.changes:
            first, last = one.rows
            if first > done:
                parts.append(low.new_zeros(*low.shape[:-1], first - done))
            rank = one.a.shape[0]
            # the factor on the smaller tensor
            parts.append(F.linear(low[..., column : column + rank] * self.scale, one.b.to(dtype)))
            done, column = last, column + rank
        if done < y.shape[-1]:
            parts.append(low.new_zeros(*low.shape[:-1], y.shape[-1] - done))
        return y + (torch.cat(parts, -1) if len(parts) > 1 else parts[0])

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The matrix with its changes in it, (n, m) fp32."""
        merged = self.weight.float().clone()
        for one in self.changes:
            merged[slice(*one.rows)] += self.scale * one.b.float() @ one.a.float()
        return merged
