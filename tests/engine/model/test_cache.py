"""The cache keeps what was counted, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.model.cache import GradientCache, KVCache
from dgedit_engine.model.config import Config, LayerConfig

SHAPES = ((2, 4), (1, 6))
CONFIG = Config(
    vocab=9,
    dim=8,
    heads=2,
    layers=(LayerConfig(True, 2, 4, 1e4, 2), LayerConfig(False, 1, 6, 1e4, 3)),
    window=4,
    mlp=8,
    experts=1,
    active=1,
    expert_width=8,
    canvas=16,
    context=64,
)


@pytest.fixture
def cache() -> KVCache:
    return KVCache(CONFIG, dtype=torch.float32)


def pair(layer: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    heads, width = SHAPES[layer]
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, 1, heads, count, width, generator=generator)
    return keys, values


def write(cache: KVCache, ids: list[int], seed: int) -> list[tuple[Tensor, Tensor]]:
    """Encode ids: both layers, then the count."""
    pairs = [pair(layer, len(ids), seed) for layer in range(2)]
    for layer, (k, v) in enumerate(pairs):
        cache.extend(layer, k, v, keep=True)
    cache.commit(torch.tensor([ids]))
    return pairs


def kept(cache: KVCache, layer: int) -> tuple[Tensor, Tensor]:
    return cache.keys[layer][:, :, : len(cache)], cache.values[layer][:, :, : len(cache)]


def test_extend_gives_all_keys_in_order(cache: KVCache) -> None:
    first = write(cache, [1, 2, 3], seed=1)
    for layer in range(2):
        k, v = pair(layer, 2, seed=2)
        keys, values = cache.extend(layer, k, v, keep=True)
        assert torch.equal(keys, torch.cat((first[layer][0], k), 2))
        assert torch.equal(values, torch.cat((first[layer][1], v), 2))


def test_growth_keeps_content(cache: KVCache) -> None:
    before = cache.capacity
    parts = [write(cache, list(range(100)), seed=seed) for seed in range(7)]
    assert len(cache) == 700 and cache.capacity >= 700 > before
    assert cache.ids == list(range(100)) * 7
    for layer in range(2):
        keys, values = kept(cache, layer)
        assert torch.equal(keys, torch.cat([part[layer][0] for part in parts], 2))
        assert torch.equal(values, torch.cat([part[layer][1] for part in parts], 2))


def test_growth_while_a_layer_is_written_keeps_the_others(cache: KVCache) -> None:
    """The buffers of all layers grow at the first layer's write, before the second has written."""
    count = cache.capacity + 10
    pairs = write(cache, list(range(count)), seed=3)
    for layer in range(2):
        assert torch.equal(kept(cache, layer)[0], pairs[layer][0])


def test_growth_that_runs_out_of_memory_leaves_the_cache_as_it_was(
    cache: KVCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, zeros = write(cache, [1, 2, 3], seed=1), torch.zeros
    allowed = iter(range(3))  # both layers' keys, one layer's values

    def scarce(*shape: int, **more: Any) -> Tensor:
        if next(allowed, None) is None:
            raise torch.OutOfMemoryError("out of memory")
        return zeros(*shape, **more)

    monkeypatch.setattr("dgedit_engine.model.cache.torch.zeros", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        cache.extend(0, *pair(0, cache.capacity, seed=2), keep=True)
    monkeypatch.undo()
    second = write(cache, list(range(cache.capacity)), seed=2)
    for layer in range(2):
        expected = torch.cat((first[layer][1], second[layer][1]), 2)
        assert torch.equal(kept(cache, layer)[1], expected)


def test_canvas_borrows_room_without_being_counted(cache: KVCache) -> None:
    first = write(cache, [1, 2, 3], seed=1)
    for layer in range(2):
        keys, _ = cache.extend(layer, *pair(layer, 16, seed=2), keep=False)
        assert keys.shape[2] == 19
    assert len(cache) == 3 and cache.ids == [1, 2, 3]
    second = write(cache, [4], seed=5)
    for layer in range(2):
        assert torch.equal(kept(cache, layer)[0], torch.cat((first[layer][0], second[layer][0]), 2))


def test_canvas_is_not_copied_while_there_is_room(cache: KVCache) -> None:
    write(cache, [1, 2, 3], seed=1)
    keys, _ = cache.extend(0, *pair(0, 16, seed=2), keep=False)
    assert keys.data_ptr() == cache.keys[0].data_ptr()


@pytest.mark.parametrize(
    ("wanted", "length"),
    [([1, 2, 9], 2), ([1, 2, 3, 4], 3), ([1, 2], 2), ([9], 0), ([], 0), ([1, 2, 3], 3)],
)
def test_match_keeps_the_common_prefix(cache: KVCache, wanted: list[int], length: int) -> None:
    first = write(cache, [1, 2, 3], seed=1)
    assert cache.match(wanted) == length
    assert cache.ids == [1, 2, 3][:length] and len(cache) == length
    second = write(cache, [7, 8], seed=2)
    for layer in range(2):
        expected = torch.cat((first[layer][1][:, :, :length], second[layer][1]), 2)
        assert torch.equal(kept(cache, layer)[1], expected)


def test_truncate_forgets_the_tail(cache: KVCache) -> None:
    write(cache, [1, 2, 3], seed=1)
    cache.truncate(1)
    assert cache.ids == [1]
    cache.truncate(5)
    assert cache.ids == [1]


def test_gradient_cache_keeps_only_what_encode_wrote_and_passes_gradients() -> None:
    cache = GradientCache(CONFIG)
    k, v = (part.requires_grad_() for part in pair(0, 5, seed=1))
    cache.extend(0, k, v, keep=True)
    cache.commit(torch.zeros(1, 5, dtype=torch.long))
    cache.truncate(3)
    keys, values = cache.extend(0, *pair(0, 2, seed=2), keep=False)
    assert len(cache) == 3 and keys.shape[2] == values.shape[2] == 5
    again, _ = cache.extend(0, *pair(0, 4, seed=3), keep=False)
    assert again.shape[2] == 7
    keys.sum().backward()
    assert k.grad is not None and k.grad[:, :, :3].all() and not k.grad[:, :, 3:].any()
