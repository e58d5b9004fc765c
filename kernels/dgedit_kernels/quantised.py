"""Quantised matrices: codes of 4 or 8 bits, with scales for each group of a row.

The one representation that all quantised kernels read and all checkpoint formats are converted to.
Codes stay as the formats store them, so that a file can be mapped and used as it is.

Sources: OCP Microscaling formats v1.0 (e2m1, e4m3); NVIDIA's NVFP4 (groups of 16 with an e4m3
scale, and an fp32 scale of the whole); GGUF's Q8_0 (groups of 32 with an fp16 scale).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

Kind = Literal["int4", "e2m1", "int8", "e4m3"]

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Values of the codes 0 to 7 of e2m1; 8 to 15 are their negatives."""

LARGEST = {"int4": 7.0, "e2m1": 6.0, "int8": 127.0, "e4m3": 448.0}
"""The largest magnitude of each kind's codes."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A matrix (n, m), or a stack of them (N, n, m). The value of an entry is

    `row · (scale · value(code) + bias)`.
    """

    kind: Kind
    """The meaning of a code. int4: code − 8, or the code itself (0 to 15) where there is a bias."""
    codes: Tensor
    """(…, n, m) int8 or float8_e4m3fn; of 4 bits (…, n, m/2) uint8, the even column in the low
    half of a byte.
    """
    scale: Tensor | None = None
    """(…, n, m/g) float16, bfloat16, float32 or float8_e4m3fn: for each group of g columns. None:
    1.
    """
    bias: Tensor | None = None
    """(…, n, m/g), of whole numbers only. None: no bias."""
    row: Tensor | None = None
    """(…, n) fp32: for each row. None: 1."""
    w8a8: bool = False
    """Whether the other side of its products is rounded to e4m3 too (`w8a8.py`)."""

    def __post_init__(self) -> None:
        if self.packed and self.codes.dtype != torch.uint8:
            raise ValueError(f"codes of {self.kind} are uint8, not {self.codes.dtype}")
        groups = 1 if self.scale is None else self.scale.shape[-1]
        if self.shape[-1] % groups:
            raise ValueError(f"{groups} groups do not divide {self.shape[-1]} columns")
        whole = self.kind in ("int4", "int8")
        if self.bias is not None and (not whole or self.scale is None):
            raise ValueError(f"{self.kind} has a bias without a meaning")
        if self.w8a8 and (self.kind != "e4m3" or self.scale is not None):
            raise ValueError(f"{self.kind} in groups of {self.group} is not multiplied in 8 bits")

    @property
    def packed(self) -> bool:
        """Whether two codes share a byte."""
        return self.kind in ("int4", "e2m1")

    @property
    def shape(self) -> torch.Size:
        """(…, n, m), of the matrix it stands for."""
        *rest, columns = self.codes.shape
        return torch.Size((*rest, columns * (2 if self.packed else 1)))

    @property
    def group(self) -> int:
        """Columns that share a scale."""
        return self.shape[-1] // (1 if self.scale is None else self.scale.shape[-1])

    @property
    def device(self) -> torch.device:
        """The device of the codes."""
        return self.codes.device

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts().values())

    def parts(self) -> dict[str, Tensor]:
        """Return the tensors, by the names of their fields."""
        named = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: part for name, part in named if isinstance(part, Tensor)}

    def __getitem__(self, index: int | slice) -> Quantised:
        """Return a matrix of a stack, or some rows of a matrix."""
        return self.with_parts({name: part[index] for name, part in self.parts().items()})

    def to(self, device: torch.device | str) -> Quantised:
        """Move to `device`."""
        return self.with_parts({name: part.to(device) for name, part in self.parts().items()})

    def with_parts(self, parts: Mapping[str, Tensor]) -> Quantised:
        """Return the same kind of matrix with other tensors."""
        given: dict[str, Any] = dict(parts)
        return replace(self, **given)

    def dequantised(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the matrix it stands for, (…, n, m)."""
        values = _values(self.codes, self.kind, offset=self.bias is None)
        if self.scale is not None:
            grouped = values.unflatten(-1, (-1, self.group)) * self.scale.float()[..., None]
            if self.bias is not None:
                grouped = grouped + self.bias.float()[..., None]
            values = grouped.flatten(-2)
        if self.row is not None:
            values = values * self.row.float()[..., None]
        return values.to(dtype)


def quantise(matrix: Tensor, kind: Kind, *, group: int | None = None) -> Quantised:
    """Quantise a matrix (…, n, m) to the nearest codes, scaled by each group's largest magnitude.

    `group` None: e2m1 in groups of 16 with e4m3 scales (NVFP4), int4 of 32 with fp16 scales, int8
    and e4m3 by rows. Raises ValueError where groups do not divide the columns.
    """
    matrix = matrix.float()
    columns = matrix.shape[-1]
    group = group or {"e2m1": 16, "int4": 32}.get(kind, columns)
    if columns % group:
        raise ValueError(f"groups of {group} do not divide {columns} columns")
    grouped = matrix.unflatten(-1, (-1, group))  # (…, n, m/g, g)
    wanted = grouped.abs().amax(-1) / LARGEST[kind]  # (…, n, m/g)
    if group == columns:
        row = wanted[..., 0].clamp(min=1e-30)
        return Quantised(kind, _codes(matrix / row[..., None], kind), row=row)
    row = scale = None
    if kind == "e2m1":  # scales of 8 bits: the row's own factor puts the largest at their top
        row = (wanted.amax(-1) / LARGEST["e4m3"]).clamp(min=1e-30)
        scale = (wanted / row[..., None]).to(torch.float8_e4m3fn)
        worth = scale.float() * row[..., None]
    else:
        scale = wanted.to(torch.float16)
        worth = scale.float()
    worth = torch.where(worth == 0, torch.inf, worth)  # a group of zeros
    codes = _codes((grouped / worth[..., None]).flatten(-2), kind)
    return Quantised(kind, codes, scale, row=row)


def quantise_affine(matrix: Tensor, *, group: int) -> Quantised:
    """Quantise a matrix (…, n, m) to int4 with a bias: 16 even steps from each group's least number
    to its greatest. Of normally distributed numbers in groups of 32 it is off by 7.7%, without a
    bias by 9.7.
    """
    grouped = matrix.float().unflatten(-1, (-1, group))  # (…, n, m/g, g)
    least, most = grouped.aminmax(dim=-1)
    bias = least.to(torch.float16)
    scale = ((most - bias.float()) / 15).to(torch.float16)
    worth = torch.where(scale == 0, torch.inf, scale.float())  # a group of one number
    codes = ((grouped - bias.float()[..., None]) / worth[..., None]).round().clamp(0, 15)
    return Quantised("int4", pack(codes.flatten(-2)), scale, bias=bias)


def pack(codes: Tensor) -> Tensor:
    """Pack codes 0 to 15 (…, m) -> two in a byte (…, m/2) uint8, the even column in the low
    half.
    """
    codes = codes.to(torch.uint8)
    return codes[..., 0::2] | (codes[..., 1::2] << 4)


def unpack(packed: Tensor) -> Tensor:
    """Unpack (…, m/2) uint8 -> codes 0 to 15, (…, m) uint8."""
    return torch.stack((packed & 15, packed >> 4), -1).flatten(-2)


def _values(codes: Tensor, kind: Kind, *, offset: bool) -> Tensor:
    """Return the values of codes at scale 1, fp32 (…, m)."""
    if kind == "e2m1":
        table = torch.tensor(E2M1, device=codes.device)
        return torch.cat((table, -table))[unpack(codes).int()]
    if kind == "int4":
        return unpack(codes).float() - (8 if offset else 0)
    return codes.float()


def _codes(scaled: Tensor, kind: Kind) -> Tensor:
    """Return the nearest codes to values (…, m) at scale 1."""
    if kind == "e4m3":
        return scaled.clamp(-LARGEST[kind], LARGEST[kind]).to(torch.float8_e4m3fn)
    if kind == "int8":
        return scaled.round().clamp(-127, 127).to(torch.int8)
    if kind == "int4":
        return pack(scaled.round().clamp(-7, 7) + 8)
    table = torch.tensor(E2M1, device=scaled.device)
    middles = (table[1:] + table[:-1]) / 2
    return pack(torch.bucketize(scaled.abs(), middles) + 8 * (scaled < 0))
