"""A frozen matrix with low-rank changes beside it (LoRA, arXiv 2106.09685), for one reading or all.

`x W^T + s · x A^T B^T`: in training no gradient of W's shape is computed, so that a step costs two
thirds of one that trains W. At inference it lets the canvas's reading share the causal one's
matrices: for Gemma 3 270M the changes of rank 16 take 8 MB, where separate matrices would take 200
MB of the gigabyte that an engine has. They are 4% of the multiplications, but what they add is read
and written once more: four canvases of 32 slots after 300 tokens take 1.3 times as long (210 ms
against 162, one busy core of a Xeon with AMX); one product that adds in place is no faster.

A matrix whose two readings have changes of their own is one inside another. Knows nothing of
layers, nor of what form the matrix has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.packed import Packed
from dgedit_kernels.quantised import Quantised

Matrix = Tensor | Quantised | Packed


@dataclass(frozen=True, slots=True)
class LowRank:
    """The low-rank change of some of a matrix's rows; r is the rank."""

    rows: tuple[int, int]
    """The half-open range of the rows."""
    a: Tensor
    """(r, m)."""
    b: Tensor
    """(rows, r)."""


@dataclass(slots=True)
class Adapted:
    """A matrix (n, m) and the changes of its rows, sorted by rows and without overlap."""

    weight: Matrix | Adapted
    """(n, m); with the other reading's changes beside it, where both have their own."""
    changes: tuple[LowRank, ...]
    """At least one."""
    scale: float
    """alpha / r."""
    causal: bool | None = True
    """Which reading is changed: True the causal one, False the canvas's, None both."""
    active: bool = True
    """False: the matrix alone, as the base has it."""

    @property
    def shape(self) -> torch.Size:
        """(n, m)."""
        return self.weight.shape

    def changes_reading(self, causal: bool) -> bool:
        """Say whether the changes are of the reading, and active."""
        return self.active and self.causal in (None, causal)

    def added(self, y: Tensor, x: Tensor) -> Tensor:
        """Return y (…, n), the product of x (…, m) with the matrix, plus what the changes add to
        it.
        """
        narrow = torch.bfloat16 in (x.dtype, y.dtype, self.changes[0].a.dtype)
        dtype = torch.bfloat16 if narrow else x.dtype
        low = F.linear(x.to(dtype), self._first.to(dtype))  # (…, R)
        parts, done, column = [], 0, 0
        for one in self.changes:
            first, last = one.rows
            if first > done:
                parts.append(low.new_zeros(*low.shape[:-1], first - done))
            rank = one.a.shape[0]
            own = low[..., column : column + rank]
            # the factor on the smaller tensor
            own = own if self.scale == 1 else own * self.scale
            parts.append(F.linear(own, one.b.to(dtype)))
            done, column = last, column + rank
        if done < self.shape[0]:
            parts.append(low.new_zeros(*low.shape[:-1], self.shape[0] - done))
        return y + (torch.cat(parts, -1) if len(parts) > 1 else parts[0]).to(y.dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """Return the matrix with its changes added, (n, m) fp32."""
        assert isinstance(self.weight, Tensor), "codes are not changed in place"
        merged = self.weight.float().clone()
        for one in self.changes:
            merged[slice(*one.rows)] += self.scale * one.b.float() @ one.a.float()
        return merged

    @property
    def _first(self) -> Tensor:
        """The A of all changes, stacked: (R, m)."""
        if len(self.changes) == 1:
            return self.changes[0].a
        return torch.cat([one.a for one in self.changes])


def joined(changes: Sequence[LowRank], rows: int, scale: float, dtype: torch.dtype) -> LowRank:
    """Join the changes of a matrix of `rows` rows into one change, which takes two products: their
    B in blocks, zeros around them. `scale` is multiplied into B.
    """
    a = torch.cat([one.a for one in changes]).to(dtype)
    b = a.new_zeros(rows, len(a))
    column = 0
    for one in changes:
        rank = one.a.shape[0]
        b[slice(*one.rows), column : column + rank] = (one.b * scale).to(dtype)
        column += rank
    return LowRank((0, rows), a, b)
