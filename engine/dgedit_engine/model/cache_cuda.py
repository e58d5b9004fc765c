"""The KV cache on a GPU, its length in device memory, so that a captured step serves every prompt.

Full-attention layers keep the whole prompt, sliding ones what their window can still reach and some
more, so that after an edit a little before the end the prompt need not be encoded from its start. A
canvas is read after the prompt and written nowhere; several canvases share the prompt as rows of a
batch. Knows no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.masks import Reading
from dgedit_kernels.attention import attend

CHUNK = 512
"""Tokens encoded at a time, at most: enough to read the experts' weights efficiently."""
GROWTH = 2048
"""Slots by which full-attention layers grow; after growth, steps must be captured again."""


class PartsReader(Protocol):
    """Reads parts of a prompt into a cache in captured passes (`prefill_cuda.py`)."""

    def read(self, cache: DeviceCache, ids: Sequence[int]) -> None:
        """Append ids to what the cache holds."""


class DeviceCache:
    """Keys and values (B, K, slots, E) for every layer, with the ids that made them. The interface
    is `KVCache`'s.
    """

    chunk = CHUNK

    def __init__(
        self,
        config: Config,
        *,
        batch: int = 1,
        device: torch.device | str,
        dtype: torch.dtype,
        stored: torch.dtype | None = None,
        capacity: int = GROWTH,
    ) -> None:
        """`stored` float8_e4m3fn halves the memory; None stores `dtype`."""
        self.config, self.batch = config, batch
        self.device, self.dtype, self.stored = torch.device(device), dtype, stored or dtype
        self.ids: list[int] = []
        self.reader: PartsReader | None = None
        """Who reads a prompt into it; None: the model, a part after the other."""
        on_gpu = self.device.type == "cuda"
        self.pool: Any = torch.cuda.graph_pool_handle() if on_gpu else None
        """The memory that passes captured over it share."""
        self.base = 0
        """The token in the first slot of the sliding layers."""
        self.version = 0
        """How often buffers have grown: a step captured on older ones is void."""
        self.end = torch.zeros(1, dtype=torch.int64, device=self.device)
        """Tokens so far, (1,)."""
        self.extents = {
            sliding: torch.zeros(2, dtype=torch.int32, device=self.device)
            for sliding in (True, False)
        }
        """The slots in use of each kind of layer, (2,): first and end."""
        self.slack = min(CHUNK, config.window)
        self.kept = config.window - 1 + self.slack
        """Tokens that sliding layers keep at least."""
        self.capacities = {True: self.kept + CHUNK, False: max(1, capacity)}
        self.keys = [self._buffer(layer) for layer in config.layers]
        self.values = [self._buffer(layer) for layer in config.layers]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self.keys + self.values)

    def open(self, n: int, reading: Reading) -> DevicePass:
        """Start a pass over n new tokens after what is there. Raises ValueError for more than a
        chunk that is to be kept, and where a window's tokens are to be saved in sliding layers.
        """
        if reading.kept:
            self.reserve(n)
        elif reading.saved:
            if any(layer.sliding for layer in self.config.layers):
                raise ValueError("sliding layers save nothing of a window")
            if reading.saved > self.capacities[False]:
                self._grow(reading.saved)
        return DevicePass(self, n, reading)

    def commit(self, ids: Tensor) -> None:
        """Count the n tokens just written; ids (B, n)."""
        self.count(ids[0].tolist())

    def count(self, ids: Sequence[int]) -> None:
        """Count tokens just written, which are known here: nothing is waited for."""
        self.ids += ids
        self.advance(len(ids))

    def advance(self, n: int) -> None:
        """Count n tokens on the device alone, as a captured step may."""
        self.end += n
        for extent in self.extents.values():
            extent[1:] += n

    def truncate(self, length: int) -> None:
        """Forget everything behind the first `length` tokens. Raises ValueError where sliding
        layers no longer have the window before that place.
        """
        if length >= len(self):
            return
        if not self._reachable(length):
            raise ValueError(f"the first {length} of {len(self)} tokens are not kept")
        del self.ids[length:]
        self.base = self.base if length else 0
        self.tell()

    def match(self, ids: Sequence[int]) -> int:
        """Keep the longest common prefix with `ids` and return its length in tokens; 0 where
        sliding layers no longer have the window before its end.
        """
        pairs = zip(self.ids, ids, strict=False)
        length = next((at for at, (ours, wanted) in enumerate(pairs) if ours != wanted), None)
        length = min(len(self), len(ids)) if length is None else length
        length = length if self._reachable(length) else 0
        self.truncate(length)
        return length

    def fresh(self) -> DeviceCache:
        """Return an empty cache of the same kind."""
        return DeviceCache(self.config, device=self.device, dtype=self.dtype, stored=self.stored)

    def fork(self, rows: int, length: int) -> DeviceCache:
        """Return a cache of `rows` sequences that all begin with the first `length` tokens of this
        one. Raises ValueError where sliding layers no longer have the window before that place.
        """
        if not self._reachable(length):
            raise ValueError(f"the first {length} of {len(self)} tokens are not kept")
        forked = DeviceCache(
            self.config,
            batch=rows,
            device=self.device,
            dtype=self.dtype,
            stored=self.stored,
            capacity=length + GROWTH,
        )
        forked.ids, forked.base = self.ids[:length], self.base
        for index, layer in enumerate(self.config.layers):
            slots = slice(0, length - (self.base if layer.sliding else 0))
            for ours, theirs in ((self.keys, forked.keys), (self.values, forked.values)):
                theirs[index][:, :, slots] = ours[index][:, :, slots]
        forked.tell()
        return forked

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows alone, in this order."""
        chosen = torch.tensor(list(rows), device=self.device)
        self.keys = [each[chosen] for each in self.keys]
        self.values = [each[chosen] for each in self.values]
        self.batch = len(rows)
        self.version += 1

    def reserve(self, n: int) -> None:
        """Make room for n more tokens. Raises ValueError for more than a chunk."""
        if n > CHUNK:
            raise ValueError(f"{n} tokens at once, at most {CHUNK}")
        if len(self) - self.base + n > self.capacities[True]:
            self._move_up()
        self.expect(n)

    def expect(self, n: int) -> None:
        """Make room for n more tokens, of any number, in full-attention layers."""
        if (end := len(self) + n) > self.capacities[False]:
            # memory is planned for the context, and no prompt is longer
            self._grow(max(end, min(end + GROWTH, self.config.context)))

    def fits(self, n: int) -> bool:
        """Say whether n more tokens need no memory beside what is there or planned for."""
        return len(self) + n <= max(self.capacities[False], self.config.context)

    def _reachable(self, length: int) -> bool:
        """Say whether sliding layers have what a token after the first `length` attends to."""
        return length == 0 or self.base <= max(0, length - (self.config.window - 1))

    def _buffer(self, layer: LayerConfig) -> Tensor:
        shape = (self.batch, layer.kv_heads, self.capacities[layer.sliding], layer.head_dim)
        return torch.zeros(shape, dtype=self.stored, device=self.device)

    def _move_up(self) -> None:
        """Move what sliding layers must keep to the front of their buffers."""
        first = len(self) - self.kept
        assert first > self.base, "a chunk fits behind what is kept"
        slots = slice(first - self.base, len(self) - self.base)
        for index, layer in enumerate(self.config.layers):
            if layer.sliding:
                for buffer in (self.keys[index], self.values[index]):
                    buffer[:, :, : self.kept] = buffer[:, :, slots].clone()
        self.base = first
        self.tell()

    def _grow(self, capacity: int) -> None:
        """Give full-attention layers larger buffers."""
        self.capacities[False] = capacity
        for index, layer in enumerate(self.config.layers):
            if not layer.sliding:
                for buffers in (self.keys, self.values):
                    grown = self._buffer(layer)
                    grown[:, :, : len(self)] = buffers[index][:, :, : len(self)]
                    buffers[index] = grown
        self.version += 1

    def tell(self) -> None:
        """Write the host's counts of tokens to the device."""
        self.end.fill_(len(self))
        for sliding, extent in self.extents.items():
            extent[1:].fill_(len(self) - (self.base if sliding else 0))


