"""The keys and values of the tokens encoded so far: written by `encode`, read by `denoise`.

`KVCache` is for inference: buffers allocated once, in which the canvas borrows the room after the
prompt, so that a denoise step copies no prompt keys. `GradientCache` is for training:
differentiable, and filled anew for each batch. A `Pass` is what the layers see of either. `Cache`
and `ModelPass` are all that a model needs of these, of their counterparts on a GPU
(`cache_cuda.py`) and of rows that share a prompt (`fork.py`); `PromptCache` is what decoding needs
beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.fork import Fork
from dgedit_engine.model.masks import Reading
from dgedit_kernels.attention import attention

_GROWTH = 256  # slots by which buffers grow: one full canvas


class ModelPass(Protocol):
    """One forward pass of all layers over n new tokens, as the layers see it."""

    @property
    def n(self) -> int:
        """New tokens of a row."""

    @property
    def reading(self) -> Reading:
        """How the tokens are read."""

    @property
    def place(self) -> int | None:
        """Position of the first token, if the others follow it and the host knows it; else None."""

    @property
    def positions(self) -> Tensor:
        """Positions of the tokens, (n,)."""

    @property
    def exact(self) -> bool:
        """Whether what is written may serve other requests, and so must not depend on how many
        tokens were read at a time.
        """

    def attend(self, layer: int, shape: LayerConfig, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with q (B, H, n, E) to the layer's keys and values, new k and v (B, K, n, E)
        included -> (B, n, H E).
        """


class Cache(Protocol):
    """Keys and values that new tokens attend to."""

    def open(self, n: int, reading: Reading) -> ModelPass:
        """Start a pass over n new tokens after what is there."""

    def commit(self, ids: Tensor) -> None:
        """Count the n tokens just written; ids (B, n)."""


class ForkedCache(Cache, Protocol):
    """Rows of sequences that begin with the same tokens."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows alone, in this order."""


