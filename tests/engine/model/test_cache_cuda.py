"""The cache whose length only the device knows reads as the one that the host counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import CHUNK, DeviceCache
from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model, init_weights

SLIDING, FULL = LayerConfig(True, 2, 8, 1e4, 4), LayerConfig(False, 1, 16, 1e5, 4)
CONFIG = Config(
    vocab=50,
    dim=16,
    heads=4,
    layers=(SLIDING, FULL, SLIDING, FULL),
    window=12,
    mlp=16,
    experts=2,
    active=1,
    expert_width=16,
    canvas=16,
    context=4096,
)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model() -> Model:
    made = Model(CONFIG)
    init_weights(made, seed=1)
    return made.requires_grad_(False)


def both(**options: int) -> tuple[KVCache, DeviceCache]:
    ours = DeviceCache(CONFIG, device="cpu", dtype=torch.float32, **options)
    return KVCache(CONFIG, dtype=torch.float32), ours


def tokens(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = torch.randint(CONFIG.vocab, (count,), generator=generator).tolist()
    return ids


def canvas(rows: int = 1) -> Tensor:
    return torch.tensor([tokens(16, seed=5 + row) for row in range(rows)])


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 40, CHUNK, CHUNK + 30, 3 * CHUNK + 7])
def test_canvas_and_text_read_as_behind_a_plain_cache(model: Model, length: int) -> None:
    plain, ours = both(capacity=64)
    ids = tokens(length)
    for cache in (plain, ours):
        encode(model, cache, ids)
        assert len(cache) == length
    close(model.denoise(canvas(), ours), model.denoise(canvas(), plain))
    beside = side_by_side([5, 11], "cpu")
    for way in (model.encode, model.denoise):
        close(way(canvas(), ours, beside=beside), way(canvas(), plain, beside=beside))
    assert len(ours) == length
    close(model.encode(canvas(), ours), model.encode(canvas(), plain))
    assert ours.end.item() == len(ours) == length + 16


def test_canvases_share_the_prompt_as_rows(model: Model) -> None:
    _, ours = both()
    encode(model, ours, tokens(30))
    together = model.denoise(canvas(3), ours)
    for row in range(3):
        close(together[row : row + 1], model.denoise(canvas(3)[row : row + 1], ours))


def test_garbage_behind_the_prompt_is_not_seen(model: Model) -> None:
    _, ours = both()
    encode(model, ours, tokens(30))
    expected = model.denoise(canvas(), ours)
    for buffer in ours.keys + ours.values:
        buffer[:, :, 30:] = torch.nan
    assert torch.equal(model.denoise(canvas(), ours), expected)


@pytest.mark.parametrize("edit", [0, 3, 500, 1180, 1195, 1200])
def test_edit_is_read_as_from_a_new_start(model: Model, edit: int) -> None:
    """Near the end, sliding layers still have what leads to it; else all is read anew."""
    plain, ours = both(capacity=64)
    ids = tokens(1200)
    encode(model, ours, ids)
    edited = [*ids[:edit], *tokens(20, seed=9)]
    kept = ours.match(edited)
    assert kept == (edit if edit >= 1180 else 0) or ids[edit : edit + 1] == edited[edit : edit + 1]
    encode(model, ours, edited)
    encode(model, plain, edited)
    assert ours.ids == edited
    close(model.denoise(canvas(), ours), model.denoise(canvas(), plain))


def test_what_is_gone_is_not_said_to_be_kept(model: Model) -> None:
    _, ours = both()
    encode(model, ours, tokens(1200))
    assert ours.base > 0
    for call in (ours.truncate, lambda length: ours.fork(1, length)):
        with pytest.raises(ValueError, match="first 300 of 1200 tokens are not kept"):
            call(300)
    ours.truncate(0)
    assert len(ours) == ours.base == ours.end.item() == 0


def test_growth_is_counted_and_keeps_content(model: Model) -> None:
    plain, ours = both(capacity=8)
    for cache in (plain, ours):
        encode(model, cache, tokens(6))
    assert ours.version == 0
    for cache in (plain, ours):
        encode(model, cache, tokens(40))
    assert ours.version == 1
    close(model.denoise(canvas(), ours), model.denoise(canvas(), plain))


def test_fork_goes_its_own_way(model: Model) -> None:
    plain, ours = both()
    for cache in (plain, ours):
        encode(model, cache, tokens(700))
    forks = [cache.fork(2, 695) for cache in (plain, ours)]
    new = torch.tensor([[3, 4, 5], [6, 7, 8]])
    hidden = [model.encode(new, fork) for fork in forks]
    close(hidden[1], hidden[0])
    assert len(ours) == 700 and len(forks[1]) == 698
    close(model.denoise(canvas(), ours), model.denoise(canvas(), plain))


def test_eight_bits_are_close_and_half_the_memory(model: Model) -> None:
    plain, _ = both()
    stored = torch.float8_e4m3fn
    ours = DeviceCache(CONFIG, device="cpu", dtype=torch.float32, stored=stored)
    for cache in (plain, ours):
        encode(model, cache, tokens(40))
    expected, found = (model.denoise(canvas(), cache) for cache in (plain, ours))
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < 0.05
    assert ours.nbytes * 4 == DeviceCache(CONFIG, device="cpu", dtype=torch.float32).nbytes


def test_more_than_a_chunk_at_once_is_refused(model: Model) -> None:
    _, ours = both()
    with pytest.raises(ValueError, match=f"{CHUNK + 1} tokens at once"):
        model.encode(torch.zeros(1, CHUNK + 1, dtype=torch.long), ours)


@pytest.mark.parametrize("rows", [[0, 2, 3], [2], [1, 0]])
def test_rows_that_are_kept_go_on_in_their_order(model: Model, rows: list[int]) -> None:
    text = torch.randint(50, (4, 9), generator=torch.Generator().manual_seed(0))
    for cache in both():
        encode(model, cache, list(range(20)))
        right = model.encode(text, cache.fork(4, 19))[rows, 5:]
        forked = cache.fork(4, 19)
        model.encode(text[:, :5], forked)
        forked.keep(rows)
        found = model.encode(text[rows, 5:], forked)
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)
        assert len(forked) == 28 and cache.ids == list(range(20))


def test_rows_that_are_kept_outgrow_their_buffers(model: Model) -> None:
    text = torch.randint(50, (3, 600), generator=torch.Generator().manual_seed(0))
    said = []
    for cache in both(capacity=8):
        encode(model, cache, [1, 2, 3])
        forked = cache.fork(3, 2)
        model.encode(text[:, :7], forked)
        forked.keep([2, 0])
        parts = [model.encode(part, forked) for part in text[[2, 0], 7:].split(300, 1)]
        said.append(torch.cat(parts, 1))
    torch.testing.assert_close(said[0], said[1], rtol=1e-3, atol=1e-3)
