"""Rotary position embedding, alone and with the norms of queries, keys and values before it.

Split-half pairing: element i rotates with element i + E/2. Knows no caches and no masks. On a GPU
one launch reads what the product of a layer's q, k and v gave and writes all three as attention
wants them; angles are computed where they are used, from positions on the device, so that a
captured graph needs no table and no refill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, tl, triton
from dgedit_kernels.norm import rms_norm


@dataclass(frozen=True, slots=True)
class Rope:
    """The rotations of one forward pass's tokens, in layers of one shape."""

    positions: Tensor
    """(n,) int32 or int64; a captured graph rotates by the values here when it is replayed."""
    turn: Tensor
    """(E/2,) int32: how far a pair rotates from one position to the next, in 2^-32 of a turn."""
    table: tuple[Tensor, Tensor] | None = None
    """Cosine and sine (n, E), which the PyTorch path reads; None where the kernel runs."""


def rope_at(
    positions: Tensor,
    *,
    head_dim: int,
    theta: float,
    rotated: int,
    dtype: torch.dtype,
    stretch: float | Sequence[float] = 1.0,
    turn: Tensor | None = None,
) -> Rope:
    """Make the rotations of tokens at `positions` (n,), with a table in `dtype` where PyTorch will
    read it. `turn` is `rope_turn` of the rest, on the device, where it is kept: a copy from the
    host cannot be captured.

    `stretch` divides the positions (linear scaling, arXiv 2306.15595), each pair's by its own where
    there are several (Llama 3).

    Made once for a kind of layer and kept: on a GPU for as long as the tensor of positions is.
    """
    table = None
    if not on_gpu(positions) or torch.is_grad_enabled():
        cos, sin = rope_table(
            positions, head_dim=head_dim, theta=theta, rotated=rotated, stretch=stretch
        )
        table = cos.to(dtype), sin.to(dtype)
    if turn is None:
        turn = rope_turn(head_dim, theta, rotated, stretch).to(positions.device)
    return Rope(positions, turn, table)


def rope_turn(
    head_dim: int, theta: float, rotated: int, stretch: float | Sequence[float] = 1.0
) -> Tensor:
    """Return how far each pair rotates from one position to the next, as in `Rope`, on the CPU:
    not every device has float64.
    """
    stretched = torch.tensor(stretch, dtype=torch.float64)
    frequency = _frequency(head_dim, theta, rotated).double() / stretched
    return (frequency * (2**32 / math.tau)).round().long().int()


