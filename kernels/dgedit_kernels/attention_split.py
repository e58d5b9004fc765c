"""`attention.attend` on a GPU: a prompt's keys in their buffer, the new tokens' own beside them.

Knows shapes and the card, nothing of who wrote the keys. Why it is fast. All query heads of a key
head are rows of one tile, so that a key is loaded once for them. A canvas of 256 slots is 32 tiles
of 128 rows for 132 processors: each tile's keys are shared out evenly among as many programs as
there is room for, whatever the prompt's length, and a second kernel weighs what they found, 4 MB
for each share. The sums of 128 rows and 512 columns would take all registers of a processor, so a
program takes 256 columns, and scores are computed twice. The launch depends on shapes alone.

Source: online softmax, Milakov & Gimelshein, arXiv 1805.02867; tiles, Dao, arXiv 2307.08691.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_kernels.dispatch import TARGETS, Variant, divided, launch, tl, triton

_SPLITS = 16
"""Most programs that share the keys of a tile: what they write grows with them."""
_HOPPER = 227
"""KiB of shared memory of a program on a card with warp-group matrix instructions."""


def attend_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prompt_k: Tensor,
    prompt_v: Tensor,
    extent: Tensor,
    *,
    causal: bool,
    window: int | None = None,
    own: Tensor | None = None,
    offset: Tensor | None = None,
    processors: int = 132,
    shared: int = _HOPPER,
) -> Tensor:
    """Compute `attend` by kernels, for a card with so many processors and KiB of shared memory.

    E is a power of two from 16. The launch depends on shapes alone.
    """
    (batch, heads, n, width), (kv_heads, slots) = q.shape, prompt_k.shape[1:3]
    assert prompt_k.stride() == prompt_v.stride() and prompt_k.shape == prompt_v.shape
    assert all(each.stride(3) == 1 for each in (q, k, v, prompt_k)), "rows in one piece"
    assert width >= 16 and width & (width - 1) == 0, width
    assert max(slots * prompt_k.stride(2), n * q.stride(2)) < 2**31, "32-bit offsets in a head"
    if prompt_k.dtype == torch.float8_e4m3fn:  # not every card knows it
        prompt_k, prompt_v = prompt_k.view(torch.int8), prompt_v.view(torch.int8)
    group, reach = heads // kv_heads, slots if window is None else min(slots, window + n)
    tile = _tile(group * n, width, q.element_size(), shared)
    programs = (divided(group * n, tile.rows) * width // tile.columns, kv_heads * batch)
    blocks = divided(reach, tile.keys) + divided(n, tile.keys)
    splits = max(1, min(processors // (programs[0] * programs[1]), blocks, _SPLITS))
    out, count = q.new_empty(batch, n, heads, width), batch * n * heads
    parts, lse = out, None
    if splits > 1:
        parts = q.new_empty(splits, *out.shape, dtype=torch.float32)
        lse = q.new_empty(splits, *out.shape[:3], dtype=torch.float32)
    launch(_attend_kernel, (programs[0], splits, programs[1]))(
        *(q, k, v, prompt_k, prompt_v, extent, own, offset, parts, lse),
        *(stride for each in (q, k, v) for stride in each.stride()[:3]),
        *(0 if len(prompt_k) == 1 else prompt_k.stride(0), *prompt_k.stride()[1:3]),
        *(n, window, splits, count),
        *(causal, kv_heads, group, width, tile.columns, tile.rows, tile.keys),
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    if lse is not None:
        launch(_combine_kernel, (count,))(
            *(parts, lse, out, count, splits, width, triton.next_power_of_2(splits))
        )
    return out


class _Tile(NamedTuple):
    """The part of the work that a program takes."""

    rows: int
    keys: int
    columns: int
    warps: int
    stages: int


def _tile(rows: int, width: int, size: int, shared: int) -> _Tile:
    """Return the tile for `rows` queries of a key head, `width` numbers of `size` bytes, and
    `shared` KiB.

    A key is read from the second-level cache once for each tile, which is what takes longest: as
    many rows as registers hold. Hopper's matrix instructions want 64 for each of two groups of four
    warps; queries and two blocks of keys and values take 192 KiB at E 256 and 224 at 512. The older
    instructions are fed by registers, which hold fewer. There, warps share out keys and columns, so
    that none computes another's scores, as long as there are more keys than rows: 84 KiB with one
    block under way, 148 with two.
    """
    row = width * size  # bytes
    keys = max(16, min(64, 32768 // row))
    if shared >= _HOPPER and rows > 32 and size == 2:
        return _Tile(128, keys, min(256, width), warps=8, stages=2)
    rows, warps = max(16, min(32, 16384 // row)), max(4, keys // 8)
    return _Tile(rows, keys, width, warps, stages=3 if shared >= 160 else 2)


@triton.jit
def _loaded(at, valid, dtype: tl.constexpr):
    if at.dtype.element_ty == tl.int8:
        # e4m3, decoded by shifts: the sign to bit 31, the rest to where an fp32 has the low bits of
        # its exponent, whose bias is greater by 120
        code = tl.load(at, mask=valid, other=0).to(tl.int32) << 20
        value = (code & -0x78100000).to(tl.float32, bitcast=True) * 1.329227995784916e36
        return value.to(dtype)
    return tl.load(at, mask=valid, other=0.0).to(dtype)


@triton.jit
def _step(q, k, v, seen, total, norm, peak):
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * 1.4426950408889634  # log2(e)
    scores = tl.where(seen, scores, float("-inf"))
    higher = tl.maximum(peak, tl.max(scores, 1))
    base = tl.where(higher == float("-inf"), 0.0, higher)  # a row that has seen nothing yet
    weight = tl.exp2(scores - base[:, None])
    shrunk = tl.exp2(peak - base)
    norm = norm * shrunk + tl.sum(weight, 1)
    total = tl.dot(weight.to(v.dtype), v, total * shrunk[:, None], input_precision="ieee")
    return total, norm, higher


@triton.jit
def _attend_kernel(
    q,
    k,
    v,
    prompt_k,
    prompt_v,
    extent,
    own,
    offset,
    out,
    lse,
    q_batch,
    q_head,
    q_token,
    k_batch,
    k_head,
    k_token,
    v_batch,
    v_head,
    v_token,
    prompt_batch,
    prompt_head,
    prompt_token,
    n,
    window,
    splits,
    count,
    CAUSAL: tl.constexpr,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    E: tl.constexpr,
    COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
):
    parts: tl.constexpr = E // COLUMNS
    tile, part, split = tl.program_id(0) // parts, tl.program_id(0) % parts, tl.program_id(1)
    batch, head = (tl.program_id(2) // K).to(tl.int64), tl.program_id(2) % K
    dtype: tl.constexpr = q.dtype.element_ty
    wide, key = tl.arange(0, E)[None, :], tl.arange(0, KEYS)
    column = part * COLUMNS + tl.arange(0, COLUMNS)[None, :]

    row = tile * ROWS + tl.arange(0, ROWS)
    token, inside, asking = row // GROUP, row < n * GROUP, head * GROUP + row % GROUP
    at = q + batch * q_batch + asking * q_head + token * q_token
    query = tl.load(at[:, None] + wide, mask=inside[:, None], other=0.0)
    place = token
    if offset is not None:
        place = tl.load(offset + token, mask=inside, other=0)
    if own is not None:
        sequence = tl.load(own + token, mask=inside, other=0)

    first, end = tl.load(extent), tl.load(extent + 1)
    earliest = 0
    if window is not None:
        if CAUSAL:
            earliest = tl.min(tl.where(inside, place, 2147483647), 0)
        first = tl.maximum(first, end - window + 1 + earliest)
    own_first, own_end = 0, n
    if CAUSAL and own is None and offset is None:
        own_end = tl.minimum(n, (tile * ROWS + ROWS - 1) // GROUP + 1)
        if window is not None:
            own_first = tl.maximum(0, tile * ROWS // GROUP - window + 1)
    # blocks of the prompt's keys, then of the tokens' own: this program's share of them
    past = tl.cdiv(tl.maximum(end - first, 0), KEYS)
    blocks = past + tl.cdiv(own_end - own_first, KEYS)
    start, stop = blocks * split // splits, blocks * (split + 1) // splits

    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    norm = tl.zeros((ROWS,), tl.float32)
    peak = tl.full((ROWS,), float("-inf"), tl.float32)
    prompt_k += batch * prompt_batch + head * prompt_head
    prompt_v += batch * prompt_batch + head * prompt_head
    for block in range(start, tl.minimum(stop, past)):
        slot = first + block * KEYS + key
        valid = slot < end
        to = slot[:, None] * prompt_token
        keys = _loaded(prompt_k + to + wide, valid[:, None], dtype)
        values = _loaded(prompt_v + to + column, valid[:, None], dtype)
        seen = valid[None, :]
        if CAUSAL and window is not None:
            seen &= slot[None, :] - end > place[:, None] - window
        total, norm, peak = _step(query, keys, values, seen, total, norm, peak)
    k += batch * k_batch + head * k_head
    v += batch * v_batch + head * v_head
    for block in range(tl.maximum(start, past), stop):
        other = own_first + (block - past) * KEYS + key
        valid = other < own_end
        keys = _loaded(k + other[:, None] * k_token + wide, valid[:, None], dtype)
        values = _loaded(v + other[:, None] * v_token + column, valid[:, None], dtype)
        seen = valid[None, :]
        if own is not None:
            seen &= sequence[:, None] == tl.load(own + other, mask=valid, other=0)[None, :]
        if CAUSAL:
            if offset is not None:
                other = tl.load(offset + other, mask=valid, other=0)
            seen &= other[None, :] <= place[:, None]
            if window is not None:
                seen &= other[None, :] > place[:, None] - window
        total, norm, peak = _step(query, keys, values, seen, total, norm, peak)

    to = (batch * n + token) * (K * GROUP) + asking
    if lse is not None:  # -inf where nothing was seen, whose sums nobody reads
        to += split.to(tl.int64) * count
        tl.store(lse + to, peak + tl.log2(norm), mask=inside & (part == 0))
        inside &= norm > 0
    found = (total / norm[:, None]).to(out.dtype.element_ty)
    tl.store(out + to[:, None] * E + column, found, mask=inside[:, None])


@triton.jit
def _combine_kernel(parts, lse, out, count, splits, E: tl.constexpr, SPLITS: tl.constexpr):
    row, split = tl.program_id(0).to(tl.int64), tl.arange(0, SPLITS)
    wide, to = tl.arange(0, E), split.to(tl.int64) * count + row
    each = tl.load(lse + to, mask=split < splits, other=float("-inf"))
    weight = tl.exp2(each - tl.max(each, 0))
    seen = (weight > 0)[:, None]  # nothing is loaded of a program that had no keys
    found = tl.load(parts + to[:, None] * E + wide[None, :], mask=seen, other=0.0)
    mixed = tl.sum(found * weight[:, None], 0) / tl.sum(weight, 0)
    tl.store(out + row * E + wide, mixed.to(out.dtype.element_ty))


def variants() -> list[Variant]:
    """Return the kernels' variants. For the released model: a canvas and a chunk of text in both
    kinds of layer, on a prompt of 16 and of 8 bits. For Gemma 3 270M: a canvas in a sliding layer,
    a text in a full one.
    """
    queries = dict.fromkeys(("q", "k", "v"), "*bf16")
    lists = {"extent": "*i32", "n": "i32", "splits": "i32", "count": "i32"}
    combine = {"parts": "*fp32", "lse": "*fp32", "out": "*bf16", "count": "i32", "splits": "i32"}
    found = [
        Variant(f"attend combine {E}", _combine_kernel, combine, {"E": E, "SPLITS": SPLITS})
        for E, SPLITS in ((256, 4), (512, 16))
    ]
    kinds = (
        ("sliding canvas", 16, 8, 256, False, "*bf16"),
        ("sliding text", 16, 8, 256, True, "*i8"),
        ("full canvas", 16, 2, 512, False, "*bf16"),
        ("full text", 16, 2, 512, True, "*i8"),
        ("sliding gemma3 canvas", 4, 1, 256, False, "*bf16"),
        ("full gemma3 text", 4, 1, 256, True, "*bf16"),
    )
    for (name, asking, heads, E, causal, code), wide in product(kinds, (False, True)):
        tile = _tile(256 * asking // heads, E, 2, _HOPPER if wide else 99)
        types = {**queries, **lists, "prompt_k": code, "prompt_v": code}
        types |= {"window": "i32"} if name.startswith("sliding") else {}
        # candidates to be scored stand side by side and fill a card; a canvas shares its keys out
        types |= {"own": "*i32", "offset": "*i32", "out": "*bf16"} if causal else {}
        types |= {} if causal else {"out": "*fp32", "lse": "*fp32"}
        # strides are constants here, since a launch sees by itself that 16 divides them
        token = {"q": asking * E, "k": heads * E, "v": (asking + 2 * heads) * E, "prompt": E}
        strides = {f"{of}_token": size for of, size in token.items()}
        strides |= {f"{of}_head": E for of in "qkv"} | {"prompt_head": 4096 * E}
        strides |= {f"{of}_batch": 256 * token[of] for of in "qkv"} | {"prompt_batch": 0}
        constants = {**strides, "CAUSAL": causal, "K": heads, "GROUP": asking // heads, "E": E}
        constants |= {"COLUMNS": tile.columns, "ROWS": tile.rows, "KEYS": tile.keys}
        absent = set(_attend_kernel.arg_names) - types.keys() - constants.keys()
        constants |= dict.fromkeys(absent)
        name = f"attend {name} wide" if wide else f"attend {name}"
        targets = (90,) if wide else TARGETS
        options = {"warps": tile.warps, "stages": tile.stages, "targets": targets}
        found.append(Variant(name, _attend_kernel, types, constants, **options))
    return found
