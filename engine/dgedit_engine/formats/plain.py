"""Read the released model's own format, and matrices as int8 with a scale for each row.

A weight is stored as numbers under its own name. A matrix may be stored as int8: `NAME` holds whole
numbers from -127 to 127, and its companion `NAME.scale`, fp32 of NAME's shape without the last
dimension, what one of them is worth in each row. That is half the size of bfloat16, and never off
by more than half a scale. It is widened as it is read: int8 only makes a small model's files
smaller to ship.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dgedit_engine.formats.source import Piece
from dgedit_engine.types import ModelError

SCALE = ".scale"
"""Suffix of a companion's name, and also of the router's own vector, which is none."""


def pieces(headers: Mapping[str, Tensor]) -> Iterator[Piece]:
    """Yield every tensor, a matrix of int8 with its companion. Raises ModelError for one without
    the other.
    """
    for name, header in headers.items():
        owner = headers.get(name.removesuffix(SCALE))
        if header.dtype == torch.int8:
            yield Piece(name, (name, _companion(name, headers)), widened)
        elif owner is None or not name.endswith(SCALE):
            yield Piece(name, (name,))
        elif owner.dtype != torch.int8:
            raise ModelError(f"{name} belongs to no int8 tensor")


def narrowed(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a matrix (…, m, n) -> the nearest int8 numbers (…, m, n), the scale of each row (…,
    m).
    """
    scale = matrix.abs().amax(-1).clamp(min=1e-30) / 127
    return (matrix / scale[..., None]).round().clamp(-127, 127).to(torch.int8), scale


def widened(numbers: Tensor, scale: Tensor) -> Tensor:
    """Return the values of int8 numbers (…, m, n) with scales (…, m), fp32."""
    return numbers * scale[..., None].float()


def _companion(name: str, headers: Mapping[str, Tensor]) -> str:
    scale = headers.get(name + SCALE)
    if scale is None:
        raise ModelError(f"{name} is int8 and has no {name + SCALE}")
    if scale.shape != headers[name].shape[:-1]:
        found, right = list(scale.shape), list(headers[name].shape[:-1])
        raise ModelError(f"{name + SCALE} is {found}, not {right}")
    return name + SCALE
