"""Routed experts: each token goes through its A chosen gated MLPs, weighted and summed.

Knows no router. Weights may be plain or quantised. On a GPU three kernels follow one that sorts the
tokens (`routing`): gate and up with what joins them, down, and each token's sum in the order of its
choices. Tokens are gathered and sums scattered where they are read and written, so that nothing is
copied; an expert's weights are read once for each tile of its tokens, and a second tile runs right
behind the first, while they are in the cache. Launches depend on shapes alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import (
    FORMS,
    PLAIN,
    Product,
    Tile,
    Unsummed,
    fixed,
    operand,
    ordered,
    place,
    product,
    suits,
    variant,
)
from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, tl, triton
from dgedit_kernels.geglu import geglu
from dgedit_kernels.qmatmul import qmatmul, whole
from dgedit_kernels.quantised import Quantised
from dgedit_kernels.routing import route
from dgedit_kernels.w8a8 import in_8_bits, rounded_reference, rounded_triton


def experts(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: Tensor | Quantised,
    down: Tensor | Quantised,
    *,
    laid: bool = False,
    most: int = 1,
) -> Product:
    """Run x (n, D) through each token's chosen experts -> their weighted sum (n, D) in x's dtype,
    or up to `most` summands of each for who reads it next. `laid`: x's columns lie in the planes
    that `decode.planes` says of both stacks.

    index and weight (n, A); gate_up (N, 2F, D), gate rows first; down (N, D, F). The stacks gate_up
    and down may be quantised.

    The kernels compute in x's dtype with sums in fp32, and round behind GELU, behind each expert
    and behind the sum. Odd shapes (`decode.suits`) take the PyTorch path there too, which waits for
    the device.
    """
    if gate_up.shape[0] == 1:  # one expert takes every token: nothing to sort
        return _linear(geglu(_linear(x, gate_up[0])), down[0]) * weight
    if on_gpu(x) and suits(gate_up) and suits(down) and not torch.is_grad_enabled():
        return experts_triton(x, index, weight, gate_up, down, laid=laid, most=most)
    return experts_reference(x, index, weight, gate_up, down)


def experts_reference(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: Tensor | Quantised,
    down: Tensor | Quantised,
) -> Tensor:
    """Compute `experts` in PyTorch.

    Tokens are sorted by expert, so that each expert is one matrix product over its own tokens.
    """
    eight = in_8_bits(x, gate_up), in_8_bits(x, down)
    if eight[0]:
        x = rounded_reference(x).worth(x.dtype)
    order = index.flatten().argsort(stable=True)  # (n A,)
    token = order // index.shape[1]
    counts = torch.bincount(index.flatten(), minlength=gate_up.shape[0]).tolist()
    outputs = []
    for expert, part in enumerate(x[token].split(counts)):
        if len(part):
            inner = geglu(_linear(part, gate_up[expert]))
            inner = rounded_reference(inner).worth(inner.dtype) if eight[1] else inner
            outputs.append(_linear(inner, down[expert]))
    joined = torch.cat(outputs) * weight.flatten()[order, None]
    return torch.zeros_like(x).index_add_(0, token, joined.to(x.dtype))


def experts_triton(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: Tensor | Quantised,
    down: Tensor | Quantised,
    *,
    laid: bool = False,
    most: int = 1,
) -> Product:
    """Compute `experts` by kernels, for weights that suit."""
    (many, joined, width), (count, active), inner = gate_up.shape, index.shape, down.shape[-1]
    assert joined == 2 * inner, (joined, inner)
    eight = in_8_bits(x, gate_up), in_8_bits(x, down)
    into, out_of = operand(gate_up, plain=eight[0]), operand(down, plain=eight[1])
    first, second = (
        _tile(one.planes, index.numel(), many, 1 if narrow else x.element_size())
        for one, narrow in zip((into, out_of), eight, strict=True)
    )
    order, tiles = route(index, many, rows=first.tokens)
    tokens = x.contiguous() if laid else ordered(x, into.planes)
    each = None
    if eight[0]:
        tokens, each = rounded_triton(tokens)
    hidden = x.new_empty(index.numel(), inner)
    launch(_gate_up_kernel, (tiles.shape[1] * divided(joined, first.rows),))(
        *(tokens, order, tiles, *into[:4], each, hidden, active, tiles.shape[1], inner),
        **{"OUT_PLANES": out_of.planes, **fixed(into, first)},
        num_warps=first.warps,
        num_stages=first.stages,
    )
    each = None
    if eight[1]:
        hidden, each = rounded_triton(hidden)
    parts = x.new_empty(count, active, width)
    launch(_down_kernel, (tiles.shape[1] * divided(width, second.rows),))(
        *(hidden, order, tiles, *out_of[:4], each, weight.contiguous(), parts),
        *(tiles.shape[1], width),
        **fixed(out_of, second),
        num_warps=second.warps,
        num_stages=second.stages,
    )
    found = Unsummed(parts, None, x.shape[:-1])
    return found if 1 < most >= active else whole(found, x.dtype)


def _linear(x: Tensor, weight: Tensor | Quantised) -> Tensor:
    return qmatmul(x, weight) if isinstance(weight, Quantised) else F.linear(x, weight)


def _tile(planes: int, choices: int, many: int, size: int) -> Tile:
    """Return the tile for so many choices of many experts, of numbers of `size` bytes.

    256 tokens with 8 choices of 128 experts are 16 for each on average, and more than that for half
    of them: room for half as many again gives nearly all experts a single tile. A matrix
    instruction of Hopper takes 32 tokens in no more time than 16. A load is 16 KiB of codes, and
    three, with those of x, take 60 to 84 KiB: two or three programs for a processor of Hopper, one
    on the smaller cards. Codes of 4 bits take twice the rows, since otherwise x, which comes from
    the second-level cache for each tile, has more bytes than they.
    """
    tokens = min(64, max(16, triton.next_power_of_2(divided(3 * choices, 2 * many))))
    if size == 4:
        return Tile(32, min(tokens, 32), 64, 4, 2)
    columns = 64 if (planes == 1 and size > 1) or tokens == 64 else 128
    return Tile(256, tokens, columns, 8, 3) if planes == 4 else Tile(128, tokens, columns, 4, 3)


@triton.jit
def _gate_up_kernel(
    x,
    order,
    tiles,
    codes,
    scale,
    bias,
    factor,
    token_factor,
    out,
    active,
    most,
    F: tl.constexpr,
    OUT_PLANES: tl.constexpr,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    BLOCKS: tl.constexpr = (F + ROWS // 2 - 1) // (ROWS // 2)
    tile, block = tl.program_id(0) // BLOCKS, tl.program_id(0) % BLOCKS
    expert = tl.load(tiles + tile)
    if expert < 0:
        return
    first, last = tl.load(tiles + most + tile), tl.load(tiles + 2 * most + tile)
    # half a tile, where that holds them: codes are read and decoded once at any rate
    # fmt: off
    if TOKENS == 16:
        _gate_up(x, order, codes, scale, bias, factor, token_factor, out, active, expert, block,
               first, last, F, OUT_PLANES, m, GROUP, KIND, PLANES, ROWS, TOKENS, COLUMNS)
    elif last - first <= TOKENS // 2:
        _gate_up(x, order, codes, scale, bias, factor, token_factor, out, active, expert, block,
               first, last, F, OUT_PLANES, m, GROUP, KIND, PLANES, ROWS, TOKENS // 2, COLUMNS)
    else:
        _gate_up(x, order, codes, scale, bias, factor, token_factor, out, active, expert, block,
               first, last, F, OUT_PLANES, m, GROUP, KIND, PLANES, ROWS, TOKENS, COLUMNS)
    # fmt: on


@triton.jit
def _gate_up(
    x,
    order,
    codes,
    scale,
    bias,
    factor,
    token_factor,
    out,
    active,
    expert,
    block,
    first,
    last,
    F: tl.constexpr,
    OUT_PLANES: tl.constexpr,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    HALF: tl.constexpr = ROWS // 2
    at = first + tl.arange(0, TOKENS)
    inside = at < last
    token = tl.load(order + at, mask=inside, other=0) // active
    # eight rows of gate, the same of up: a matrix instruction leaves row r and r + 8 to one thread
    each = tl.arange(0, ROWS)
    column = block * HALF + each // 16 * 8 + each % 8
    valid = column < F
    row = expert.to(tl.int64) * (2 * F) + each // 8 % 2 * F + column
    total = product(
        x + token.to(tl.int64) * m,
        inside,
        codes,
        scale,
        bias,
        row,
        valid,
        0,
        (m + COLUMNS - 1) // COLUMNS,
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
    pairs = total.reshape(ROWS // 16, 2, 8, TOKENS).permute(0, 2, 3, 1)
    gate, up = tl.split(pairs)
    # as in `geglu`
    value = gate * tl.sigmoid(1.5957691216 * (gate + 0.044715 * gate * gate * gate)) * up
    value = value.reshape(HALF, TOKENS).to(out.dtype.element_ty)
    column = block * HALF + tl.arange(0, HALF)
    to = out + at.to(tl.int64)[None, :] * F + place(column, F, OUT_PLANES)[:, None]
    tl.store(to, value, mask=(column < F)[:, None] & inside[None, :])


@triton.jit
def _down_kernel(
    x,
    order,
    tiles,
    codes,
    scale,
    bias,
    factor,
    token_factor,
    weight,
    out,
    most,
    D: tl.constexpr,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    BLOCKS: tl.constexpr = (D + ROWS - 1) // ROWS
    tile, block = tl.program_id(0) // BLOCKS, tl.program_id(0) % BLOCKS
    expert = tl.load(tiles + tile)
    if expert < 0:
        return
    first, last = tl.load(tiles + most + tile), tl.load(tiles + 2 * most + tile)
    # half a tile, where that holds them: codes are read and decoded once at any rate
    # fmt: off
    if TOKENS == 16:
        _down(x, order, codes, scale, bias, factor, token_factor, weight, out, expert, block,
               first, last, D, m, GROUP, KIND, PLANES, ROWS, TOKENS, COLUMNS)
    elif last - first <= TOKENS // 2:
        _down(x, order, codes, scale, bias, factor, token_factor, weight, out, expert, block,
               first, last, D, m, GROUP, KIND, PLANES, ROWS, TOKENS // 2, COLUMNS)
    else:
        _down(x, order, codes, scale, bias, factor, token_factor, weight, out, expert, block,
               first, last, D, m, GROUP, KIND, PLANES, ROWS, TOKENS, COLUMNS)
    # fmt: on


@triton.jit
def _down(
    x,
    order,
    codes,
    scale,
    bias,
    factor,
    token_factor,
    weight,
    out,
    expert,
    block,
    first,
    last,
    D: tl.constexpr,
    m: tl.constexpr,
    GROUP: tl.constexpr,
    KIND: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    at = first + tl.arange(0, TOKENS)
    inside = at < last
    column = block * ROWS + tl.arange(0, ROWS)
    valid = column < D
    row = expert.to(tl.int64) * D + column
    total = product(
        x + at.to(tl.int64) * m,
        inside,
        codes,
        scale,
        bias,
        row,
        valid,
        0,
        (m + COLUMNS - 1) // COLUMNS,
        m,
        GROUP,
        KIND,
        PLANES,
        COLUMNS,
    )
    if factor is not None:
        total *= tl.load(factor + row, mask=valid, other=0.0)[:, None]
    if token_factor is not None:
        total *= tl.load(token_factor + at, mask=inside, other=0.0)[None, :]
    choice = tl.load(order + at, mask=inside, other=0)
    total *= tl.load(weight + choice, mask=inside, other=0.0).to(tl.float32)[None, :]
    to = out + choice.to(tl.int64)[None, :] * D + column[:, None]
    tl.store(to, total.to(out.dtype.element_ty), mask=valid[:, None] & inside[None, :])


def variants() -> list[Variant]:
    """Return the kernels' variants for a canvas of 256 tokens with 8 choices of 128 experts."""
    types = {"order": "*i32", "tiles": "*i32", "most": "i32"}
    found = []
    for form in ("plain", "nvfp4", "q4_k", "q8_0", "fp8", "w8a8"):
        planes = 4 if FORMS[form][0] in ("int4", "e2m1") else 2
        planes = 1 if FORMS[form][0] == PLAIN else planes
        tile = _tile(planes, 2048, 128, 1 if form == "w8a8" else 2)
        more = {"F": 704, "OUT_PLANES": planes}
        args = types | {"active": "i32"}
        found.append(variant(_gate_up_kernel, form, 2816, tile=tile, types=args, constants=more))
        args, more = types | {"weight": "*bf16"}, {"D": 2816}
        found.append(variant(_down_kernel, form, 704, tile=tile, types=args, constants=more))
    return found
