"""KV cache of several drafts in a batch that share the keys and values of one prompt.

Nothing of the prompt is copied. All rows' queries of a key head are multiplied with its keys in one
product of two matrices: a copy for each row would be read once a row, and a batched product takes
four times as long on a CPU. Only what a row adds is its own, in fp32: so small a product takes a
quarter of bfloat16's time there (twelve rows after 512 tokens, 18 layers: 10.9 ms, not 16.7). Knows
no ids' meaning, and nothing of sampling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dgedit_engine.model.masks import Reading
from dgedit_engine.model.shape import Config, LayerConfig

_GROWTH = 64  # slots by which the rows' own buffers grow


class Fork:
    """Keys and values of `rows` sequences behind a prompt.

    `prompt` has each layer's keys and values, (1, K, T, E), which its owner must not change while
    the fork is in use.
    """

    lasting = False

    def __init__(self, config: Config, prompt: Sequence[tuple[Tensor, Tensor]], rows: int) -> None:
        keys = prompt[0][0]
        self.config, self.device, self.prompt = config, keys.device, prompt
        self.rows, self.length, self.own = rows, keys.shape[2], 0
        self.buffers: list[tuple[Tensor, Tensor]] = [
            (self._empty(layer, _GROWTH), self._empty(layer, _GROWTH)) for layer in config.layers
        ]

    def __len__(self) -> int:
        return self.length + self.own

    def open(self, n: int, reading: Reading) -> ForkPass:
        """Start a pass over n new tokens of each row, read causally."""
        assert reading.causal and reading.beside is None, "rows are drafts"
        return ForkPass(self, n, reading)

    def commit(self, ids: Tensor) -> None:
        """Count the n tokens just written; ids (B, n)."""
        self.own += ids.shape[1]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows alone, in this order."""
        chosen = torch.tensor(list(rows), device=self.device)
        self.buffers = [
            (self._of(keys, chosen), self._of(values, chosen)) for keys, values in self.buffers
        ]
        self.rows = len(rows)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write k, v (B, K, n, E) after the rows' own tokens -> keys and values of those, (B, K, t,
        E).
        """
        end = self.own + k.shape[2]
        if end > self.buffers[layer][0].shape[2]:
            room = end + max(_GROWTH, end // 2)
            shape = self.config.layers[layer]
            grown = self._empty(shape, room), self._empty(shape, room)
            for old, new in zip(self.buffers[layer], grown, strict=True):
                new[:, :, : self.own] = old[:, :, : self.own]
            self.buffers[layer] = grown
        keys, values = self.buffers[layer]
        keys[:, :, self.own : end], values[:, :, self.own : end] = k, v
        return keys[:, :, :end], values[:, :, :end]

    def _of(self, buffer: Tensor, rows: Tensor) -> Tensor:
        """Return a buffer of these rows alone; what is not written yet is not copied."""
        kept = buffer.new_empty(len(rows), *buffer.shape[1:])
        kept[:, :, : self.own] = buffer[:, :, : self.own][rows]
        return kept

    def _empty(self, layer: LayerConfig, slots: int) -> Tensor:
        shape = (self.rows, layer.kv_heads, slots, layer.head_dim)
        return torch.empty(shape, device=self.device, dtype=torch.float32)


class ForkPass:
    """One forward pass of all layers over n new tokens of each row."""

    exact = False

    def __init__(self, fork: Fork, n: int, reading: Reading) -> None:
        self.fork, self.n, self.reading = fork, n, reading
        self.place = len(fork)
        """The first token's position."""
        self.positions = self.place + torch.arange(n, device=fork.device)
        """(n,)."""

    def attend(self, layer: int, shape: LayerConfig, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with q (B, H, n, E) to the layer's keys and values, new k and v (B, K, n, E)
        included -> (B, n, H E).
        """
        prompt_k, prompt_v = self.fork.prompt[layer]
        own_k, own_v = self.fork.extend(layer, k, v)
        window = self.fork.config.window if shape.sliding else None
        if window is not None:  # what no new token sees
            first = max(0, self.place + 1 - window)
            prompt_k, prompt_v = prompt_k[:, :, first:], prompt_v[:, :, first:]
        batch, heads, n, width = q.shape
        shared, past, own = own_k.shape[1], prompt_k.shape[2], own_k.shape[2]
        rows = batch * shared
        q = q.to(own_k.dtype).reshape(batch, shared, -1, width)  # (B, K, G n, E)
        asked = q.shape[2]
        scores = q.new_empty(batch, shared, asked, past + own)
        for head in range(shared):
            met = _one(q[:, head], prompt_k) @ prompt_k[0, head].t()
            scores[:, head, :, :past] = met.view(batch, asked, past)
        owned = torch.bmm(q.reshape(rows, asked, width), own_k.flatten(0, 1).transpose(1, 2))
        scores[..., past:] = owned.view(batch, shared, asked, own)
        if (seen := self._seen(past, own, window)) is not None:
            each = scores.view(batch, heads, n, past + own).masked_fill(~seen, -torch.inf)
            scores = each.view(scores.shape)
        weights = scores.softmax(-1)
        behind = torch.bmm(weights[..., past:].reshape(rows, asked, own), own_v.flatten(0, 1))
        found = behind.view(batch, shared, asked, width)
        for head in range(shared):
            before = _one(weights[:, head, :, :past], prompt_v) @ prompt_v[0, head]
            found[:, head] += before.view(batch, asked, width)
        return found.reshape(batch, heads, n, width).transpose(1, 2).reshape(batch, n, -1)

    def _seen(self, past: int, own: int, window: int | None) -> Tensor | None:
        """Return which keys each of the n tokens attends to, (n, past + own); None: all."""
        if self.n == 1 and (window is None or own <= window):
            return None
        length = self.fork.length
        device = self.positions.device
        place = torch.arange(length - past, length + own, device=device)
        seen = place <= self.positions[:, None]
        return seen if window is None else seen & (place > self.positions[:, None] - window)


def _one(x: Tensor, like: Tensor) -> Tensor:
    """All rows of x (B, m, w) in one matrix (B m, w), in the dtype of the other one."""
    return x.to(like.dtype).flatten(0, 1)
