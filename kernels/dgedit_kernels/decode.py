"""Decode quantised weights inside a kernel, and multiply a tile of them with some tokens.

Shared by `qmatmul` and `moe`; knows neither. A program holds a tile of the weight's rows and
multiplies it from the left, so that the rows fill a matrix instruction, whose height is 64 on
Hopper, however few the tokens are; the decoded operand is taken from registers there.

Why it is fast. Codes are read as words of 32 bits, 8 or 4 codes each, and decoded two at a time:
with the word shifted and masked, code i of its lower half and code i of its upper half are two
bfloat16 in one register, and an instruction for pairs does the rest. A 4-bit code takes 2.5
instructions that way and 4 byte by byte, where a card that reads 4.8 TB/s has time for 3. The
product does not mind the order of its columns: x's are brought into that order once (`ordered`),
one plane for each i, and no number moves from one thread to another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dgedit_kernels.dispatch import TARGETS, Variant, on_gpu, tl, triton
from dgedit_kernels.quantised import Quantised
from dgedit_kernels.w8a8 import in_8_bits

PLAIN = "plain"
"""The kind of a weight that is not quantised."""

_PLANES = {PLAIN: 1, "int8": 2, "e4m3": 2, "int4": 4, "e2m1": 4}
"""Pairs of codes in a word, by kind; 1: a word is a number."""


class Operand(NamedTuple):
    """A weight (…, n, m) in the form that kernels take."""

    codes: Tensor
    """int32 words, or plain numbers."""
    scale: Tensor | None
    """As in `Quantised`; e4m3 as int8, since not every card knows it."""
    bias: Tensor | None
    """As in `Quantised`."""
    row: Tensor | None
    """As in `Quantised`."""
    columns: int
    """Columns of the matrix, m."""
    group: int
    """Columns that share a scale."""
    kind: str
    """As in `Quantised`, or `PLAIN`."""

    @property
    def planes(self) -> int:
        """Planes of x's columns, see `ordered`."""
        return _PLANES[self.kind]


class Tile(NamedTuple):
    """The part of the work that a program takes."""

    rows: int
    """Rows of the weight."""
    tokens: int
    columns: int
    """Columns of the weight and of x, at a time."""
    warps: int
    stages: int
    """Depth of the pipeline that loads them."""


def suits(weight: Tensor | Quantised) -> bool:
    """Say whether the kernels take this weight: 16 columns or a multiple of it, and groups that are
    powers of two from 8, or rows.
    """
    if weight.shape[-1] % 16:
        return False
    if isinstance(weight, Tensor):
        return True
    group = weight.group
    return group == weight.shape[-1] or (group >= 8 and group & (group - 1) == 0)


def operand(weight: Tensor | Quantised, *, plain: bool = False) -> Operand:
    """Return a weight that suits in the form that kernels take, copied only where its matrices are
    not in one piece. `plain` takes codes of e4m3 for the numbers that they are.
    """
    columns = weight.shape[-1]
    if isinstance(weight, Tensor):
        return Operand(weight.contiguous(), None, None, None, columns, columns, PLAIN)
    part = {name: each.contiguous() for name, each in weight.parts().items()}
    if plain:
        return Operand(part["codes"], None, None, part.get("row"), columns, columns, PLAIN)
    codes, scale = part["codes"].view(torch.int32), part.get("scale")
    if scale is not None and scale.dtype == torch.float8_e4m3fn:
        scale = scale.view(torch.int8)
    rest = (scale, part.get("bias"), part.get("row"))
    return Operand(codes, *rest, columns, weight.group, weight.kind)


class Unsummed(NamedTuple):
    """A product whose columns several programs have shared, before their sums are added: whoever
    reads it next adds them as it reads, and spares a kernel.
    """

    parts: Tensor
    """(M, S, n): the sums, to be added in their order."""
    row: Tensor | None
    """(n,) fp32, which multiplies behind that. None: 1."""
    lead: torch.Size
    """The shape of the whole without its last dimension, of M rows."""


Product = Tensor | Unsummed
"""A product as a kernel that reads it next takes it."""

FEW = 8
"""Most parts that are left to the next reader, which has that many loads under way."""


def planes(x: Tensor, *weights: object) -> int:
    """Return the planes in which kernels want the columns of x for the first of these weights, all
    of which they take; 1, as they are, where a product is PyTorch's.
    """
    first = weights[0]
    if not isinstance(first, Quantised) or torch.is_grad_enabled() or not on_gpu(x):
        return 1
    if in_8_bits(x, first):
        return 1
    kernels = all(isinstance(one, Tensor | Quantised) and suits(one) for one in weights)
    return _PLANES[first.kind] if kernels else 1


