"""Convert llama.cpp's quantised blocks to our codes.

A row is a run of blocks of 32 or 256 columns, each with its scale and its codes, the two halves of
a run of columns in the two halves of a byte. They are taken apart in PyTorch, on the device that
the bytes are on, and no number is rounded but the scales of K-quants: theirs are products of an
fp16 and a whole number, ours the fp16 nearest to it.

Source of the layouts: ggml's `ggml-quants.c` and `ggml-common.h`; the tests compare with gguf-py's
`quants.py`. Codes of 5 bits with a minimum are widened and become int8 in groups of 32, which is
fine enough for codes of up to 6 bits. All that is int8 so can be narrowed to 4 bits instead, for
cards that do not hold it; types that look their numbers up are `blocks_iq`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from dgedit_engine.formats import blocks_iq
from dgedit_engine.formats.source import Weight
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised, pack, quantise, quantise_affine


def row_bytes(kind: int, columns: int) -> int:
    """Return the bytes of a row of `columns`. Raises ModelError for an unknown type and for a
    broken block.
    """
    if kind not in _SIZES:
        raise ModelError(f"unknown type {kind} of ggml")
    size, length = _SIZES[kind]
    if columns % size:
        raise ModelError(f"blocks of {size} do not divide {columns} columns")
    return columns // size * length


@cache
def decoder(kind: int, *, narrow: bool = False) -> Callable[[Tensor], Weight]:
    """Return a function from rows' bytes (…, n, b) uint8 to a matrix, for ggml's type `kind`;
    `narrow` for 4 bits where it would be 8. The same one for the same arguments.
    """
    if kind in _NUMBERS:
        return partial(_rounded, _NUMBERS[kind], narrow=narrow)
    if narrow and kind in blocks_iq.NARROW:
        return blocks_iq.NARROW[kind]
    return partial(_narrowed, _DECODERS[kind]) if narrow else _DECODERS[kind]


def is_wide(kind: int) -> bool:
    """Say whether a type takes 8 bits for a weight, and 4 if it is narrowed."""
    return kind in _WIDE


def _rounded(read: Callable[[Tensor], Tensor], raw: Tensor, *, narrow: bool) -> Quantised:
    """Round numbers that no codes of ours are: those of 5 bits with a minimum."""
    if narrow:
        return quantise_affine(read(raw), group=32)
    return quantise(read(raw), "int8", group=32)


def _narrowed(made: Callable[[Tensor], Weight], raw: Tensor) -> Weight:
    """Round codes of 8 bits to 4 with a minimum, in groups of 32, as Q4_1 has them."""
    value = made(raw)
    if isinstance(value, Tensor) or value.kind != "int8":
        return value
    return quantise_affine(value.dequantised(), group=32)


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


def _q5_1(raw: Tensor) -> Tensor:
    blocks = _blocks(raw, 7)
    codes = _fives(blocks[..., 4:8], blocks[..., 8:])
    worth, least = (_half(blocks[..., at : at + 2]).float()[..., None] for at in (0, 2))
    return (codes * worth + least).flatten(-2)


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


def _q5_k(raw: Tensor) -> Tensor:
    """The same, with a fifth bit of every code before the runs: two of a byte for each run."""
    blocks = _blocks(raw, 13)
    field = _split(blocks[..., 48:], 4, 1, 32)  # (…, run, half of it, 32)
    bits = torch.arange(8, dtype=torch.uint8, device=raw.device).view(4, 2, 1)
    fifth = (blocks[..., None, None, 16:48] >> bits) & 1
    codes = (torch.cat((field & 15, field >> 4), -2) | (fifth << 4)).flatten(-3, -2)
    worth, bias = _worth(blocks)
    return (codes * worth[..., None] + bias[..., None]).flatten(-3)


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


def _q2_k(raw: Tensor) -> Quantised:
    """256 columns: 16 scales and minima of 4 bits, codes of 2 bits in two runs of 128, d, dmin."""
    blocks = _blocks(raw, 10)
    scale, least = blocks[..., :16] & 15, blocks[..., :16] >> 4
    each, lower = (_half(blocks[..., at : at + 2]).float()[..., None] for at in (80, 82))
    worth, bias = (each * scale).half(), (lower * -least.float()).half()
    codes = _twos(blocks[..., 16:80]).flatten(-2)
    return Quantised("int4", pack(codes), worth.flatten(-2), bias=bias.flatten(-2))


def _q3_k(raw: Tensor) -> Quantised:
    """256 columns: a third bit of each code, the other two, 16 scales of 6 bits, d."""
    blocks = _blocks(raw, 11)
    eight = torch.arange(8, dtype=torch.uint8, device=raw.device)[:, None]
    third = ((blocks[..., None, :32] >> eight) & 1).flatten(-2)
    codes = (_twos(blocks[..., 32:96]) | (third << 2)) + 4  # less 4 where the bit is not set
    low, high = blocks[..., 96:104], blocks[..., 104:108]
    low = torch.cat((low & 15, low >> 4), -1)
    scale = (low | (_twos(high) << 4)).view(torch.int8) - 32
    worth = _half(blocks[..., 108:]).float()[..., None] * scale
    return Quantised("int4", pack(codes.flatten(-2)), worth.flatten(-2).half())


def _twos(field: Tensor) -> Tensor:
    """Take codes of 2 bits apart, those of up to 32 bytes (…, b) at a time: first all lowest
    ones -> (…, 4 b).
    """
    run = min(32, field.shape[-1])
    shift = torch.tensor((0, 2, 4, 6), dtype=torch.uint8, device=field.device)[:, None]
    return ((_split(field, -1, 1, run) >> shift) & 3).flatten(-3)


def _tq1_0(raw: Tensor) -> Quantised:
    """256 columns of -1, 0 and 1: five in a byte, in base 3 from the highest on, and d."""
    blocks = _blocks(raw, 34)
    found = []
    for start, end, digits in ((0, 32, 5), (32, 48, 5), (48, 52, 4)):
        power = torch.tensor([3**at for at in range(digits)], dtype=torch.uint8, device=raw.device)
        found.append((blocks[..., None, start:end] * power[:, None]).flatten(-2))
    codes = (torch.cat(found, -1).int() * 3 >> 8) + 7
    return Quantised("int4", pack(codes.flatten(-2)), _half(blocks[..., 52:]))


def _tq2_0(raw: Tensor) -> Quantised:
    """The same, four in a byte."""
    blocks = _blocks(raw, 35)
    codes = _twos(blocks[..., :64]) + 7
    return Quantised("int4", pack(codes.flatten(-2)), _half(blocks[..., 64:]))


def _mxfp4(raw: Tensor) -> Quantised:
    """32 columns: the exponent of a scale, and codes of e2m1, which are kept as they are."""
    blocks = _blocks(raw, 39)
    power = blocks[..., 0].short()
    scale = torch.where(power == 0, 64, power << 7).view(torch.bfloat16)  # 2^-127 is subnormal
    return Quantised("e2m1", _nibbles(blocks[..., 1:]).flatten(-2), scale)


def _nvfp4(raw: Tensor) -> Quantised:
    """64 columns: four scales of e4m3, and codes of e2m1, which are kept as they are."""
    blocks = _blocks(raw, 40)
    scale = blocks[..., :4] & 127
    scale = torch.where(scale == 127, 0, scale).view(torch.float8_e4m3fn).flatten(-2)
    return Quantised("e2m1", _nibbles(_split(blocks[..., 4:], 4, 8)).flatten(-3), scale)


_SIZES = {
    **{0: (1, 4), 1: (1, 2), 30: (1, 2)},  # F32, F16, BF16
    **{2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36)},
    **blocks_iq.SIZES,
}
"""Columns and bytes of a block, by ggml's type."""

_DECODERS: dict[int, Callable[[Tensor], Weight]] = {
    0: lambda raw: raw.view(torch.float32),
    1: lambda raw: raw.view(torch.float16),
    30: lambda raw: raw.view(torch.bfloat16),
    **{2: _q4_0, 3: _q4_1, 6: _q5_0, 8: _q8_0, 10: _q2_k, 11: _q3_k, 12: _q4_k, 14: _q6_k},
    **{34: _tq1_0, 35: _tq2_0, 39: _mxfp4, 40: _nvfp4},
    **blocks_iq.DECODERS,
}

_NUMBERS: dict[int, Callable[[Tensor], Tensor]] = {7: _q5_1, 13: _q5_k}

_WIDE = {6, 8, 14, *_NUMBERS, *blocks_iq.WIDE}
"""Types that become codes of 8 bits."""
