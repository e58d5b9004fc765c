"""Read compressed-tensors, llm-compressor's format: RedHatAI's FP8-dynamic, NVFP4 and W4A16.

Which modules are quantised is read off the tensors that are there; experts may lie apart or fused.
Of a quantised `X` there are, by format (checked against compressed-tensors 0.20):

  float-quantized       `X.weight` e4m3, `X.weight_scale` for each row, or for the whole
  int-quantized         the same, of int8
  nvfp4-pack-quantized  `X.weight_packed` two codes of e2m1 in a byte, the even column in the low
                        half, `X.weight_scale` e4m3 for each 16 columns, and
                        `X.weight_global_scale`, which divides
  pack-quantized        `X.weight_packed` eight codes in an int32, the first column lowest, each 8
                        more than it stands for; `X.weight_scale` for each group of columns;
                        `X.weight_zero_point`, if at all, packed alike, but along the rows

Scales of activations (`input_…`) are not read: where ours are quantised, each row has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.formats.coding import spread
from dgedit_engine.formats.source import Piece
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Kind, Quantised, unpack

_FORMATS = {
    "float-quantized": 8,
    "int-quantized": 8,
    "naive-quantized": 8,
    "nvfp4-pack-quantized": 4,
    "pack-quantized": 4,
}
"""The formats that are read, with the bits of their codes."""

_WEIGHT, _PACKED, _SCALE = ".weight", ".weight_packed", ".weight_scale"
_WHOLE, _ZERO, _ORDER = ".weight_global_scale", ".weight_zero_point", ".weight_g_idx"
_UNREAD = (
    *(".weight_shape", ".input_scale", ".input_zero_point", ".input_global_scale"),
    *(".k_scale", ".v_scale"),
)


def pieces(headers: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield every weight; `settings` are those of the quantisation. Raises ModelError for an
    unknown format and for a part that is missing.
    """
    _check(settings)
    for name in headers:
        if name.endswith((*_UNREAD, _SCALE, _WHOLE, _ZERO)):
            continue
        if name.endswith(_ORDER):
            raise ModelError(f"{name}: columns in another order are not read")
        module = name.removesuffix(_PACKED).removesuffix(_WEIGHT)
        if name.endswith(_PACKED):
            narrow = headers[name].dtype == torch.uint8
            stored = [name, module + _SCALE, *([module + _WHOLE] if narrow else [])]
            if module + _ZERO in headers:
                stored.append(module + _ZERO)
            for part in stored:
                if part not in headers:
                    raise ModelError(f"no tensor {part}")
            yield Piece(module + _WEIGHT, tuple(stored), _nvfp4 if narrow else _int4)
        elif module != name and module + _SCALE in headers:
            zero = [module + _ZERO] if module + _ZERO in headers else []
            yield Piece(name, (name, module + _SCALE, *zero), _eight)
        else:
            yield Piece(name, (name,))


def _check(settings: Mapping[str, Any]) -> None:
    """Raise ModelError for a format or width that is not read."""
    groups = settings.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        raise ModelError(f"compressed-tensors with config_groups {groups!r}")
    for group in groups.values():
        try:
            name = group.get("format") or settings.get("format")
            bits = group["weights"]["num_bits"]
        except (AttributeError, LookupError, TypeError):
            raise ModelError(f"compressed-tensors' group {group!r}") from None
        if not isinstance(name, str) or name not in _FORMATS:
            raise ModelError(f"compressed-tensors' {name!r}; known are {', '.join(_FORMATS)}")
        if bits != _FORMATS[name]:
            raise ModelError(f"compressed-tensors' {name} of {bits} bits, not {_FORMATS[name]}")


def _eight(codes: Tensor, scale: Tensor) -> Quantised:
    kinds: dict[torch.dtype, Kind] = {torch.float8_e4m3fn: "e4m3", torch.int8: "int8"}
    if codes.dtype not in kinds:
        raise ValueError(f"codes of {codes.dtype}")
    return Quantised(kinds[codes.dtype], codes, **_scales(scale, codes.shape[:-1]))


def _nvfp4(codes: Tensor, scale: Tensor, whole: Tensor) -> Quantised:
    return Quantised("e2m1", codes, scale, row=1 / spread(whole, codes.shape[:-1]))


def _int4(packed: Tensor, scale: Tensor, zero: Tensor | None = None) -> Quantised:
    if packed.dtype != torch.int32:
        raise ValueError(f"packed codes of {packed.dtype}")
    codes = packed.view(torch.uint8)  # the lowest four bits of a word are those of its first byte
    if zero is None:
        return Quantised("int4", codes, **_scales(scale, codes.shape[:-1]))
    # scale · (code − zero), both 8 more than they stand for
    rows = zero.transpose(-1, -2).contiguous().view(torch.uint8)  # (…, groups, n/2)
    above = unpack(rows)[..., : codes.shape[-2]].transpose(-1, -2)  # (…, n, groups)
    bias = -scale.float() * above
    return Quantised("int4", codes, scale.half(), bias=bias.half())


def _scales(scale: Tensor, rows: torch.Size) -> dict[str, Any]:
    """Return scales of groups as `scale`, all others as `row`, one for each row."""
    if scale.shape[:-1] == rows and scale.shape[-1] > 1:
        return {"scale": scale}
    return {"row": spread(scale, rows)}
