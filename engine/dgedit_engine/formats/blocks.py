"""Convert llama.cpp's quantised blocks to our codes.

A row is a run of blocks of 32 or 256 columns, each with its scale and its codes, the two halves of
a run of columns in the two halves of a byte. They are taken apart in PyTorch, on the device that
the bytes are on, and no number is rounded but the scales of K-quants: theirs are products of an
fp16 and a whole number, ours the fp16 nearest to it.

Source of the layouts: ggml's `ggml-quants.c` and `ggml-common.h`; the tests compare with gguf-py's
`quants.py`. Codes of 5 bits with a minimum are widened and become int8 in groups of 32, which is
fine enough for codes of up to 6 bits; types that are not here are widened by the `gguf` package.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgedit_engine.formats.source import Weight
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised, quantise


def row_bytes(kind: int, columns: int) -> int:
    """Return the bytes of a row of `columns`. Raises ModelError for an unknown type and for a
    broken block.
    """
    size, length = _SIZES.get(kind) or _foreign_size(kind)
    if columns % size:
        raise ModelError(f"blocks of {size} do not divide {columns} columns")
    return columns // size * length


def decoder(kind: int) -> Callable[[Tensor], Weight]:
    """Return a function from rows' bytes (…, n, b) uint8 to a matrix, for ggml's type `kind`."""

    def foreign(raw: Tensor) -> Weight:
        return _foreign(raw, kind)

    return _DECODERS.get(kind, foreign)


def _blocks(raw: Tensor, kind: int) -> Tensor:
    """(…, b) -> (…, blocks, bytes of one)."""
    return _split(raw, -1, _SIZES[kind][1])


def _split(field: Tensor, *sizes: int) -> Tensor:
    """The last dimension as several."""
    return field.reshape(*field.shape[:-1], *sizes)


def _half(field: Tensor) -> Tensor:
    """Two bytes (…, 2) -> fp16 (…,)."""
    return field.contiguous().view(torch.float16)[..., 0]


def _nibbles(field: Tensor) -> Tensor:
    """Bytes (…, h) whose low halves are h codes, whose high halves the next h -> our packing."""
    low, high = field & 15, field >> 4
    pairs = [half[..., 0::2] | (half[..., 1::2] << 4) for half in (low, high)]
    return torch.cat(pairs, -1)


def _q4_0(raw: Tensor) -> Quantised:
    blocks = _blocks(raw, 2)
    return Quantised("int4", _nibbles(blocks[..., 2:]).flatten(-2), _half(blocks[..., :2]))


def _q4_1(raw: Tensor) -> Quantised:
    blocks = _blocks(raw, 3)
    codes = _nibbles(blocks[..., 4:]).flatten(-2)
    return Quantised("int4", codes, _half(blocks[..., :2]), bias=_half(blocks[..., 2:4]))


def _q5_0(raw: Tensor) -> Quantised:
    blocks = _blocks(raw, 6)
    codes = _fives(blocks[..., 2:6], blocks[..., 6:])
    return Quantised("int8", (codes.view(torch.int8) - 16).flatten(-2), _half(blocks[..., :2]))


def _q5_1(raw: Tensor) -> Quantised:
    blocks = _blocks(raw, 7)
    codes = _fives(blocks[..., 4:8], blocks[..., 8:])
    worth, least = (_half(blocks[..., at : at + 2]).float()[..., None] for at in (0, 2))
    return quantise((codes * worth + least).flatten(-2), "int8", group=32)


def _fives(high: Tensor, field: Tensor) -> Tensor:
    """Join 32 codes of 5 bits from their fifth bits (…, 4) and the others (…, 16) in two halves ->
    (…, 32).
    """
    bits = torch.arange(8, dtype=torch.uint8, device=field.device)
    fifth = ((high[..., None] >> bits) & 1).flatten(-2)
    return torch.cat((field & 15, field >> 4), -1) | (fifth << 4)


def _q8_0(raw: Tensor) -> Quantised:
    blocks = _blocks(raw, 8)
    codes = blocks[..., 2:].contiguous().view(torch.int8).flatten(-2)
    return Quantised("int8", codes, _half(blocks[..., :2]))


def _q4_k(raw: Tensor) -> Quantised:
    """256 columns: d, dmin, eight scales and eight minima of 6 bits, then four runs of 64."""
    blocks = _blocks(raw, 12)
    codes = _nibbles(_split(blocks[..., 16:], 4, 32)).flatten(-3)
    worth, bias = (one.flatten(-2).half() for one in _worth(blocks))
    return Quantised("int4", codes, worth, bias=bias)


def _q5_k(raw: Tensor) -> Quantised:
    """The same, with a fifth bit of every code before the runs: two of a byte for each run."""
    blocks = _blocks(raw, 13)
    field = _split(blocks[..., 48:], 4, 1, 32)  # (…, run, half of it, 32)
    bits = torch.arange(8, dtype=torch.uint8, device=raw.device).view(4, 2, 1)
    fifth = (blocks[..., None, None, 16:48] >> bits) & 1
    codes = (torch.cat((field & 15, field >> 4), -2) | (fifth << 4)).flatten(-3, -2)
    worth, bias = _worth(blocks)
    return quantise((codes * worth[..., None] + bias[..., None]).flatten(-3), "int8", group=32)


def _worth(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return each of eight groups' scale, and the value of code 0: both (…, 8)."""
    low, middle, high = blocks[..., 4:8], blocks[..., 8:12], blocks[..., 12:16]
    scale = torch.cat((low & 63, (high & 15) | ((low >> 6) << 4)), -1)
    least = torch.cat((middle & 63, (high >> 4) | ((middle >> 6) << 4)), -1)
    each, lower = (_half(blocks[..., at : at + 2]).float()[..., None] for at in (0, 2))
    return each * scale, lower * -least.float()


