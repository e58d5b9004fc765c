"""Read every slot of a canvas off its logits: a drawn token, the best one, entropy and probability.

Knows logits and temperatures; what becomes of a reading is `acceptance.py`. Two ways: `read_slots`
returns the distribution itself, with PyTorch's random numbers, and `read_canvas` never writes it.

Why `read_canvas` is fast at 256 slots and 262,144 tokens. Logits cross memory once as bfloat16, 134
MB out of the head's product and in again (0.06 ms at 4.8 TB/s); to take the product again for each
reader instead is 0.38 TFLOP, 0.4 ms or more. One pass reads them: a program takes a group of 4,096
tokens of one slot into registers and leaves three numbers of it. A token costs two exponentials, a
division and no random number: a second kernel draws the group by its sum, then the token within it,
so that Philox runs for 4,160 numbers of a slot and not for 262,144, where it and two logarithms a
token would double the pass. Nothing waits for the host: a CUDA graph may hold it all.

Random numbers are Philox 4x32 (Salmon et al., SC 2011) of a seed and a counter: step, row, slot,
and token or group. They depend on no tile and on no other row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.dispatch import Variant, divided, launch, on_gpu, tl, triton

PEAK = 64
"""Tokens that share a peak, see `CanvasReading.peaks`."""
_PEAKS = 64
"""Peaks of a group: 32 logits for each thread of four warps, in loads of 16 bytes. Which token a
seed draws depends on it.
"""


class SlotReading(NamedTuple):
    """The reading of every slot of a canvas, with its distribution."""

    sample: Tensor
    """(…, C): a token drawn from the distribution."""
    best: Tensor
    """(…, C): its most probable token."""
    entropy: Tensor
    """(…, C): its entropy in nats."""
    probs: Tensor
    """(…, C, V): the distribution, fp32."""


def read_slots(logits: Tensor, generator: torch.Generator | None = None) -> SlotReading:
    """Read tempered logits (…, C, V). -inf excludes a token; a slot with one finite logit is
    certain. Raises FloatingPointError for slots without a distribution: NaN, inf or -inf alone.
    """
    probs = logits.softmax(-1, dtype=torch.float32)
    if bool(probs[..., 0].isnan().any()):  # a NaN is in the whole row; a draw would fail the device
        raise FloatingPointError("logits are not finite")
    flat = torch.multinomial(probs.flatten(0, -2), 1, generator=generator)
    entropy = torch.special.entr(probs).sum(-1)
    return SlotReading(flat.view(probs.shape[:-1]), logits.argmax(-1), entropy, probs)


@dataclass(frozen=True, slots=True)
class CanvasReading:
    """The reading of every slot of B canvases, without its distribution."""

    sample: Tensor
    """(B, C) int64: a token drawn from the distribution."""
    best: Tensor
    """(B, C) int64: its most probable token, the lowest of equals."""
    entropy: Tensor
    """(B, C) fp32: its entropy in nats."""
    lse: Tensor
    """(B, C) fp32: the logarithm of the sum of the exponentials of the tempered logits."""
    confidence: Tensor
    """(B, C) fp32: the probability of `best`."""
    peaks: Tensor
    """(B, C, V/64) of the logits' dtype: the largest raw logit of every 64 tokens, by which
    `soft_embed` finds the most probable ones. Undefined for pinned slots.
    """
    finite: Tensor
    """(B,) bool: whether every slot has a distribution. One that has none reads as token 0 of
    entropy NaN.
    """


def read_canvas(
    raw: Tensor, heat: Tensor, draw: Tensor, *, softcap: float | None, pinned: Tensor | None = None
) -> CanvasReading:
    """Read raw logits (B, C, V), bfloat16 or fp32, as the head's product gives them, at `softcap ·
    tanh(raw / softcap) / heat`.

    heat (B,) or (B, C) fp32 is the temperature of a row or slot, above 0; draw (2,) int64 is the
    seed and the step of the random numbers, both read on the device. A slot with a token in
    `pinned` (B, C) int64, -1 where free, is certain of it: lse 0, its logits are not read.

    The kernel draws as `argmax(z + Gumbel)` over groups of tokens, then over the group's tokens;
    the PyTorch path draws other numbers of the same distribution.
    """
    gpu = on_gpu(raw) and not torch.is_grad_enabled()
    path = read_canvas_triton if gpu else read_canvas_reference
    return path(raw, heat, draw, softcap=softcap, pinned=pinned)


def read_canvas_reference(
    raw: Tensor, heat: Tensor, draw: Tensor, *, softcap: float | None, pinned: Tensor | None = None
) -> CanvasReading:
    """Compute `read_canvas` in PyTorch, with the distribution written to memory."""
    z = tempered(raw, heat, softcap)
    if pinned is not None:
        token = torch.arange(z.shape[-1], device=z.device)
        one = torch.where(token == pinned[..., None], 0.0, -torch.inf)
        z = torch.where(pinned[..., None] >= 0, one, z)
    lse = z.logsumexp(-1)
    usable = lse.isfinite()
    probs = (z - lse[..., None]).exp()
    seed, step = draw.tolist()
    generator = torch.Generator(raw.device).manual_seed((seed * 1_000_003 + step) % 2**63)
    even = torch.where(usable[..., None], probs, 1.0)
    sample = torch.multinomial(even.flatten(0, -2), 1, generator=generator).view(lse.shape)
    best = torch.where(usable, z.argmax(-1), 0)
    return CanvasReading(
        sample=torch.where(usable, sample, 0),
        best=best,
        entropy=torch.special.entr(probs).sum(-1),
        lse=lse,
        confidence=probs.gather(-1, best[..., None])[..., 0],
        peaks=peaks_of(raw),
        finite=usable.all(-1),
    )


def tempered(raw: Tensor, heat: Tensor, softcap: float | None) -> Tensor:
    """Return `softcap · tanh(raw / softcap) / heat` in fp32, raw (B, C, V), heat (B,) or (B, C);
    without a cap `raw / heat`.
    """
    capped = raw.float() if softcap is None else (raw.float() / softcap).tanh() * softcap
    return capped / _by_slot(heat, raw)[..., None]


def peaks_of(raw: Tensor) -> Tensor:
    """Return the largest of every 64 of (…, V) -> (…, V/64), rounded up."""
    padded = F.pad(raw, (0, -raw.shape[-1] % PEAK), value=-torch.inf)
    return padded.unflatten(-1, (-1, PEAK)).amax(-1)


def read_canvas_triton(
    raw: Tensor, heat: Tensor, draw: Tensor, *, softcap: float | None, pinned: Tensor | None = None
) -> CanvasReading:
    """Compute `read_canvas` by kernels."""
    batch, canvas, vocab = raw.shape
    rows, heat = slot_rows(raw), _by_slot(heat, raw)
    pinned = None if pinned is None else pinned.contiguous()
    peaks = min(_PEAKS, triton.next_power_of_2(divided(vocab, PEAK)))
    groups = divided(vocab, peaks * PEAK)
    shape = (batch, canvas)
    reading = CanvasReading(
        *(torch.empty(shape, dtype=torch.int64, device=raw.device) for _ in range(2)),
        *(torch.empty(shape, dtype=torch.float32, device=raw.device) for _ in range(3)),
        peaks=raw.new_empty((*shape, divided(vocab, PEAK))),
        finite=torch.empty(batch, dtype=torch.bool, device=raw.device),
    )
    parts = torch.empty((len(rows), 3, groups), dtype=torch.float32, device=raw.device)
    places = (rows.stride(0), heat.stride(0), heat.stride(1), canvas, softcap, vocab)
    launch(_read_groups_kernel, (groups, len(rows)))(
        *(rows, heat, pinned, reading.peaks, parts, reading.finite, *places, PEAK, peaks)
    )
    launch(_read_canvas_kernel, (len(rows),))(
        *(rows, heat, draw, pinned, parts, reading.sample, reading.best, reading.entropy),
        *(reading.lse, reading.confidence, reading.finite, *places),
        *(PEAK * peaks, groups, triton.next_power_of_2(groups)),
    )
    return reading


def slot_rows(raw: Tensor) -> Tensor:
    """Flatten (B, C, V) -> (B C, V), copied only where a slot's logits are not in one piece."""
    rows = raw.reshape(-1, raw.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _by_slot(heat: Tensor, raw: Tensor) -> Tensor:
    """Expand heat (B,) or (B, C) -> (B, C), no copy."""
    return (heat if heat.dim() == 2 else heat[:, None]).expand(raw.shape[:2])


@triton.jit
def tempered_bits(raw, heat, softcap):
    """`tempered` in bits: over the natural logarithm of 2.

    tanh(x) is 1 - 2 / (1 + e^2x), so 1e-7 off in all, which the soft cap and a heat of 0.4 make
    1e-5 of a nat; the hardware's own tanh would be off by 4e-2.
    """
    LOG2E: tl.constexpr = 1.4426950408889634
    if softcap is None:
        z = raw * (LOG2E / heat)
    else:
        high = softcap / heat * LOG2E
        z = high - 2 * high / (1 + tl.exp2(raw * (2 * LOG2E / softcap)))
    return z


@triton.jit
def random_bits(draw, row, slot, place, STREAM: tl.constexpr):
    """32 even bits for each int32 place: step `draw[1]` of seed `draw[0]`.

    Streams: 0 groups, 1 tokens, 2 renoising.
    """
    step = tl.load(draw + 1).to(tl.int32)
    kind = (row * 4 + STREAM).to(tl.int32)
    bits, _, _, _ = tl.philox(tl.load(draw), place, slot.to(tl.int32), step, kind)
    return bits


@triton.jit
def _gumbel_bits(draw, row, slot, place, STREAM: tl.constexpr):
    # over ln 2 and up to a constant, as an argmax of bits wants it; never from 0 or 1
    bits = random_bits(draw, row, slot, place, STREAM)
    even = ((bits >> 9).to(tl.float32) + 0.5) * (1 / (1 << 23))
    return -tl.log2(-tl.log2(even))


@triton.jit
def _read_groups_kernel(
    raw,
    heat,
    pinned,
    peaks,
    parts,
    finite,
    stride,
    heat_row,
    heat_slot,
    canvas,
    softcap,
    V: tl.constexpr,
    PEAK: tl.constexpr,
    PEAKS: tl.constexpr,
):
    # One group of one slot: its largest raw logit, and relative to that one's z the sums of 2^z and
    # z 2^z. A group is in registers as a whole, so the largest is known before any exponential.
    group = tl.program_id(0)
    index = tl.program_id(1)
    row = index // canvas
    if (group == 0) & (index % canvas == 0):
        tl.store(finite + row, True)  # the next kernel takes it back
    if pinned is not None and tl.load(pinned + index) >= 0:
        return
    warmth = tl.load(heat + row * heat_row + index % canvas * heat_slot)
    peak = group * PEAKS + tl.arange(0, PEAKS)
    token = peak[:, None] * PEAK + tl.arange(0, PEAK)[None, :]
    inside = token < V if V % (PEAK * PEAKS) else None
    other = -float("inf") if V % (PEAK * PEAKS) else None
    value = tl.load(raw + index.to(tl.int64) * stride + token, mask=inside, other=other)
    value = value.to(tl.float32)
    high = tl.max(value, 1)
    count: tl.constexpr = (V + PEAK - 1) // PEAK
    to = peaks + index.to(tl.int64) * count + peak
    tl.store(to, high.to(peaks.dtype.element_ty), mask=peak < count)

    most = tl.max(high, 0)
    z = tempered_bits(value, warmth, softcap) - tempered_bits(most, warmth, softcap)
    each = tl.exp2(z)
    if V % (PEAK * PEAKS):
        each = tl.where(inside, each, 0.0)
        z = tl.where(inside, z, 0.0)  # without a soft cap it is infinite
    to = parts + index * 3 * tl.num_programs(0) + group
    tl.store(to, most)
    tl.store(to + tl.num_programs(0), tl.sum(tl.sum(each, 1), 0))
    tl.store(to + 2 * tl.num_programs(0), tl.sum(tl.sum(z * each, 1), 0))


@triton.jit
def _read_canvas_kernel(
    raw,
    heat,
    draw,
    pinned,
    parts,
    sample,
    best,
    entropy,
    lse,
    confidence,
    finite,
    stride,
    heat_row,
    heat_slot,
    canvas,
    softcap,
    V: tl.constexpr,
    GROUP: tl.constexpr,
    GROUPS: tl.constexpr,
    PADDED: tl.constexpr,
):
    # One slot: its groups' sums together, then the drawn group and the best one again by tokens.
    LN2: tl.constexpr = 0.6931471805599453
    index = tl.program_id(0)
    row, slot = index // canvas, index % canvas
    if pinned is not None:
        token = tl.load(pinned + index)
        if token >= 0:
            tl.store(sample + index, token)
            tl.store(best + index, token)
            tl.store(entropy + index, 0.0)
            tl.store(lse + index, 0.0)
            tl.store(confidence + index, 1.0)
            return
    warmth = tl.load(heat + row * heat_row + slot * heat_slot)
    group = tl.arange(0, PADDED)
    inside = group < GROUPS
    part = parts + index * 3 * GROUPS + group
    high = tl.load(part, mask=inside, other=-float("inf"))
    total = tl.load(part + GROUPS, mask=inside, other=0.0)
    moment = tl.load(part + 2 * GROUPS, mask=inside, other=0.0)
    most, top = tl.max(high, 0, return_indices=True)
    most = tempered_bits(most, warmth, softcap)
    behind = tempered_bits(high, warmth, softcap) - most
    if GROUPS < PADDED:
        behind = tl.where(inside, behind, 0.0)
    moment = tl.sum((moment + behind * total) * tl.exp2(behind), 0)
    each = total * tl.exp2(behind)
    total = tl.sum(each, 0)
    usable = total == total  # no NaN

    score = tl.log2(each) + _gumbel_bits(draw, row, slot, group, 0)
    drawn = tl.argmax(tl.where(inside, score, -float("inf")), 0)
    place = tl.arange(0, GROUP)
    line = raw + index.to(tl.int64) * stride
    token = drawn * GROUP + place
    value = tl.load(line + token, mask=token < V, other=0.0).to(tl.float32)
    score = tempered_bits(value, warmth, softcap) + _gumbel_bits(draw, row, slot, token, 1)
    drawn = drawn * GROUP + tl.argmax(tl.where(token < V, score, -float("inf")), 0)
    token = top * GROUP + place
    value = tl.load(line + token, mask=token < V, other=-float("inf")).to(tl.float32)
    top = top * GROUP + tl.argmax(value, 0)

    tl.store(sample + index, tl.where(usable, drawn, 0).to(tl.int64))
    tl.store(best + index, tl.where(usable, top, 0).to(tl.int64))
    tl.store(entropy + index, LN2 * (tl.log2(total) - moment / total))
    tl.store(lse + index, LN2 * (most + tl.log2(total)))
    tl.store(confidence + index, 1 / total)
    if total != total:
        tl.store(finite + row, False)


def variants() -> list[Variant]:
    """Return the kernels' variants for the released vocabulary, with pinned slots; with a soft cap
    and without.
    """
    width, heads = 262144, {"raw": "*bf16", "heat": "*fp32", "pinned": "*i64", "parts": "*fp32"}
    outs = {"sample": "*i64", "best": "*i64"}
    outs |= dict.fromkeys(("entropy", "lse", "confidence"), "*fp32")
    # the stride is a constant here, since a launch sees by itself that 16 divides it
    places = {"heat_row": "i32", "heat_slot": "i32", "canvas": "i32"}
    shape: dict[str, int | None] = {"V": width, "stride": width}
    groups = heads | {"peaks": "*bf16", "finite": "*i1"} | places
    canvas = heads | {"draw": "*i64"} | outs | {"finite": "*i1"} | places
    found = []
    for behind, capped in (("", {"softcap": "fp32"}), (" uncapped", dict[str, str]())):
        group = shape if capped else shape | {"softcap": None}
        whole = group | {"GROUP": 4096, "GROUPS": 64, "PADDED": 64}
        group = group | {"PEAK": 64, "PEAKS": 64}
        found += [
            Variant("read_groups" + behind, _read_groups_kernel, groups | capped, group),
            Variant("read_canvas" + behind, _read_canvas_kernel, canvas | capped, whole),
        ]
    return found
