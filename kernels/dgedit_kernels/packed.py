"""Products on a CPU with weights that have int8 codes beside their numbers.

Knows no layer. Fast where rows are few: a product then takes the time to read its weights, of which
codes are half of bfloat16, and the library that takes them has less overhead. x is fp32 and
quantised on the way, at one scale for all its rows.

Measured on a Xeon with AMX, one thread, matrices of 256 and 512 columns: 16 rows take 0.45 to 0.75
of what they take in bfloat16, 256 rows 1.4 to 1.7; of fp32's time 16 rows take 0.2 to 0.6, and 256
rows 0.4 to 0.5.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ANY = 1 << 62
"""More rows than x can have."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A matrix (n, m), or a stack of one (1, n, m), with its int8 codes."""

    weight: Tensor
    """The numbers, bfloat16 or fp32, for products with many rows."""
    codes: Any
    """The same as int8 with a scale for each row, as torch's quantised products take them."""
    most: int
    """Rows of x up to which the codes are used."""
    reduced: bool
    """Whether x is quantised to 7 bits, so that sums of two products fit 16 bits."""

    @property
    def shape(self) -> torch.Size:
        """(n, m) or (1, n, m)."""
        return self.weight.shape

    def __getitem__(self, index: int) -> Packed:
        """Return the matrix of a stack."""
        return Packed(self.weight[index], self.codes, self.most, self.reduced)


def available() -> bool:
    """Say whether this machine and this torch have such products."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.quantized.engine in ("x86", "fbgemm")
        and hasattr(torch.ops.quantized, "linear_dynamic")
        and hasattr(torch, "quantize_per_channel")
    )


def packed(weight: Tensor, *, most: int = ANY, dtype: torch.dtype = torch.float32) -> Packed:
    """Pack the weight (n, m) or (1, n, m): codes, used for up to `most` rows of x, and its numbers
    in `dtype`. Raises ValueError for a weight that is not finite, which codes would hide.
    """
    numbers = weight.detach().float().flatten(0, -2)
    scale = numbers.abs().amax(1).clamp(min=1e-30) / 127
    if not scale.isfinite().all():
        raise ValueError("not all numbers are finite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its tensor type is to go one day: see `available`
        coded = torch.quantize_per_channel(
            numbers, scale.double(), torch.zeros(len(scale), dtype=torch.int64), 0, torch.qint8
        )
        codes = torch.ops.quantized.linear_prepack(coded, None)
    return Packed(weight.detach().to(dtype), codes, most, reduced=not _has_vnni())


def packed_product(x: Tensor, weight: Packed, *, exact: bool = False) -> Tensor:
    """Multiply x (…, m) by weight (n, m) -> (…, n) fp32; `exact` does not use the codes."""
    if by_codes(x, weight, exact=exact):
        product: Callable[..., Tensor] = torch.ops.quantized.linear_dynamic
        return product(x.float(), weight.codes, reduce_range=weight.reduced)
    return F.linear(x.to(weight.weight.dtype), weight.weight).float()


def by_codes(x: Tensor, weight: Packed, *, exact: bool) -> bool:
    """Say whether `packed_product` takes the codes: x (…, m) has few rows."""
    return not exact and x.numel() <= weight.most * x.shape[-1]


def _has_vnni() -> bool:
    """Say whether the CPU sums products of bytes in 32 bits at once."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "avx2_vnni"))
