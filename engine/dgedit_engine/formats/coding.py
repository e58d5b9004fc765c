"""Join quantised matrices of different codings into one.

Projections that share an input are one weight of our model, and files store them apart, mostly in
one coding, so that to join them is to copy rows. Where the codings differ (a file of llama.cpp's
Q4_K_M has values in 6 bits beside queries and keys in 4) the whole takes one that holds all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_engine.formats.source import Weight
from dgedit_kernels.quantised import Kind, Quantised, quantise, unpack


@dataclass(frozen=True, slots=True)
class Coding:
    """The format of codes, which matrices must share to be rows of one."""

    kind: Kind
    """How a code stands for a number."""
    group: int
    """Columns that share a scale; all of them where there is none."""
    scale: torch.dtype | None
    """Dtype of the groups' scales. None: there are none."""
    bias: torch.dtype | None
    """Dtype of the groups' biases. None: there are none."""
    row: bool
    """Whether each row has a factor."""


def common(forms: Sequence[Weight]) -> Coding | None:
    """Return the coding in which parts are joined; None: as plain numbers.

    Whole numbers of different kinds become int8 in the finest of their groups: int8 codes keep
    their values, up to a scale's rounding to fp16; codes of 4 bits move by 1/254 of their group's
    largest magnitude at most, where half a step of their own is 1/30 of its range. Where int8 codes
    have a bias, all get one and none moves.
    """
    codings = {coding(form) for form in forms if isinstance(form, Quantised)}
    if not codings or not all(isinstance(form, Quantised) for form in forms):
        return None
    if len(codings) == 1:
        return codings.pop()
    group = math.gcd(*(coding.group for coding in codings))
    whole = all(coding.kind in ("int4", "int8") for coding in codings)
    if not whole or group == forms[0].shape[-1]:
        return None
    biased = any(coding.kind == "int8" and coding.bias is not None for coding in codings)
    if not biased:
        return Coding("int8", group, torch.float16, None, False)
    wide = {dtype for one in codings for dtype in (one.scale, one.bias) if dtype is not None}
    kept = wide.pop() if len(wide) == 1 else torch.float32
    return Coding("int8", group, kept, kept, False)


def allocated(wanted: Coding, shape: Sequence[int], device: torch.device | str) -> Quantised:
    """Allocate a matrix (…, n, m) of a coding, without values."""

    def room(columns: int, dtype: torch.dtype) -> Tensor:
        return torch.empty((*rows, columns), dtype=dtype, device=device)

    *rows, columns = shape
    if wanted.kind in ("int4", "e2m1"):
        codes = room(columns // 2, torch.uint8)
    else:
        codes = room(columns, torch.int8 if wanted.kind == "int8" else torch.float8_e4m3fn)
    groups = columns // wanted.group
    return Quantised(
        wanted.kind,
        codes,
        scale=None if wanted.scale is None else room(groups, wanted.scale),
        bias=None if wanted.bias is None else room(groups, wanted.bias),
        row=torch.empty(rows, device=device) if wanted.row else None,
    )


def recoded(value: Quantised, wanted: Coding) -> Quantised:
    """Convert the matrix to a coding that `common` gave for it and others."""
    if coding(value) == wanted:
        return value
    if value.kind != "int8" and wanted.bias is None:
        return quantise(value.dequantised(), "int8", group=wanted.group)
    codes, bias = value.codes, value.bias
    if value.kind == "int4":
        codes = (unpack(codes) - (8 if bias is None else 0)).view(torch.int8)
    ones = torch.ones(1, device=value.device)
    scale = ones.expand(*value.shape[:-1], 1) if value.scale is None else value.scale.float()
    row = 1 if value.row is None else value.row[..., None]
    times = value.group // wanted.group
    scale = (scale * row).repeat_interleave(times, -1).to(wanted.scale)
    if wanted.bias is None:
        return Quantised("int8", codes, scale)
    if bias is None:
        return Quantised("int8", codes, scale, bias=torch.zeros_like(scale, dtype=wanted.bias))
    bias = (bias.float() * row).repeat_interleave(times, -1).to(wanted.bias)
    return Quantised("int8", codes, scale, bias=bias)


def spread(scale: Tensor, rows: Sequence[int]) -> Tensor:
    """Spread a scale of the whole (one number), of each matrix (N, …) or of each row (…, n) or (…,
    n, 1) to each row -> (…, n) fp32. Raises RuntimeError for any other shape.
    """
    scale, rows = scale.float(), torch.Size(rows)
    if scale.shape in (rows, (*rows, 1)):
        return scale.reshape(rows)
    whole = scale.reshape(()) if scale.numel() == 1 else scale.reshape(-1, 1)
    return whole.expand(rows)


def coding(value: Quantised) -> Coding:
    """Return the coding of a matrix."""
    scale, bias = value.scale, value.bias
    return Coding(
        value.kind,
        value.group,
        None if scale is None else scale.dtype,
        None if bias is None else bias.dtype,
        value.row is not None,
    )
