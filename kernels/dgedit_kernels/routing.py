"""Sort tokens by their experts and cut them into tiles, on the device.

Knows experts by number alone. Fast because it is one kernel of static shapes, a program for each
expert: each counts all choices, so that none waits for another, and nothing is copied to the host.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_kernels.dispatch import Variant, launch, tl, triton


class Routing(NamedTuple):
    """The choices of n tokens, A each, sorted by expert and cut into tiles."""

    order: Tensor
    """(n A,) int32: token · A + rank of each choice, by expert, then token."""
    tiles: Tensor
    """(3, tiles) int32: expert, first row of `order`, and the row behind the expert's last. Unused
    tiles, at the end, have expert -1.
    """


def route(index: Tensor, experts: int, *, rows: int) -> Routing:
    """Sort index (n, A), integers below `experts`, for tiles of so many rows, one expert each."""
    order, tiles = _room(index, experts, rows)
    block = min(1024, triton.next_power_of_2(max(len(order), 1)))
    bins = max(32, triton.next_power_of_2(experts + 1))
    launch(_route_kernel, (experts,))(
        *(index.contiguous(), order, tiles, len(order), tiles.shape[1], experts),
        *(rows, bins, block),
    )
    return Routing(order, tiles)


def route_reference(index: Tensor, experts: int, *, rows: int) -> Routing:
    """Compute `route` in PyTorch, which waits for the device."""
    order, tiles = _room(index, experts, rows)
    order.copy_(index.flatten().argsort(stable=True))
    tiles.fill_(-1)
    start = place = 0
    for expert, count in enumerate(torch.bincount(index.flatten(), minlength=experts).tolist()):
        for first in range(start, start + count, rows):
            tiles[:, place] = torch.tensor((expert, first, start + count))
            place += 1
        start += count
    return Routing(order, tiles)


def _room(index: Tensor, experts: int, rows: int) -> tuple[Tensor, Tensor]:
    """Allocate the order and as many tiles as there can be: each expert that is chosen has at most
    one that is not full.
    """
    count = index.numel()
    most = (count + min(experts, count) * (rows - 1)) // rows
    order = torch.empty(count, dtype=torch.int32, device=index.device)
    return order, torch.empty(3, most, dtype=torch.int32, device=index.device)


@triton.jit
def _route_kernel(
    index,
    order,
    tiles,
    count,
    most,
    experts,
    ROWS: tl.constexpr,
    BINS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    expert, place, bin = tl.program_id(0), tl.arange(0, BLOCK), tl.arange(0, BINS)
    counts = tl.zeros((BINS,), tl.int32)
    for start in range(0, count, BLOCK):
        chosen = tl.load(index + start + place, mask=start + place < count, other=experts)
        counts += tl.histogram(chosen.to(tl.int32), BINS)
    counts = tl.where(bin < experts, counts, 0)
    needed = (counts + ROWS - 1) // ROWS
    row = tl.sum(tl.where(bin < expert, counts, 0), 0)
    end = row + tl.sum(tl.where(bin == expert, counts, 0), 0)
    tile = tl.sum(tl.where(bin < expert, needed, 0), 0)
    behind = tile + tl.sum(tl.where(bin == expert, needed, 0), 0)

    for start in range(0, most, BLOCK):
        at = start + place
        mine = (at >= tile) & (at < behind)
        to = tiles + at
        tl.store(to, at * 0 + expert, mask=mine)
        tl.store(to + most, row + (at - tile) * ROWS, mask=mine)
        tl.store(to + 2 * most, at * 0 + end, mask=mine)
        # whoever comes last marks what is left
        tl.store(to, at * 0 - 1, mask=(at >= behind) & (at < most) & (expert == experts - 1))

    for start in range(0, count, BLOCK):
        at = start + place
        chosen = tl.load(index + at, mask=at < count, other=experts).to(tl.int32)
        mine = (chosen == expert).to(tl.int32)
        rank = tl.cumsum(mine, 0) - mine
        tl.store(order + row + rank, at, mask=mine > 0)
        row += tl.sum(mine, 0)


def variants() -> list[Variant]:
    """Return the kernel's variant for the released model's experts."""
    types = {"index": "*i64", "order": "*i32", "tiles": "*i32", "count": "i32", "most": "i32"}
    shape = {"ROWS": 32, "BINS": 256, "BLOCK": 1024}
    return [Variant("route", _route_kernel, types | {"experts": "i32"}, shape)]
