"""Accept slots of a canvas after a step, noise the others again, and find out whether it settled.

Knows entropies and tokens, no logits. One program takes a canvas: it finds each slot's place among
the others by counting those that are more certain, so that nothing is sorted, and all that a
request may set it reads from the device. Nothing waits for the host.

Sources: the entropy bound of Ben-Hamu et al., arXiv 2505.24857; order and stop rule of transformers
5.23, generation_diffusion_gemma.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_kernels.canvas_sampler import random_bits
from dgedit_kernels.dispatch import Variant, launch, on_gpu, tl, triton

_COLUMNS = 32  # slots that are compared with all others at a time


@dataclass(frozen=True, slots=True)
class Accepted:
    """B canvases after a step."""

    ids: Tensor
    """(B, C) int64: the tokens that the next step reads."""
    kept: Tensor
    """(B, C) bool: slots that kept their sample; fixed ones always do."""
    still: Tensor
    """(B,) int32: steps for which the best tokens have not changed."""
    settled: Tensor
    """(B,) bool: whether that is long enough and the free slots are certain."""


def accept_and_renoise(
    sample: Tensor,
    best: Tensor,
    entropy: Tensor,
    ids: Tensor,
    fixed: Tensor,
    previous: Tensor,
    still: Tensor,
    *,
    settings: Tensor,
    vocab: int,
    draw: Tensor,
) -> Accepted:
    """Keep the most certain free slots, while the sum of the entropies before each stays within the
    bound (the first one always), and draw the others evenly from the vocabulary.

    sample, best, ids, previous (B, C) int64; entropy (B, C) fp32, in nats; fixed (B, C) bool, whose
    slots keep their id and count nowhere; still (B,) int32. settings (3,) fp32: entropy bound in
    nats, the mean entropy below which a canvas is certain, and the steps for which it must stand.
    draw (2,) int64: seed and step.
    """
    path = accept_and_renoise_triton if on_gpu(entropy) else accept_and_renoise_reference
    return path(
        *(sample, best, entropy, ids, fixed, previous, still),
        settings=settings,
        vocab=vocab,
        draw=draw,
    )


def accept_and_renoise_reference(
    sample: Tensor,
    best: Tensor,
    entropy: Tensor,
    ids: Tensor,
    fixed: Tensor,
    previous: Tensor,
    still: Tensor,
    *,
    settings: Tensor,
    vocab: int,
    draw: Tensor,
) -> Accepted:
    """Compute `accept_and_renoise` in PyTorch, with other random numbers."""
    bound, threshold, stability = settings.tolist()
    ordered, order = entropy.masked_fill(fixed, torch.inf).sort(dim=-1, stable=True)
    before = torch.cat((torch.zeros_like(ordered[:, :1]), ordered[:, :-1].cumsum(-1)), -1)
    kept = torch.zeros_like(fixed).scatter(-1, order, before <= bound) | fixed
    seed, step = draw.tolist()
    generator = torch.Generator(ids.device).manual_seed((seed * 1_000_003 + step + 1) % 2**63)
    noise = torch.randint(vocab, ids.shape, generator=generator, device=ids.device)
    stood = (best == previous).all(-1)
    still = torch.where(stood, still + 1, 0).int()
    free = (~fixed).sum(-1)
    certain = (free == 0) | (entropy.masked_fill(fixed, 0.0).sum(-1) / free < threshold)
    tokens = torch.where(fixed, ids, torch.where(kept, sample, noise))
    return Accepted(tokens, kept, still, (still >= stability) & certain)


def accept_and_renoise_triton(
    sample: Tensor,
    best: Tensor,
    entropy: Tensor,
    ids: Tensor,
    fixed: Tensor,
    previous: Tensor,
    still: Tensor,
    *,
    settings: Tensor,
    vocab: int,
    draw: Tensor,
) -> Accepted:
    """Compute `accept_and_renoise` by a kernel."""
    batch, slots = ids.shape
    inputs = (one.contiguous() for one in (sample, best, entropy, ids, fixed, previous, still))
    found = Accepted(
        torch.empty_like(ids, memory_format=torch.contiguous_format),
        torch.empty(batch, slots, dtype=torch.bool, device=ids.device),
        torch.empty(batch, dtype=torch.int32, device=ids.device),
        torch.empty(batch, dtype=torch.bool, device=ids.device),
    )
    outputs = (found.ids, found.kept, found.still, found.settled)
    padded = max(_COLUMNS, triton.next_power_of_2(slots))
    launch(_accept_and_renoise_kernel, (batch,))(
        *inputs, settings, draw, *outputs, slots, vocab, padded, _COLUMNS, num_warps=8
    )
    return found


@triton.jit
def _accept_and_renoise_kernel(
    sample,
    best,
    entropy,
    ids,
    fixed,
    previous,
    still,
    settings,
    draw,
    new_ids,
    kept,
    new_still,
    settled,
    C: tl.constexpr,
    V: tl.constexpr,
    PADDED: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    row = tl.program_id(0)
    slot = tl.arange(0, PADDED)
    inside = slot < C
    at = row * C + slot
    pinned = tl.load(fixed + at, mask=inside, other=1).to(tl.int1)
    own = tl.load(entropy + at, mask=inside, other=0.0)
    before = tl.zeros((PADDED,), tl.float32)
    for start in range(0, PADDED, COLUMNS):
        other = start + tl.arange(0, COLUMNS)
        place = row * C + other
        free = tl.load(fixed + place, mask=other < C, other=1) == 0
        each = tl.load(entropy + place, mask=other < C, other=0.0)
        surer = (each[None, :] < own[:, None]) | (
            (each[None, :] == own[:, None]) & (other[None, :] < slot[:, None])
        )
        before += tl.sum(tl.where(surer & free[None, :], each[None, :], 0.0), 1)
    keep = pinned | (before <= tl.load(settings))

    bits = random_bits(draw, row, slot, slot * 0, 2).to(tl.uint32, bitcast=True)
    noise = (bits.to(tl.uint64) * V >> 32).to(tl.int64)
    drawn = tl.load(sample + at, mask=inside, other=0)
    token = tl.where(keep, drawn, noise)
    token = tl.where(pinned, tl.load(ids + at, mask=inside, other=0), token)
    tl.store(new_ids + at, token, mask=inside)
    tl.store(kept + at, keep, mask=inside)

    now = tl.load(best + at, mask=inside, other=0)
    then = tl.load(previous + at, mask=inside, other=0)
    steps = tl.load(still + row) + 1
    steps = tl.where(tl.sum((now != then).to(tl.int32), 0) == 0, steps, 0)
    tl.store(new_still + row, steps)
    count = tl.sum((~pinned).to(tl.int32), 0)
    total = tl.sum(tl.where(pinned, 0.0, own), 0)
    certain = (count == 0) | (total / tl.maximum(count, 1) < tl.load(settings + 1))
    tl.store(settled + row, certain & (steps >= tl.load(settings + 2)))


def variants() -> list[Variant]:
    """Return the kernel's variant for the released canvas."""
    types = dict.fromkeys(("sample", "best", "ids", "previous", "draw", "new_ids"), "*i64")
    types |= dict.fromkeys(("fixed", "kept", "settled"), "*i1")
    types |= {"entropy": "*fp32", "settings": "*fp32", "still": "*i32", "new_still": "*i32"}
    shape = {"C": 256, "V": 262_144, "PADDED": 256, "COLUMNS": _COLUMNS}
    return [Variant("accept_and_renoise", _accept_and_renoise_kernel, types, shape, warps=8)]
