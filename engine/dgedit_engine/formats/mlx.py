"""Read MLX's packing, as mlx-lm and mlx-vlm write it: groups of codes of 2 to 8 bits.

Of a quantised `X` there are `X.weight` (…, n, w) words of 32 bits, in which the codes of a row are
one stream of bits, the first column lowest; and for each group of columns, by mode:

  affine  `X.scales` and `X.biases`: a code c, from 0 up, is worth scale · c + bias
  mxfp4   `X.scales` uint8, the exponent of a power of two (e8m0), for codes of e2m1
  mxfp8   the same for codes of e4m3
  nvfp4   `X.scales` e4m3, for codes of e2m1

config.json's `quantization` has mode, bits and columns of a group, and under a module's name those
that it has instead. Affine codes of 4 bits, and those of floats, stay as they are; of 2 and 3 bits
they are 4 here, of 5 and 6 they are 8. Of 8 bits they lose 128, which their bias gains.

Source: `mlx.core.quantize`; the tests have what mlx 0.32 makes of drawn numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.formats.source import Piece, Weight
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised, pack

METHOD = "mlx"
"""Our name of the method: its own settings have none."""

_AFFINE, _FLOATS = "affine", {"mxfp4": 4, "mxfp8": 8, "nvfp4": 4}
_BITS = (2, 3, 4, 5, 6, 8)
_WEIGHT, _SCALES, _BIASES = ".weight", ".scales", ".biases"
_STEP = 1 << 20  # bytes that are taken apart at a time


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config.json says of this packing; empty where it says nothing."""
    for key in ("quantization", "quantization_config"):
        found = config.get(key)
        if isinstance(found, dict) and "bits" in found and "quant_method" not in found:
            return {"quant_method": METHOD, **found}
    return {}


def named(settings: Mapping[str, Any]) -> str:
    """Name the codes in a few words: "INT4 + INT8", "MXFP4"."""
    found = [settings, *(one for one in settings.values() if isinstance(one, dict))]
    names = [
        f"INT{one.get('bits')}" if _mode(one, settings) == _AFFINE else _mode(one, settings).upper()
        for one in found
    ]
    return " + ".join(dict.fromkeys(names))


def pieces(headers: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield every weight; `settings` are those of `settings`. Raises ModelError for an unknown mode
    or width, for a part that is missing, and for sizes that are not those of the settings.
    """
    for name, header in headers.items():
        if name.endswith((_SCALES, _BIASES)):
            continue
        module = name.removesuffix(_WEIGHT)
        if module == name or module + _SCALES not in headers:
            yield Piece(name, (name,))
            continue
        own = settings.get(module)
        own = own if isinstance(own, dict) else settings
        mode, bits = _mode(own, settings), own.get("bits")
        if mode != _AFFINE and mode not in _FLOATS:
            known = ", ".join((_AFFINE, *_FLOATS))
            raise ModelError(f"{module}: MLX's mode {mode!r:.50}; known are {known}")
        if not isinstance(bits, int) or bits not in (
            (_FLOATS[mode],) if mode in _FLOATS else _BITS
        ):
            raise ModelError(f"{module}: MLX's {mode} of {bits!r} bits")
        stored = [name, module + _SCALES, *([module + _BIASES] if mode == _AFFINE else [])]
        for part in stored:
            if part not in headers:
                raise ModelError(f"no tensor {part}")
        group = own.get("group_size")
        shape = header.shape
        columns = shape[-1] * 32 // bits if shape else 0
        if not isinstance(group, int) or columns != group * headers[stored[1]].shape[-1]:
            found = f"{list(headers[stored[1]].shape)} scales of {columns} columns"
            raise ModelError(f"{module}: {found}, not groups of {group!r:.50}")
        yield from _parts(f"{module}{_WEIGHT}", tuple(stored), header, _made(mode, bits))


def _mode(own: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The mode of a module with settings of its own: without a word of it affine, as mlx has it."""
    return str(own.get("mode") or (settings.get("mode") if own is settings else None) or _AFFINE)


def _parts(
    name: str, stored: tuple[str, ...], header: Tensor, made: Callable[..., Weight]
) -> Iterator[Piece]:
    """The weight, a large one some rows or matrices at a time."""
    count = header.shape[0]
    step = max(1, _STEP // max(1, 4 * header.numel() // max(1, count)))
    if step >= count:
        yield Piece(name, stored, made)
        return
    for start in range(0, count, step):
        yield Piece(name, stored, made, slice(start, min(start + step, count)))


@cache
def _made(mode: str, bits: int) -> Callable[..., Weight]:
    """Return what makes a weight of its parts: the same function for the same packing."""

    def affine(words: Tensor, scale: Tensor, bias: Tensor) -> Quantised:
        return _affine(_bytes(words), bits, scale, bias)

    def floats(words: Tensor, scale: Tensor) -> Quantised:
        codes = _bytes(words)
        if scale.dtype != torch.uint8:
            raise ValueError(f"scales of {scale.dtype}")
        scale = scale.view(torch.float8_e4m3fn) if mode == "nvfp4" else _powers(scale)
        if bits == 8:
            return Quantised("e4m3", codes.view(torch.float8_e4m3fn), scale)
        return Quantised("e2m1", codes, scale)

    return affine if mode == _AFFINE else floats


def _affine(codes: Tensor, bits: int, scale: Tensor, bias: Tensor) -> Quantised:
    if bits == 4:  # the even column is in the low half of a byte
        return Quantised("int4", codes, scale, bias=bias)
    if bits == 8:
        wide = torch.float32 if scale.dtype == torch.float32 else torch.float16
        middle = bias.float() + 128 * scale.float()
        return Quantised("int8", (codes ^ 128).view(torch.int8), scale, bias=middle.to(wide))
    codes = _unpacked(codes, bits)
    if bits < 4:
        return Quantised("int4", pack(codes), scale, bias=bias)
    return Quantised("int8", codes.view(torch.int8), scale, bias=bias)


def _bytes(words: Tensor) -> Tensor:
    if words.dtype != torch.int32:  # uint32, as `shards` reads it
        raise ValueError(f"packed codes of {words.dtype}")
    return words.contiguous().view(torch.uint8)


def _unpacked(stream: Tensor, bits: int) -> Tensor:
    """Take codes out of a stream of bits: 8 of them are as many bytes as a code has bits."""
    parts = stream.reshape(*stream.shape[:-1], -1, bits).long()
    word = sum(parts[..., place] << 8 * place for place in range(bits))
    assert isinstance(word, Tensor)
    codes = [(word >> bits * place) & ((1 << bits) - 1) for place in range(8)]
    return torch.stack(codes, -1).flatten(-2).to(torch.uint8)


def _powers(exponent: Tensor) -> Tensor:
    """2 to the exponents less 127, bfloat16, of which 2^-127 is a subnormal."""
    power = exponent.short()
    return torch.where(power == 0, 64, power << 7).view(torch.bfloat16)