def _q6_k(raw: Tensor) -> Quantised:
    """256 columns in two runs of 128: four bits of each code, two bits, 16 scales, d."""
    blocks = _blocks(raw, 14)
    four = _split(blocks[..., :128], 2, 2, 32)  # (…, run, half of it, 32)
    two = _split(blocks[..., 128:192], 2, 1, 32)
    shift = torch.tensor((0, 2, 4, 6), dtype=torch.uint8, device=raw.device)[:, None]
    codes = torch.cat((four & 15, four >> 4), -2) | (((two >> shift) & 3) << 4)
    scale = blocks[..., 192:208].contiguous().view(torch.int8)
    worth = _half(blocks[..., 208:]).float()[..., None] * scale
    signed = (codes.view(torch.int8) - 32).flatten(-4)
    return Quantised("int8", signed, worth.flatten(-2).half())


_SIZES = {
    **{0: (1, 4), 1: (1, 2), 30: (1, 2)},  # F32, F16, BF16
    **{2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)},
    **{12: (256, 144), 13: (256, 176), 14: (256, 210)},
}
"""Columns and bytes of a block, by ggml's type."""

_DECODERS: dict[int, Callable[[Tensor], Weight]] = {
    0: lambda raw: raw.view(torch.float32),
    1: lambda raw: raw.view(torch.float16),
    30: lambda raw: raw.view(torch.bfloat16),
    **{2: _q4_0, 3: _q4_1, 6: _q5_0, 7: _q5_1, 8: _q8_0, 12: _q4_k, 13: _q5_k, 14: _q6_k},
}


def _foreign_size(kind: int) -> tuple[int, int]:
    """Columns and bytes of a block of a type that only the package knows."""
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError:
        raise ModelError(f"ggml's type {kind} needs gguf: pip install 'dgedit[gguf]'") from None
    try:
        size, length = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise ModelError(f"unknown type {kind} of ggml") from None
    return int(size), int(length)


def _foreign(raw: Tensor, kind: int) -> Quantised:
    size, length = _foreign_size(kind)
    shape = (*raw.shape[:-1], raw.shape[-1] // length * size)
    if raw.is_meta:
        values = torch.empty(shape, device="meta")
    else:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        try:
            numbers = dequantize(raw.cpu().numpy(), GGMLQuantizationType(kind))
        except NotImplementedError as error:
            raise ModelError(str(error)) from None
        values = torch.from_numpy(numbers).to(raw.device)
    return quantise(values, "int8", group=32)