class PromptCache(Cache, Protocol):
    """Keys and values of a prompt, kept from one request to the next."""

    @property
    def device(self) -> torch.device | str:
        """Where the keys and values are."""

    @property
    def chunk(self) -> int:
        """Tokens encoded at a time, at most."""

    def truncate(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""

    def match(self, ids: Sequence[int]) -> int:
        """Keep a common prefix with `ids` and return its length in tokens."""

    def fresh(self) -> PromptCache:
        """Return an empty cache of the same kind."""

    def fork(self, rows: int, length: int) -> ForkedCache:
        """Return `rows` sequences that all begin with the first `length` tokens of this one."""


class KVCache:
    """Keys and values (B, K, T, E) for every layer, with the ids that made them."""

    lasting = True
    """Whether what is written may serve other requests."""
    chunk = 1024
    """Tokens encoded at a time, at most: a longer prompt's scores would be gigabytes at once."""

    def __init__(
        self,
        config: Config,
        *,
        batch: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype,
    ) -> None:
        self.ids: list[int] = []
        """The ids encoded so far (of the first row)."""
        self.config = config
        self.shapes = [(batch, layer.kv_heads, layer.head_dim) for layer in config.layers]
        self.device, self.dtype = device, dtype
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._reserve(_GROWTH)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def capacity(self) -> int:
        """Slots allocated."""
        return self.keys[0].shape[2]

    def extend(self, layer: int, k: Tensor, v: Tensor, *, keep: bool) -> tuple[Tensor, Tensor]:
        """Write k, v (B, K, n, E) after what is there and return all keys and values (B, K, T + n,
        E).

        They stay only if `commit` counts them (`keep` is for the training cache); else the next
        write takes the room.
        """
        end = len(self) + k.shape[2]
        if end > self.capacity:
            self._reserve(end + _GROWTH)
        self.keys[layer][:, :, len(self) : end] = k
        self.values[layer][:, :, len(self) : end] = v
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def open(self, n: int, reading: Reading) -> Pass:
        """Start a pass over n new tokens after what is there."""
        return Pass(self, n, reading, self.config, self.device)

    def commit(self, ids: Tensor) -> None:
        """Count the n tokens just written; ids (B, n)."""
        self.ids += ids[0].tolist()

    def truncate(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""
        del self.ids[length:]

    def match(self, ids: Sequence[int]) -> int:
        """Keep the longest common prefix with `ids` and return its length in tokens."""
        length = 0
        for kept, wanted in zip(self.ids, ids, strict=False):
            if kept != wanted:
                break
            length += 1
        self.truncate(length)
        return length

    def fresh(self) -> KVCache:
        """Return an empty cache of the same kind."""
        return KVCache(self.config, device=self.device, dtype=self.dtype)

    def fork(self, rows: int, length: int) -> Fork:
        """Return `rows` sequences that all begin with the first `length` tokens of this one."""
        both = zip(self.keys, self.values, strict=True)
        prompt = [(keys[:, :, :length], values[:, :, :length]) for keys, values in both]
        return Fork(self.config, prompt, rows)

    def _reserve(self, capacity: int) -> None:
        """Allocate room for `capacity` tokens and carry over what was there."""
        both = [self._grown(buffers, capacity) for buffers in (self.keys, self.values)]
        self.keys, self.values = both  # together: memory may run out between the two

    def _grown(self, buffers: list[Tensor], capacity: int) -> list[Tensor]:
        grown = [
            torch.zeros(batch, heads, capacity, width, device=self.device, dtype=self.dtype)
            for batch, heads, width in self.shapes
        ]
        for old, new in zip(buffers, grown, strict=False):
            new[:, :, : old.shape[2]] = old
        return grown


class GradientCache:
    """Keys and values of one differentiable `encode`, for any number of `denoise` calls on them."""

    lasting = True

    def __init__(self, config: Config, *, device: torch.device | str = "cpu") -> None:
        self.config, self.device = config, device
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def extend(self, layer: int, k: Tensor, v: Tensor, *, keep: bool) -> tuple[Tensor, Tensor]:
        """Write as `KVCache.extend` does; `keep` stores the tokens, and only the first `encode`
        may.
        """
        if keep:
            self.keys[layer], self.values[layer] = k, v
            return k, v
        if not self.length:  # a window, behind no prompt
            return k, v
        past = slice(0, self.length)
        keys = torch.cat((self.keys[layer][:, :, past], k), 2)
        return keys, torch.cat((self.values[layer][:, :, past], v), 2)

    def open(self, n: int, reading: Reading) -> Pass:
        """Start a pass as `KVCache.open` does."""
        return Pass(self, n, reading, self.config, self.device)

    def commit(self, ids: Tensor) -> None:
        """Count the n tokens just written; ids (B, n)."""
        self.length += ids.shape[1]

    def truncate(self, length: int) -> None:
        """Hide everything behind the first `length` tokens from `denoise`."""
        self.length = length


class Pass:
    """One forward pass of all layers over n new tokens, which attend to the cache and to each
    other.
    """

    def __init__(
        self,
        cache: KVCache | GradientCache,
        n: int,
        reading: Reading,
        config: Config,
        device: torch.device | str,
    ) -> None:
        self.cache, self.n, self.reading, self.window = cache, n, reading, config.window
        past = len(cache)
        self.place = past if reading.beside is None else None
        """Position of the first token, if the others follow it; else None."""
        offset = torch.arange(n, device=device) if reading.beside is None else reading.beside.offset
        self.positions = past + offset
        """(n,)."""
        self.masks = {
            sliding: reading.mask(n, past, device, window=config.window if sliding else None)
            for sliding in (True, False)
        }

    @property
    def exact(self) -> bool:
        """Whether what is written may serve other requests, and so must not depend on how many
        tokens were read at a time.
        """
        return self.reading.kept and self.cache.lasting

    def attend(self, layer: int, shape: LayerConfig, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with q (B, H, n, E) to the layer's keys and values, new k and v (B, K, n, E)
        included -> (B, n, H E).
        """
        causal = self.reading.causal
        keys, values = self.cache.extend(layer, k, v, keep=causal)
        if self.reading.singly:
            return self._singly(shape, q.to(keys.dtype), keys, values)
        if shape.sliding:
            seen = self.window - 1 + self.n
            keys, values = keys[:, :, -seen:], values[:, :, -seen:]
        mask = self.masks[shape.sliding]
        q = q.to(keys.dtype)  # wider where the projection's weights are codes
        found = attention(q, keys, values, mask, causal=causal and mask is None and self.n > 1)
        return found.transpose(1, 2).reshape(len(q), self.n, -1)

    def _singly(self, shape: LayerConfig, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend causally, one query after the other."""
        found = []
        for row in range(self.n):
            end = keys.shape[2] - self.n + row + 1
            seen = slice(max(0, end - self.window) if shape.sliding else 0, end)
            one = q[:, :, row : row + 1]
            found.append(attention(one, keys[:, :, seen], values[:, :, seen], None))
        return torch.cat(found, 2).transpose(1, 2).reshape(len(q), self.n, -1)
