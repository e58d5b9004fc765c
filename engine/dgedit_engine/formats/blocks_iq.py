"""Convert llama.cpp's IQ blocks, whose codes are looked up, to ours.

A code stands for a number of a table (IQ4), or for a whole run of 4 or 8 magnitudes that a grid
lists, with signs and scales beside it (IQ1 to IQ3). What a grid lists is a handful of whole
numbers: those of IQ1 and IQ3_S are codes of 4 bits exactly, those of IQ2 and IQ3_XXS and the
table's are exact in 8, and in 4 within 6%, which is less than their own step. Scales are rounded to
fp16.

Source: ggml's `ggml-quants.c` and `ggml-common.h`, whose grids are in `grids.bin`, packed as in
gguf-py's `quants.py` (MIT licence, the ggml authors).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_kernels.quantised import Quantised, pack

_IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
_IQ2 = (8, 25, 43)
_IQ3 = (4, 12, 20, 28, 36, 44, 52, 62)
_GRIDS = {  # rows, numbers of a row, and bits of each
    **{"iq2_xxs": (256, 8, 2), "iq2_xs": (512, 8, 2), "iq2_s": (1024, 8, 2)},
    **{"iq3_xxs": (256, 4, 4), "iq3_s": (512, 4, 4), "iq1": (2048, 8, 2)},
}


class _Runs(NamedTuple):
    """Numbers by their places in a list of magnitudes."""

    level: Tensor
    """(…, groups, g) uint8: the place of each."""
    negative: Tensor
    """The same shape, bool."""
    scale: Tensor
    """(…, groups) fp32."""


def _iq2_xxs(raw: Tensor) -> _Runs:
    blocks = _split(raw, -1, (-1, 66))
    groups = _split(blocks[..., 2:], -1, (8, 8))
    word = _word(groups[..., 4:])
    scale = _half(blocks)[..., None] * ((word >> 28 & 15) + 0.5) * 0.25
    level = _grid("iq2_xxs", raw)[groups[..., :4].int()]
    return _Runs(level.flatten(-2), _packed_signs(word).flatten(-2), scale)


def _iq2_xs(raw: Tensor) -> _Runs:
    blocks = _split(raw, -1, (-1, 74))
    pairs = _split(blocks[..., 2:66].int(), -1, (16, 2, 2))
    word = pairs[..., 0] | pairs[..., 1] << 8
    level = _grid("iq2_xs", raw)[word & 511]
    negative = _bits(_parity(word >> 9))
    return _Runs(level.flatten(-2), negative.flatten(-2), _fours(blocks, 66))


def _iq2_s(raw: Tensor) -> _Runs:
    blocks = _split(raw, -1, (-1, 82))
    low, high = blocks[..., 2:34].int(), blocks[..., 66:74].int()
    two = torch.arange(0, 8, 2, device=raw.device)
    index = low | ((high[..., None] >> two & 3) << 8).flatten(-2)
    level = _split(_grid("iq2_s", raw)[index], -2, (16, 2))
    negative = _split(_bits(blocks[..., 34:66].int()), -2, (16, 2))
    return _Runs(level.flatten(-2), negative.flatten(-2), _fours(blocks, 74))


def _iq3_xxs(raw: Tensor) -> _Runs:
    blocks = _split(raw, -1, (-1, 98))
    word = _word(_split(blocks[..., 66:], -1, (8, 4)))
    scale = _half(blocks)[..., None] * ((word >> 28 & 15) + 0.5) * 0.5
    level = _split(_grid("iq3_xxs", raw)[blocks[..., 2:66].int()], -2, (8, 8))
    return _Runs(level.flatten(-2), _packed_signs(word).flatten(-2), scale)


def _iq3_s(raw: Tensor) -> Quantised:
    blocks = _split(raw, -1, (-1, 110))
    ninth = _bits(blocks[..., 66:74].int()).flatten(-2)
    level = _grid("iq3_s", raw)[blocks[..., 2:66].int() | ninth.int() << 8]
    negative = _split(_bits(blocks[..., 74:106].int()).flatten(-2), -1, (8, 32))
    four = torch.arange(0, 8, 4, device=raw.device)
    scale = (blocks[..., 106:].int()[..., None] >> four & 15).flatten(-2)
    worth = _half(blocks)[..., None] * (2 * scale + 1)
    runs = _Runs(_split(level.flatten(-2), -1, (8, 32)), negative, worth)
    return _odd(_signed(runs, torch.arange(1, 16, 2, device=raw.device)), worth)


def _iq1_s(raw: Tensor) -> Quantised:
    """Groups of 32: each number is -1, 0 or 1, and an eighth more or less."""
    blocks = _split(raw, -1, (-1, 50))
    pairs = _split(blocks[..., 34:].int(), -1, (8, 2))
    word = pairs[..., 0] | pairs[..., 1] << 8
    three = torch.arange(0, 12, 3, device=raw.device)
    high = (word[..., None] >> three & 7).flatten(-2)
    level = _grid("iq1", raw)[blocks[..., 2:34].int() | high << 8]
    scale = _half(blocks)[..., None] * (2 * (word >> 12 & 7) + 1)
    bias = scale * torch.where(word & 0x8000 == 0, -0.875, -1.125)
    codes = level.flatten(-3)
    scale, bias = (each.flatten(-2).half() for each in (scale, bias))
    return Quantised("int4", pack(codes), scale, bias=bias)


def _iq1_m(raw: Tensor) -> Quantised:
    """The same with scales for 16, and an eighth more or less for 8: eighths are odd numbers."""
    blocks = _split(raw, -1, (-1, 56))
    pairs = _split(blocks[..., 48:].int(), -1, (4, 2))
    word = pairs[..., 0] | pairs[..., 1] << 8  # the fp16's bits are in the highest four of each
    whole = (word >> 12 << torch.arange(0, 16, 4, device=raw.device)).sum(-1)
    each = whole.short().view(torch.float16).float()
    three = torch.arange(0, 12, 3, device=raw.device)
    scale = each[..., None] * (2 * (word[..., None] >> three & 7).flatten(-2) + 1)
    four = torch.arange(0, 8, 4, device=raw.device)
    high = (blocks[..., 32:48].int()[..., None] >> four).flatten(-2)  # (…, 32)
    level = _grid("iq1", raw)[blocks[..., :32].int() | (high & 7) << 8]
    more = torch.where(high & 8 == 0, 1, -1)
    eighths = 8 * (level.int() - 1) + more[..., None]
    return _odd(_split(eighths.flatten(-2), -1, (16, 16)), scale / 8)


def _iq4_nl(raw: Tensor) -> Quantised:
    blocks = _split(raw, -1, (-1, 18))
    return Quantised("int8", _looked_up(blocks[..., 2:]).flatten(-2), _half(blocks).half())


def _iq4_xs(raw: Tensor) -> Quantised:
    blocks = _split(raw, -1, (-1, 136))
    low, high = blocks[..., 4:8].int(), blocks[..., 2:4].int()
    four, two = (torch.arange(0, 8, step, device=raw.device) for step in (4, 2))
    scale = (low[..., None] >> four & 15).flatten(-2)
    scale = scale | (high[..., None] >> two & 3).flatten(-2) << 4
    worth = _half(blocks)[..., None] * (scale - 32)
    codes = _looked_up(_split(blocks[..., 8:], -1, (8, 16)))
    return Quantised("int8", codes.flatten(-3), worth.flatten(-2).half())


def _wide(
    read: Callable[[Tensor], _Runs], levels: tuple[int, ...]
) -> Callable[[Tensor], Quantised]:
    """Keep the magnitudes as codes of 8 bits."""

    def made(raw: Tensor) -> Quantised:
        runs = read(raw)
        codes = _signed(runs, torch.tensor(levels, device=raw.device)).to(torch.int8)
        return Quantised("int8", codes.flatten(-3), runs.scale.flatten(-2).half())

    return made


def _iq2_narrow(read: Callable[[Tensor], _Runs]) -> Callable[[Tensor], Quantised]:
    """Take 8, 25 and 43 as 1, 3 and 5 times 8.5."""

    def made(raw: Tensor) -> Quantised:
        runs = read(raw)
        codes = _signed(runs, torch.tensor((1, 3, 5), device=raw.device)) + 8
        return Quantised("int4", pack(codes.flatten(-3)), (runs.scale * 8.5).flatten(-2).half())

    return made


def _iq3_narrow(raw: Tensor) -> Quantised:
    """Take 4, 12, … 52 and 62 as 4 times the odd numbers up to 15."""
    runs = _iq3_xxs(raw)
    return _odd(_signed(runs, torch.arange(1, 16, 2, device=raw.device)), runs.scale * 4)


def _odd(numbers: Tensor, scale: Tensor) -> Quantised:
    """Odd numbers (…, blocks, groups, g) from -15 to 15, and their scales (…, blocks, groups)."""
    step = (2 * scale.flatten(-2)).half()
    bias = (-7.5 * step.float()).half()
    return Quantised("int4", pack(((numbers + 15) >> 1).flatten(-3)), step, bias=bias)


def _signed(runs: _Runs, levels: Tensor) -> Tensor:
    """Return the numbers, int32."""
    found = levels.int()[runs.level.int()]
    return torch.where(runs.negative, -found, found)


@cache
def _grids() -> dict[str, Tensor]:
    """Read all grids, (rows, numbers of a row) uint8: places in a list of numbers."""
    raw = torch.frombuffer(
        bytearray(Path(__file__).with_name("grids.bin").read_bytes()), dtype=torch.uint8
    )
    found, start = {}, 0
    for name, (rows, length, bits) in _GRIDS.items():
        size = rows * length * bits // 8
        shift = torch.arange(0, 8, bits, dtype=torch.uint8)
        level = raw[start : start + size, None] >> shift & (1 << bits) - 1
        found[name] = level.reshape(rows, length)
        start += size
    return found


def _grid(name: str, beside: Tensor) -> Tensor:
    return _grids()[name].to(beside.device)


def _split(field: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """One dimension, counted from the last, as several."""
    behind = field.shape[field.dim() + dim + 1 :]
    return field.reshape(*field.shape[: field.dim() + dim], *sizes, *behind)


def _half(blocks: Tensor) -> Tensor:
    """The fp16 that blocks (…, b) begin with, as fp32 (…)."""
    return blocks[..., :2].contiguous().view(torch.float16)[..., 0].float()


def _word(field: Tensor) -> Tensor:
    """Four bytes (…, 4) -> int32 (…)."""
    return field.clone(memory_format=torch.contiguous_format).view(torch.int32)[..., 0]


def _bits(byte: Tensor) -> Tensor:
    """Bytes (…) -> their bits from the lowest on, bool (…, 8)."""
    return byte[..., None] >> torch.arange(8, device=byte.device) & 1 == 1


def _parity(seven: Tensor) -> Tensor:
    """Add an eighth bit that makes the number of bits even."""
    folded = seven ^ seven >> 4
    folded = folded ^ folded >> 2
    return seven | ((folded ^ folded >> 1) & 1) << 7


def _packed_signs(word: Tensor) -> Tensor:
    """Four times seven signs in a word (…), an eighth by their parity -> bool (…, 4, 8)."""
    seven = torch.arange(0, 28, 7, device=word.device)
    return _bits(_parity(word[..., None] >> seven & 127))


def _fours(blocks: Tensor, start: int) -> Tensor:
    """The 16 scales of IQ2_XS and IQ2_S, of four bits each from byte `start` on."""
    four = torch.arange(0, 8, 4, device=blocks.device)
    scale = (blocks[..., start : start + 8].int()[..., None] >> four & 15).flatten(-2)
    return _half(blocks)[..., None] * (scale + 0.5) * 0.25


def _looked_up(field: Tensor) -> Tensor:
    """Bytes (…, h) whose low halves are h codes of IQ4's table, whose high halves the next h ->
    int8 (…, 2 h).
    """
    table = torch.tensor(_IQ4, dtype=torch.int8, device=field.device)
    return table[torch.cat((field & 15, field >> 4), -1).int()]


SIZES = {
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18)},
    **{21: (256, 110), 22: (256, 82), 23: (256, 136), 29: (256, 56)},
}
"""Columns and bytes of a block, by ggml's type."""

DECODERS: dict[int, Callable[[Tensor], Quantised]] = {
    **{16: _wide(_iq2_xxs, _IQ2), 17: _wide(_iq2_xs, _IQ2), 18: _wide(_iq3_xxs, _IQ3)},
    **{19: _iq1_s, 20: _iq4_nl, 21: _iq3_s, 22: _wide(_iq2_s, _IQ2), 23: _iq4_xs, 29: _iq1_m},
}
"""Functions from rows' bytes (…, n, b) uint8 to a matrix, by ggml's type."""

NARROW: dict[int, Callable[[Tensor], Quantised]] = {
    **{16: _iq2_narrow(_iq2_xxs), 17: _iq2_narrow(_iq2_xs), 22: _iq2_narrow(_iq2_s)},
    18: _iq3_narrow,
}
"""The same to 4 bits, where their numbers are known better than by rounding."""

WIDE = (16, 17, 18, 20, 22, 23)
"""Types that become codes of 8 bits."""
