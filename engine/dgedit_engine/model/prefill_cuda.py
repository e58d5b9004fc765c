"""Read a prompt on a GPU without the host: parts of few sizes, one CUDA graph for each.

A part is padded behind its last token. What pads it is read causally, so that no token before sees
it, and the keys that it leaves lie behind the cache's end, where the next tokens are written. So a
pass depends on its size alone: places and lengths are on the device, and the host neither launches
the kernels of a part one by one nor waits for one before it starts the next.

Knows tokens and sizes, nothing of what a prompt is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dgedit_engine.model.cache_cuda import CHUNK, DeviceCache
from dgedit_engine.model.graphs import captured
from dgedit_engine.model.masks import Reading
from dgedit_engine.model.model import Model

SIZES = (16, 64, 256, CHUNK)
"""Tokens of a pass: the least that holds a part. A pass of the 26B with experts in 4 bits takes an
RTX 4090 11.5, 15.8, 16.0 and 23.6 ms at best, by bytes and operations: up to 256 tokens it is as
long as the weights are, so that padding costs little.
"""


class PromptPart:
    """The pass over up to `size` new tokens of a prompt."""

    def __init__(self, model: Model, cache: DeviceCache, size: int) -> None:
        self.model, self.size, self.version = model, size, cache.version
        self.ids = torch.zeros(1, size, dtype=torch.int64, device=cache.device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def load(self, ids: Sequence[int]) -> None:
        """Copy the tokens to the device, and zeros behind them."""
        self.ids.copy_(torch.tensor([[*ids, *[0] * (self.size - len(ids))]]), non_blocking=True)

    @torch.inference_mode()
    def advance(self, cache: DeviceCache) -> None:
        """Write the keys and values of all tokens, which the cache has room for; it does not count
        them.
        """
        self.model.run(self.model.embed(self.ids), cache, Reading(True))


class GraphReader:
    """Reads prompts for one model. Of each size, the first part is read as it is; the second one is
    captured, since who asks once would wait longer.
    """

    def __init__(self, model: Model, *, capture: bool) -> None:
        """Without `capture`, the same passes run as they stand."""
        self.model, self.capture = model, capture
        self.made: dict[int, PromptPart] = {}

    def read(self, cache: DeviceCache, ids: Sequence[int]) -> None:
        """Append ids to what the cache holds."""
        cache.expect(len(ids))  # at once: what is captured does not outlast a growth
        for start in range(0, len(ids), CHUNK):
            self._part(cache, list(ids[start : start + CHUNK]))

    def _part(self, cache: DeviceCache, ids: list[int]) -> None:
        size = next(one for one in SIZES if one >= len(ids))
        if fits := cache.fits(size):
            cache.reserve(size)  # before it is asked what outlasts a growth
        part = self.made.get(size)
        if part is None or part.version != cache.version or not fits:
            with torch.inference_mode():
                self.model.encode(torch.tensor([ids], device=cache.device), cache)
            if fits:
                self.made[size] = PromptPart(self.model, cache, size)
            return
        forwards = self.model.forwards + 1  # one, however it comes about
        part.load(ids)
        if not self.capture:
            part.advance(cache)
        else:
            if part.graph is None:
                part.graph = captured(lambda: part.advance(cache), cache.pool)
            part.graph.replay()
        self.model.forwards = forwards
        cache.count(ids)
