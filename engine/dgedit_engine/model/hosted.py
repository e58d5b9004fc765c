"""Keep the experts of some layers in host memory, and bring them to the device as they are read.

For cards that hold the rest of a model, and not all of its experts. Copies run on a stream of
their own, from pinned memory, two layers ahead of the one that is computed: where a copy takes
longer than a layer, as over PCI Express, a pass takes as long as the bytes take. There are as many
buffers as layers under way, used in turn; a layer is overwritten when its products are done.

Knows stacks of experts and the order of layers; no passes and no files.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from dgedit_kernels.quantised import Quantised

AHEAD = 2
"""Layers that are copied before they are read."""

_ALIGNED = 256  # bytes: where a part begins in its buffer

Stack = Tensor | Quantised
Stacks = tuple[Stack, Stack]
"""A layer's experts: gate and up (N, 2F, D), down (N, D, F)."""


class Lanes(Protocol):
    """Two queues of work: the one that computes, and one that copies. A mark is a place in one,
    which the other can be made to wait for.
    """

    def mark(self, *, copying: bool) -> Any:
        """Return a mark behind all that this queue has been given."""
        ...

    def wait(self, mark: Any, *, copying: bool) -> None:
        """Make what this queue is given from now on wait for a mark."""
        ...

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copy the second of each pair to the first, in the queue that copies."""
        ...


class CudaLanes:
    """The current stream of a GPU, and a second one."""

    def __init__(self, device: torch.device) -> None:
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._device = device

    def mark(self, *, copying: bool) -> torch.cuda.Event:
        """Record an event."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._stream(copying))
        return event

    def wait(self, mark: torch.cuda.Event, *, copying: bool) -> None:
        """Make a stream wait for an event; the host does not."""
        self._stream(copying).wait_event(mark)

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copy, beside what is computed where the memory is pinned."""
        with torch.cuda.stream(self._copying):
            for to, of in pairs:
                to.copy_(of, non_blocking=True)

    def _stream(self, copying: bool) -> Any:
        return self._copying if copying else torch.cuda.current_stream(self._device)


class HostedExperts:
    """The experts of some layers, in host memory, and the buffers that they are brought to."""

    def __init__(
        self, layers: Mapping[int, Stacks], device: torch.device | str, lanes: Lanes
    ) -> None:
        """Take the stacks of each layer, which are on the host, and allocate the buffers."""
        self._lanes = lanes
        self._order = sorted(layers)
        self._places = {index: place for place, index in enumerate(self._order)}
        size = max(buffer_bytes(stacks) for stacks in layers.values())
        count = min(AHEAD + 1, len(layers))
        self._buffers = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(count)]
        self._free: list[Any] = [None] * count
        """Marks behind what last read each buffer."""
        self._there: list[Any] = [None] * count
        """Marks behind what last wrote to it."""
        # every layer's in its buffer, taken apart once
        self._views = [
            tuple(_laid(layers[index], self._buffers[place % count]))
            for place, index in enumerate(self._order)
        ]
        self._pairs = [
            [*zip(parts(view), parts(layers[index]), strict=True)]
            for index, view in zip(self._order, self._views, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that a pass copies."""
        return sum(of.nbytes for pairs in self._pairs for _, of in pairs)

    def begin(self) -> None:
        """Begin a pass over all layers: bring the first ones, behind all that was computed."""
        behind = self._lanes.mark(copying=False)
        self._free = [behind] * len(self._buffers)
        for place in range(len(self._buffers)):
            self._bring(place)

    def take(self, index: int) -> Stacks:
        """Return the experts of a layer, on the device, to be read by what is computed next; until
        `give` they stay. Layers are taken in their order.
        """
        place = self._places[index]
        self._lanes.wait(self._there[place % len(self._buffers)], copying=False)
        gate_up, down = self._views[place]
        return gate_up, down

    def give(self, index: int) -> None:
        """Say that all that reads a layer's experts has been queued: another takes their place."""
        place, count = self._places[index], len(self._buffers)
        self._free[place % count] = self._lanes.mark(copying=False)
        if place + count < len(self._order):
            self._bring(place + count)

    def _bring(self, place: int) -> None:
        buffer = place % len(self._buffers)
        self._lanes.wait(self._free[buffer], copying=True)
        self._lanes.copy(self._pairs[place])
        self._there[buffer] = self._lanes.mark(copying=True)


def buffer_bytes(stacks: Sequence[Stack]) -> int:
    """Return the bytes of a buffer that holds these stacks."""
    return sum(-(-part.nbytes // _ALIGNED) * _ALIGNED for part in parts(stacks))


def pinned(part: Tensor) -> bool:
    """Pin a tensor's memory where it is, until it is freed; return whether the system lets us.
    PyTorch's own pinned memory would be new, and as large as the next power of two.
    """
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    place = part.data_ptr()
    sure = bool(runtime.cudaHostRegister(place, part.nbytes, 0) == runtime.cudaError.success)
    if sure:
        weakref.finalize(part.untyped_storage(), runtime.cudaHostUnregister, place).atexit = False
    return sure


def parts(stacks: Sequence[Stack]) -> list[Tensor]:
    """Return the tensors of some stacks, in one order."""
    found: list[Tensor] = []
    for stack in stacks:
        found += [stack] if isinstance(stack, Tensor) else stack.parts().values()
    return found


def _laid(stacks: Sequence[Stack], buffer: Tensor) -> list[Stack]:
    """Return stacks of the same coding whose memory is a buffer's."""
    start = 0

    def room(of: Tensor) -> Tensor:
        nonlocal start
        view = buffer[start : start + of.nbytes].view(of.dtype).view(of.shape)
        start += -(-of.nbytes // _ALIGNED) * _ALIGNED
        return view

    return [
        room(stack)
        if isinstance(stack, Tensor)
        else stack.with_parts({name: room(part) for name, part in stack.parts().items()})
        for stack in stacks
    ]