class DevicePass:
    """One forward pass of all layers over n new tokens. All that varies from one to the next of the
    same n is read from the device.
    """

    exact = True
    """As in `Pass`: nothing is packed on a GPU."""

    def __init__(self, cache: DeviceCache, n: int, reading: Reading) -> None:
        self.cache, self.n, self.reading = cache, n, reading
        beside = reading.beside
        place = torch.arange(n, device=cache.device) if beside is None else beside.offset
        self.place = None  # only the device knows
        self.positions = cache.end + place
        """(n,) int64."""
        self.slots = {sliding: extent[1] + place for sliding, extent in cache.extents.items()}

    def attend(self, layer: int, shape: LayerConfig, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with q (B, H, n, E) to the layer's keys and values, new k and v (B, K, n, E)
        included -> (B, n, H E).
        """
        cache, beside = self.cache, self.reading.beside
        keys, values = cache.keys[layer], cache.values[layer]
        if count := self.n if self.reading.kept else self.reading.saved:
            slots = self.slots[shape.sliding][:count]
            for buffer, new in ((keys, k), (values, v)):
                stored = new[:, :, :count].to(cache.stored)
                _bytes(buffer).index_copy_(2, slots, _bytes(stored))
        found = attend(
            q,
            k,
            v,
            keys,
            values,
            cache.extents[shape.sliding],
            causal=self.reading.causal,
            window=cache.config.window if shape.sliding else None,
            own=None if beside is None else beside.own,
            offset=None if beside is None else beside.offset,
        )
        return found.reshape(len(q), self.n, -1)


def _bytes(buffer: Tensor) -> Tensor:
    """View 8-bit floats as bytes, since copying by index does not support them."""
    return buffer.view(torch.uint8) if buffer.itemsize == 1 else buffer
