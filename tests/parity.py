"""What the tests share that hold a model to transformers' own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.model import Model

TOLERANCE = 1e-3


def ids(count: int, *, seed: int) -> Tensor:
    return torch.randint(128, (1, count), generator=torch.Generator().manual_seed(seed))


def cache_of(ours: Model) -> KVCache:
    return KVCache(ours.config, dtype=torch.float32)


def assert_close(mine: Tensor, theirs: Tensor) -> None:
    assert mine.shape == theirs.shape and float(theirs.std()) > 0.1
    assert float((mine - theirs).abs().max()) < TOLERANCE


def assert_reads_alike(theirs: Any, ours: Model, length: int) -> None:
    """Hold the logits, keys and values of so many tokens to theirs."""
    cache = cache_of(ours)
    expected = theirs(ids(length, seed=1), use_cache=True)
    assert_close(ours.logits(ours.encode(ids(length, seed=1), cache)), expected.logits)
    for layer, (keys, values) in enumerate(zip(cache.keys, cache.values, strict=True)):
        kept = expected.past_key_values.layers[layer]
        tail = slice(length - kept.keys.shape[2], length)  # without what left the window
        assert_close(keys[:, :, tail], kept.keys)
        assert_close(values[:, :, tail], kept.values)