def ordered(x: Tensor, planes: int) -> Tensor:
    """Return x (M, m) with its columns in P planes: of each 2P columns, plane i holds i and
    P + i.
    """
    if planes == 1:
        return x.contiguous()
    rows, columns = x.shape
    return x.reshape(rows, -1, 2, planes).permute(0, 3, 1, 2).reshape(rows, columns)


@triton.jit
def place(column, m: tl.constexpr, PLANES: tl.constexpr):
    """Where `ordered` puts a column."""
    if PLANES == 1:
        return column
    inner = column // (2 * PLANES) * 2 + column // PLANES % 2
    return column % PLANES * (m // PLANES) + inner


@triton.jit
def added(at, row, apart, place, inside, wide, PARTS: tl.constexpr):
    """The parts of an `Unsummed` in their order -> fp32, all loads under way at once."""
    value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    for part in tl.static_range(1, PARTS):
        value += tl.load(at + part * apart, mask=inside, other=0.0).to(tl.float32)
    if row is not None:
        value *= tl.load(row + place, mask=wide, other=0.0)
    return value


@triton.jit
def product(
    x,
    inside,
    codes,
    scale,
    bias,
    row,
    valid,
    first,
    last,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Rows of the weight (int64, and which of them there are) by tokens (pointers to `ordered`
    rows, and which of them there are) -> fp32 (rows, tokens), over the steps `first` to `last` of
    so many columns.
    """
    dtype: tl.constexpr = x.dtype.element_ty
    WORD: tl.constexpr = 1 if PLANES == 1 else 2 * PLANES  # columns
    WORDS: tl.constexpr = COLUMNS // WORD
    WIDTH: tl.constexpr = COLUMNS // PLANES
    # Hopper sums products of 8 bits in fewer bits than fp32 has: no more than a step's of them
    FEW: tl.constexpr = COLUMNS if dtype == tl.float8e4nv else None
    total = tl.zeros((row.shape[0], x.shape[0]), tl.float32)
    word, column = tl.arange(0, WORDS), tl.arange(0, WIDTH)
    from_row = codes + row * (m // WORD)
    for step in range(first, last):
        at = step * WORDS + word
        there, near = valid[:, None], inside[None, :]
        if m % COLUMNS != 0:
            there &= (at < m // WORD)[None, :]
            near &= (step * WIDTH + column < m // PLANES)[:, None]
        nothing: tl.constexpr = 0.0 if PLANES == 1 else 0
        words = tl.load(from_row[:, None] + at[None, :], mask=there, other=nothing)
        if scale is not None:
            factor = _spread(scale, row, valid, step, dtype, m, GROUP, PLANES, COLUMNS)
        if bias is not None:
            shift = _spread(bias, row, valid, step, dtype, m, GROUP, PLANES, COLUMNS)
        for plane in tl.static_range(PLANES):
            to = plane * (m // PLANES) + step * WIDTH + column
            some = tl.load(x[None, :] + to[:, None], mask=near, other=0.0)
            if PLANES == 1:
                part = words.to(dtype)
            else:
                part = _pair(words, plane, KIND, bias is None).to(dtype)
            # rounded behind each operation, so that the compiler may take the one for pairs of
            # bfloat16: a product in fp32 that is rounded at once is that
            if scale is not None:
                part = (part.to(tl.float32) * factor.to(tl.float32)).to(dtype)
            if bias is not None:
                part = (part.to(tl.float32) + shift.to(tl.float32)).to(dtype)
            total = tl.dot(part, some, total, input_precision="ieee", max_num_imprecise_acc=FEW)
    return total


@triton.jit
def _spread(
    source,
    row,
    valid,
    step,
    dtype: tl.constexpr,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    PLANES: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    # What each column of a plane has from its group, (rows, WIDTH), or (rows, 1) for them all.
    wide: tl.constexpr = m == GROUP or GROUP >= COLUMNS
    GROUPS: tl.constexpr = 1 if wide else COLUMNS // GROUP
    at = source + row * (m // GROUP)
    if m == GROUP:
        value = tl.load(at, mask=valid, other=0.0)[:, None]
    elif GROUP >= COLUMNS:
        value = tl.load(at + step * COLUMNS // GROUP, mask=valid, other=0.0)[:, None]
    else:
        group = step * GROUPS + tl.arange(0, GROUPS)
        there = valid[:, None]
        if m % COLUMNS != 0:
            there &= (group < m // GROUP)[None, :]
        value = tl.load(at[:, None] + group[None, :], mask=there, other=0.0)
    if source.dtype.element_ty == tl.int8:
        # e4m3: the sign to bit 31, the rest to where an fp32 has the low bits of its exponent,
        # whose bias is greater by 120
        code = value.to(tl.int32) << 20
        value = (code & -0x78100000).to(tl.float32, bitcast=True) * 1.329227995784916e36
    # half precision would lose small ones
    value = value.to(tl.bfloat16 if dtype == tl.bfloat16 else tl.float32)
    if not wide:
        full = tl.broadcast_to(value[:, :, None], (row.shape[0], GROUPS, GROUP // PLANES))
        value = full.reshape(row.shape[0], COLUMNS // PLANES)
    return value


@triton.jit
def _pair(word, PLANE: tl.constexpr, KIND: tl.constexpr, SIGNED: tl.constexpr):
    # The two codes PLANE of words (rows, words), as they count at scale 1: bfloat16 (rows, 2 words)
    # in which all codes are exact. 0x4300 is 128, whose last bit is worth 1.
    if KIND == "int4":
        value = _halves((word >> 4 * PLANE) & 0x000F000F | 0x43004300)
        value = value.to(tl.float32) - (136.0 if SIGNED else 128.0)
    elif KIND == "int8":
        # two's complement: the low seven bits less 128 where the eighth is set; 0x4380 is 256
        byte = word >> 8 * PLANE
        value = _halves(byte & 0x007F007F | 0x43004300).to(tl.float32)
        value -= _halves(byte & 0x00800080 | 0x43004300).to(tl.float32)
    elif KIND == "e2m1":
        # sign, and two bits of exponent with one of mantissa, to where bfloat16 has them; its bias
        # is greater by 126
        sign = (word << 12 - 4 * PLANE) & -0x7FFF8000
        if PLANE == 0:
            rest = word << 6
        elif PLANE == 1:
            rest = word << 2
        else:
            rest = word >> 4 * PLANE - 6
        value = _halves(rest & 0x01C001C0 | sign).to(tl.float32) * 8.507059173023462e37
    else:
        tl.static_assert(KIND == "e4m3")
        sign = (word << 8 - 8 * PLANE) & -0x7FFF8000
        rest = word << 4 if PLANE == 0 else word >> 4
        value = _halves(rest & 0x07F007F0 | sign).to(tl.float32) * 1.329227995784916e36
    return value.to(tl.bfloat16)


@triton.jit
def _halves(word):
    # The lower and the upper half of each word side by side, in the register where they are.
    both = tl.join(word.to(tl.int16), (word >> 16).to(tl.int16))
    return both.reshape(word.shape[0], 2 * word.shape[1]).to(tl.bfloat16, bitcast=True)


def fixed(weight: Operand, tile: Tile) -> dict[str, Any]:
    """Return the constants of a launch, and of a variant."""
    return {
        **{"m": weight.columns, "GROUP": weight.group, "KIND": weight.kind},
        **{"PLANES": weight.planes, "ROWS": tile.rows, "TOKENS": tile.tokens},
        "COLUMNS": tile.columns,
    }


def variant(
    kernel: Any,
    form: str,
    columns: int,
    *,
    tile: Tile,
    types: dict[str, str],
    constants: dict[str, Any] | None = None,
) -> Variant:
    """Return a kernel's variant for bfloat16 x and weights of one of `FORMS`."""
    kind, group, parts = FORMS[form]
    weight = Operand(torch.empty(0), None, None, None, columns, group or columns, kind)
    signature = types | {"x": "*bf16", "out": "*bf16"} | parts
    absent = dict.fromkeys({"scale", "bias", "factor", "token_factor"} - parts.keys())
    given = absent | fixed(weight, tile) | (constants or {})
    name = f"{kernel.__name__.strip('_').removesuffix('_kernel')} {form}"
    targets = (89, 90, 120) if "token_factor" in parts else TARGETS
    return Variant(name, kernel, signature, given, tile.warps, tile.stages, targets)


FORMS: dict[str, tuple[str, int | None, dict[str, str]]] = {
    "plain": (PLAIN, None, {"codes": "*bf16"}),
    "nvfp4": ("e2m1", 16, {"codes": "*i32", "scale": "*i8", "factor": "*fp32"}),
    "q4_0": ("int4", 32, {"codes": "*i32", "scale": "*fp16"}),
    "q4_k": ("int4", 32, {"codes": "*i32", "scale": "*fp16", "bias": "*fp16"}),
    "q8_0": ("int8", 32, {"codes": "*i32", "scale": "*fp16"}),
    "mlx8": ("int8", 64, {"codes": "*i32", "scale": "*bf16", "bias": "*fp16"}),
    "fp8": ("e4m3", None, {"codes": "*i32", "factor": "*fp32"}),
    "w8a8": (
        *(PLAIN, None),
        {"x": "*fp8e4nv", "codes": "*fp8e4nv", "factor": "*fp32", "token_factor": "*fp32"},
    ),
}
"""Forms of weights in released checkpoints: kind, group (None: a row), and the types of the
parts.
"""