def rope_table(
    positions: Tensor,
    *,
    head_dim: int,
    theta: float,
    rotated: int,
    stretch: float | Sequence[float] = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return cosine and sine for each position, fp32 (n, E).

    Of the E/2 pairs only the first `rotated` rotate; the exponent's denominator is the whole width
    ("proportional", the full-attention layers of Gemma 4). With all pairs rotated this is
    RoFormer's table (arXiv 2104.09864).
    """
    frequency = (_frequency(head_dim, theta, rotated) / torch.tensor(stretch)).to(positions.device)
    angle = positions.float()[:, None] * frequency  # (n, E/2)
    return torch.cat((angle.cos(), angle.cos()), -1), torch.cat((angle.sin(), angle.sin()), -1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x (…, n, h, E) by cos, sin (n, E), the same for all h heads."""
    low, high = x.chunk(2, -1)
    turned = torch.cat((-high, low), -1)
    return x * cos[:, None] + turned * sin[:, None]


def qk_norm_rope(
    joined: Tensor,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
    rope: Rope,
    *,
    heads: int,
    kv_heads: int,
    shared: bool,
    eps: float,
    normed_values: bool = True,
    scale: float = 1.0,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Norm and rotate a layer's joined projection -> q (B, H, n, E), k and v (B, K, n, E).

    `joined` (B, n, H + 2K, E), or (B, n, H + K, E) where `shared`: the layer has no values of its
    own, and takes the raw keys. Queries and keys are normed over E with q_norm and k_norm (E,) and
    rotated; values are not rotated, and normed without a weight unless `normed_values` is False
    (Gemma 3). Without q_norm and k_norm nothing is normed, and queries are multiplied by `scale`
    (Llama); `bias` ((H + 2K) E,) is added before all else (Qwen2). The result has joined's dtype;
    the kernel's is contiguous.

    The kernel's angle is right to 2^-33 of a turn for each position, the table's to fp32's rounding
    of the angle: at position 262,143 they are 0.0002 and 0.008 radians off at worst.
    """
    assert normed_values or not shared, "keys that stand for values are normed"
    assert q_norm is not None or not normed_values, "values are normed where keys are"
    path = qk_norm_rope_reference
    if on_gpu(joined) and not torch.is_grad_enabled():
        path = qk_norm_rope_triton
    return path(
        *(joined, q_norm, k_norm, rope),
        heads=heads,
        kv_heads=kv_heads,
        shared=shared,
        eps=eps,
        normed_values=normed_values,
        scale=scale,
        bias=bias,
    )


def qk_norm_rope_reference(
    joined: Tensor,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
    rope: Rope,
    *,
    heads: int,
    kv_heads: int,
    shared: bool,
    eps: float,
    normed_values: bool = True,
    scale: float = 1.0,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `qk_norm_rope` in PyTorch, by the rope's table."""
    assert rope.table is not None, "a rope that was made for the kernel"
    if bias is not None:
        joined = joined + bias.to(joined.dtype).view(-1, joined.shape[-1])
    turning = heads + kv_heads
    if q_norm is None or k_norm is None:
        turned = rotate(joined[:, :, :turning], *rope.table).transpose(1, 2)
        return turned[:, :heads] * scale, turned[:, heads:], joined[:, :, turning:].transpose(1, 2)
    normed = rms_norm(joined, None, eps)
    weight = torch.cat((q_norm.expand(heads, -1), k_norm.expand(kv_heads, -1)))
    weight = weight if weight.dtype == joined.dtype else weight.to(joined.dtype)
    turned = rotate(normed[:, :, :turning] * weight, *rope.table).transpose(1, 2)
    values = normed if normed_values else joined
    v = values[:, :, heads if shared else turning :].transpose(1, 2)
    return turned[:, :heads], turned[:, heads:], v


def qk_norm_rope_triton(
    joined: Tensor,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
    rope: Rope,
    *,
    heads: int,
    kv_heads: int,
    shared: bool,
    eps: float,
    normed_values: bool = True,
    scale: float = 1.0,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `qk_norm_rope` by a kernel, from the rope's positions."""
    joined = joined if joined.stride(-1) == 1 else joined.contiguous()
    batch, n, _, width = joined.shape
    counts = (heads, kv_heads, kv_heads)
    out = joined.new_empty(batch * sum(counts) * n * width)
    weighted = q_norm is not None
    norms = [joined if one is None else one.contiguous() for one in (q_norm, k_norm)]
    # about 2048 elements for four warps: 16 for each thread, a load of 16 bytes from each half
    half = triton.next_power_of_2(width // 2)
    rows = min(triton.next_power_of_2(max(counts)), max(1, 1024 // half))
    groups = sum(divided(count, rows) for count in counts[: 2 if shared else 3])
    launch(_qk_norm_rope_kernel, (batch * n, groups))(
        *(joined, *norms, None if bias is None else bias.contiguous()),
        *(rope.positions, rope.turn, out),
        *(batch, n, joined.stride(0), joined.stride(1), joined.stride(2), eps, scale),
        *(heads, kv_heads, width, shared, weighted, normed_values, rows, half),
        num_warps=4,
    )
    parts = out.split([batch * count * n * width for count in counts])
    q, k, v = (part.view(batch, count, n, width) for part, count in zip(parts, counts, strict=True))
    return q, k, v


def _frequency(head_dim: int, theta: float, rotated: int) -> Tensor:
    """Return the radians that each pair rotates from one position to the next, fp32 (E/2,), on the
    CPU, and rounded as transformers does: `1 / theta^(2p/E)`.
    """
    pairs = torch.arange(rotated, dtype=torch.float32)
    frequency = torch.zeros(head_dim // 2)
    frequency[:rotated] = 1.0 / theta ** (2 * pairs / head_dim)
    return frequency


@triton.jit
def _direction(position, turn):
    """Cosine and sine behind `position` times `turn`, in 2^-32 of a turn: whole turns overflow."""
    angle = (position * turn).to(tl.int32).to(tl.float32)
    # A quarter of the angle, at most pi/4, by Taylor's series, which is 3e-8 off there; then
    # doubled twice. CUDA's own sine reduces its argument in a branch of hundreds of instructions
    # for each element.
    x = angle * (1.5707963267948966 / 4294967296.0)
    square = x * x
    sin = 1.0 / 362880.0 * square - 1.0 / 5040.0
    sin = (sin * square + 1.0 / 120.0) * square - 1.0 / 6.0
    sin = x + x * square * sin
    cos = 1.0 / 40320.0 * square - 1.0 / 720.0
    cos = (cos * square + 1.0 / 24.0) * square - 0.5
    cos = 1.0 + square * cos
    sin, cos = 2.0 * sin * cos, 1.0 - 2.0 * sin * sin
    sin, cos = 2.0 * sin * cos, 1.0 - 2.0 * sin * sin
    return cos, sin


@triton.jit
def _qk_norm_rope_kernel(
    joined,
    q_norm,
    k_norm,
    bias,
    positions,
    turn,
    out,
    batches,
    n,
    batch_stride,
    token_stride,
    head_stride,
    eps,
    scale,
    H: tl.constexpr,
    K: tl.constexpr,
    E: tl.constexpr,
    SHARED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    NORMED: tl.constexpr,
    ROWS: tl.constexpr,
    HALF: tl.constexpr,
):
    # a program is one token's next ROWS heads of one kind
    place = tl.program_id(0).to(tl.int64)
    batch, token = place // n, place % n
    group = tl.program_id(1)
    queries: tl.constexpr = (H + ROWS - 1) // ROWS
    keys: tl.constexpr = (K + ROWS - 1) // ROWS
    base, count, weight = 0, H, q_norm
    if group >= queries:
        base, count, weight, group = H, K, k_norm, group - queries
        if group >= keys:
            base, group = H + K, group - keys
    turning = base < H + K

    row = group * ROWS + tl.arange(0, ROWS)[:, None]
    # for each row, though rows share weights and turns: a load that is as large as the tile leaves
    # every thread what it needs, and a smaller one is passed around through shared memory
    pair = tl.broadcast_to(tl.arange(0, HALF)[None, :], (ROWS, HALF))
    inside = (row < count) & (pair < E // 2)
    source = joined + batch * batch_stride + token * token_stride + (base + row) * head_stride
    low = tl.load(source + pair, mask=inside, other=0.0).to(tl.float32)
    high = tl.load(source + E // 2 + pair, mask=inside, other=0.0).to(tl.float32)
    if bias is not None:
        own = bias + (base + row) * E + pair
        low += tl.load(own, mask=inside, other=0.0).to(tl.float32)
        high += tl.load(own + E // 2, mask=inside, other=0.0).to(tl.float32)
    # heads lie as (B, H), (B, K), (B, K), each with its n tokens
    target = out + ((batches * base + batch * count + row) * n + token) * E
    if turning:
        if WEIGHTED:
            low_weight = tl.load(weight + pair, mask=inside, other=0.0).to(tl.float32)
            high_weight = tl.load(weight + E // 2 + pair, mask=inside, other=0.0).to(tl.float32)
        else:
            low_weight = tl.where(base == 0, scale, 1.0)
            high_weight = low_weight
        steps = tl.load(turn + pair, mask=inside, other=0)
        cos, sin = _direction(tl.load(positions + token).to(tl.int64), steps)
        if WEIGHTED:
            low, high = _normed(low, high, eps, E)
        if SHARED:
            value = out + ((batches * (H + K) + batch * K + row) * n + token) * E
            value_too = inside & (base == H)
            tl.store(value + pair, low.to(out.dtype.element_ty), mask=value_too)
            tl.store(value + E // 2 + pair, high.to(out.dtype.element_ty), mask=value_too)
        low, high = low * low_weight, high * high_weight
        low, high = low * cos - high * sin, high * cos + low * sin
    elif NORMED:
        low, high = _normed(low, high, eps, E)
    tl.store(target + pair, low.to(out.dtype.element_ty), mask=inside)
    tl.store(target + E // 2 + pair, high.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _normed(low, high, eps, E: tl.constexpr):
    scale = tl.rsqrt(tl.sum(low * low + high * high, 1, keep_dims=True) / E + eps)
    return low * scale, high * scale


def variants() -> list[Variant]:
    """Return the kernel's variants for the released model's two kinds of layers, for Gemma 3 270M
    and for Qwen2 7B.
    """
    types = {"joined": "*bf16", "positions": "*i64", "turn": "*i32", "out": "*bf16"}
    types |= {"batches": "i32", "n": "i32", "eps": "fp32", "scale": "fp32"}

    def of(
        name: str,
        heads: int,
        kv_heads: int,
        width: int,
        *,
        shared: bool = False,
        old: bool = False,
        plain: bool = False,
    ) -> Variant:
        rows = heads + kv_heads * (1 if shared else 2)
        # strides are constants here, since a launch sees by itself that 16 divides them
        shape = {"batch_stride": 256 * rows * width, "token_stride": rows * width}
        shape |= {"head_stride": width, "H": heads, "K": kv_heads, "E": width}
        shape |= {"SHARED": shared, "WEIGHTED": not plain, "NORMED": not (old or plain)}
        tile = min(triton.next_power_of_2(heads), 2048 // width)
        shape |= {"ROWS": tile, "HALF": width // 2} | ({} if plain else {"bias": None})
        norms = dict.fromkeys(("q_norm", "k_norm"), "*fp32" if old else "*bf16")
        biased = {"bias": "*bf16"} if plain else {}
        return Variant(name, _qk_norm_rope_kernel, types | norms | biased, shape)

    return [
        of("qk_norm_rope", 16, 8, 256),
        of("qk_norm_rope shared", 16, 2, 512, shared=True),
        of("qk_norm_rope gemma3", 4, 1, 256, old=True),
        of("qk_norm_rope qwen2", 28, 4, 128, plain=True),
    ]
