"""What the tests share that hold a model to transformers' own."""

from __future__ import annotations

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
