"""Multiply with a quantised weight.

Knows codes as `quantised` has them, and no layers. On a GPU codes are decoded in registers
(`decode`), so that the weight is read from memory in the bits that it has. Few rows of x leave few
programs for 132 processors; the columns are then shared out among several, whose sums a second
kernel adds in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import (
    FEW,
    Product,
    Tile,
    Unsummed,
    fixed,
    operand,
    ordered,
    product,
    suits,
    variant,
)
from dgedit_kernels.dispatch import Variant, card, divided, launch, on_gpu, tl, triton
from dgedit_kernels.frozen import frozen_product, rows_of
from dgedit_kernels.quantised import Quantised
from dgedit_kernels.w8a8 import in_8_bits, rounded_reference, rounded_triton

_SPLITS = 16
"""Most programs that share the columns of a tile: what they write grows with them."""


def qmatmul(x: Tensor, weight: Quantised, *, laid: bool = False) -> Tensor:
    """Multiply x (…, m) by weight (n, m) -> (…, n) in x's dtype, bfloat16, float16 or float32.

    The kernel rounds scales and scaled codes to bfloat16 where that is x's dtype, and sums in fp32.
    With a weight that asks for it x is rounded to 8 bits, where it has many rows (`w8a8`).
    Odd shapes (`decode.suits`) take the PyTorch path there too. Where x needs a gradient it gets
    one, the weight none (`frozen`). `laid`: x's columns lie in the planes that `decode.planes`
    says.
    """
    if x.requires_grad and torch.is_grad_enabled():
        return frozen_product(x, weight, qmatmul)
    found = qmatmul_parts(x, weight, laid=laid, most=1)
    assert isinstance(found, Tensor)
    return found


def qmatmul_parts(x: Tensor, weight: Quantised, *, laid: bool = False, most: int = FEW) -> Product:
    """Multiply as `qmatmul` does, and leave up to `most` partial sums to who reads it next."""
    if x.requires_grad and torch.is_grad_enabled():
        return frozen_product(x, weight, qmatmul)
    if on_gpu(x) and suits(weight) and not torch.is_grad_enabled():
        return parts_triton(x, weight, processors=card(x).processors, laid=laid, most=most)
    if in_8_bits(x, weight):
        x = rounded_reference(x.flatten(0, -2)).worth(x.dtype).view(x.shape)
    parts = [qmatmul_reference(x, weight[part]) for part in rows_of(weight)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def qmatmul_reference(x: Tensor, weight: Quantised) -> Tensor:
    """Compute `qmatmul` with the whole weight dequantised."""
    return F.linear(x, weight.dequantised(x.dtype))


def qmatmul_triton(x: Tensor, weight: Quantised, *, processors: int = 132) -> Tensor:
    """Compute `qmatmul` by kernels, for a card with so many processors; of a weight that suits."""
    found = parts_triton(x, weight, processors=processors)
    assert isinstance(found, Tensor)
    return found


def parts_triton(
    x: Tensor, weight: Quantised, *, processors: int = 132, laid: bool = False, most: int = 1
) -> Product:
    """Compute `qmatmul_parts` by kernels, for a card with so many processors."""
    both, rows, each = in_8_bits(x, weight), weight.shape[0], None
    taken = operand(weight, plain=both)
    tokens = x.reshape(-1, taken.columns)
    tokens = tokens.contiguous() if laid else ordered(tokens, taken.planes)
    if both:
        tokens, each = rounded_triton(tokens)
    tile = _tile(len(tokens), tokens.element_size())
    grid = (divided(len(tokens), tile.tokens), divided(rows, tile.rows))
    splits = _splits(grid[0] * grid[1], divided(taken.columns, tile.columns), tile, processors)
    out = x.new_empty(len(tokens), rows)
    parts = out
    if splits > 1:
        parts = x.new_empty(splits, *out.shape, dtype=torch.float32)
    factor = None if splits > 1 else taken.row
    launch(_qmatmul_kernel, (*grid, splits))(
        *(tokens, taken.codes, taken.scale, taken.bias, factor, each, parts),
        *(len(tokens), rows, splits),
        **fixed(taken, tile),
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    if splits > 1:
        found = Unsummed(parts.transpose(0, 1), taken.row, x.shape[:-1])
        return found if splits <= most else whole(found, x.dtype)
    return out.view(*x.shape[:-1], rows)


def whole(found: Product, dtype: torch.dtype) -> Tensor:
    """Return a product with its parts added, by a kernel where they are not, in this dtype."""
    if isinstance(found, Tensor):
        return found if found.dtype == dtype else found.to(dtype)
    count, _, columns = found.parts.shape
    out = found.parts.new_empty(count, columns, dtype=dtype)
    summed(found.parts, out, row=found.row)
    return out.view(*found.lead, columns)


def summed(parts: Tensor, out: Tensor, *, row: Tensor | None = None) -> None:
    """Write the sums over the middle of parts (M, S, n), in its order and fp32, times row (n,), to
    out (M, n).
    """
    count, splits, columns = parts.shape
    block = min(1024, triton.next_power_of_2(columns))
    launch(_sum_kernel, (divided(columns, block), count))(
        *(parts, row, out, parts.stride(0), parts.stride(1), columns, splits, block)
    )


def _tile(tokens: int, size: int) -> Tile:
    """Return the tile for so many rows of x, of numbers of `size` bytes.

    Three loads under way at a time fit the 99 KiB of the smaller cards, more than once. Many tokens
    take a taller tile, since each of the weight's rows is multiplied by all of x, which comes from
    the second-level cache, and fewer columns, of which x has the most bytes. fp32 is for small
    models and takes few of everything.
    """
    some = max(16, triton.next_power_of_2(tokens))
    if size == 4:
        return Tile(32, min(some, 32), 64, 4, 2)
    columns = 128 if some <= 32 or size == 1 else 64
    return Tile(64, some, columns, 4, 3) if some <= 32 else Tile(128, min(some, 128), columns, 8, 3)


def _splits(programs: int, steps: int, tile: Tile, processors: int) -> int:
    """Return how many programs share the columns of a tile.

    A program keeps 8 to 16 KiB of codes under way, and a processor needs 20 to 30 for its share of
    3.4 to 4.8 TB/s: four small programs for each. With many tokens the product takes longer than
    reading the codes, and each split writes and reads an output in fp32: one.
    """
    wanted = processors * (4 if tile.tokens <= 32 else 1)
    return max(1, min(wanted // programs, steps // 4, _SPLITS))


@triton.jit
def _qmatmul_kernel(
    x,
    codes,
    scale,
    bias,
    factor,
    token_factor,
    out,
    count,
    n,
    splits,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    STEPS: tl.constexpr = (m + COLUMNS - 1) // COLUMNS
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    split = tl.program_id(2)
    inside, valid = token < count, row < n
    total = product(
        x + token.to(tl.int64) * m,
        inside,
        codes,
        scale,
        bias,
        row.to(tl.int64),
        valid,
        STEPS * split // splits,
        STEPS * (split + 1) // splits,
        m,
        GROUP,
        KIND,
        PLANES,
        COLUMNS,
    )
    if factor is not None:
        total *= tl.load(factor + row, mask=valid, other=0.0)[:, None]
    if token_factor is not None:
        total *= tl.load(token_factor + token, mask=inside, other=0.0)[None, :]
    to = split.to(tl.int64) * count * n + token.to(tl.int64)[None, :] * n + row[:, None]
    tl.store(out + to, total.to(out.dtype.element_ty), mask=valid[:, None] & inside[None, :])


@triton.jit
def _sum_kernel(parts, row, out, stride, part_stride, n, SPLITS: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < n
    at = parts + token * stride + column
    total = tl.zeros((BLOCK,), tl.float32)
    for split in tl.static_range(SPLITS):
        total += tl.load(at + split * part_stride, mask=inside, other=0.0).to(tl.float32)
    if row is not None:
        total *= tl.load(row + column, mask=inside, other=0.0)
    tl.store(out + token * n + column, total.to(out.dtype.element_ty), mask=inside)


def variants() -> list[Variant]:
    """Return the kernels' variants for a canvas of 256 tokens."""
    types = {"count": "i32", "n": "i32", "splits": "i32"}
    kernel = _qmatmul_kernel
    found = [
        variant(kernel, form, 2816, tile=_tile(256, 2), types=types)
        for form in ("q4_0", "q4_k", "q8_0", "mlx8", "fp8")
    ]
    found.append(variant(kernel, "w8a8", 2816, tile=_tile(256, 1), types=types))
    sizes = {"parts": "*fp32", "out": "*bf16", "stride": "i32", "part_stride": "i32", "n": "i32"}
    shape = {"row": None, "SPLITS": 4, "BLOCK": 1024}
    return [*found, Variant("summed", _sum_kernel, sizes, shape)]
