"""A prompt that is read in padded parts, replayed, is the prompt that is read as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.bench.shapes import random_model, small
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop_cuda import DenoiseStep
from dgedit_engine.model import graphs, prefill_cuda
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import CHUNK, GROWTH, DeviceCache
from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.graphs import replays
from dgedit_engine.model.hosted import HostedExperts
from dgedit_engine.model.masks import Reading
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.model.prefill_cuda import SIZES, GraphReader, PromptPart
from dgedit_engine.weights.quantize import room_for
from dgedit_engine.weights.slots import slots
from dgedit_kernels.dispatch import CardLimits, watching
from frozen import recorder

SLIDING, FULL = LayerConfig(True, 2, 8, 1e4, 4), LayerConfig(False, 1, 16, 1e5, 4)
CONFIG = Config(
    vocab=50,
    dim=16,
    heads=4,
    layers=(SLIDING, SLIDING, FULL),
    window=12,
    mlp=16,
    experts=4,
    active=2,
    expert_width=16,
    canvas=16,
    context=8192,
)


@pytest.fixture(scope="module")
def model() -> Model:
    made = Model(CONFIG)
    init_weights(made, seed=1)
    return made.requires_grad_(False)


class Replay:
    """Stands in for a graph: runs what it was made of, and counts that."""

    made: list[Replay]

    def __init__(self, run: Callable[[], object], pool: Any) -> None:
        for _ in range(3):  # twice to warm up, and once in vain: a capture computes nothing new
            run()
        self.run, self.pool, self.replayed = run, pool, 0
        self.made.append(self)

    def replay(self) -> None:
        self.replayed += 1
        self.run()


@pytest.fixture
def graphs_made(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """Each capture, in order."""
    Replay.made = []
    monkeypatch.setattr(prefill_cuda, "captured", Replay)
    return Replay.made


def tokens(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = torch.randint(CONFIG.vocab, (count,), generator=generator).tolist()
    return ids


def both(model: Model, **options: int) -> tuple[DeviceCache, DeviceCache]:
    """A cache that is read into as it stands, and one by replays."""
    made = [DeviceCache(CONFIG, device="cpu", dtype=torch.float32, **options) for _ in range(2)]
    made[1].reader = GraphReader(model, capture=True)
    return made[0], made[1]


@torch.inference_mode()
def assert_same(model: Model, plain: DeviceCache, ours: DeviceCache) -> None:
    """Equal ids, counts, keys and values, and what a canvas behind them reads."""
    assert ours.ids == plain.ids and ours.end.equal(plain.end)
    for index, layer in enumerate(CONFIG.layers):
        first = max(plain.base, ours.base) if layer.sliding else 0
        for theirs, mine in ((plain.keys, ours.keys), (plain.values, ours.values)):
            parts = [
                each[index][:, :, first - (one.base if layer.sliding else 0) :][
                    :, :, : len(one) - first
                ]
                for one, each in ((plain, theirs), (ours, mine))
            ]
            torch.testing.assert_close(parts[1], parts[0], rtol=1e-4, atol=1e-5)
    canvas = torch.tensor([tokens(16, seed=5)])
    found = [model.logits(model.denoise(canvas, one)) for one in (plain, ours)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 16, 17, 70, 300, CHUNK, 2 * CHUNK + 40])
def test_padded_parts_leave_what_the_plain_pass_leaves(
    model: Model, graphs_made: list[Replay], length: int
) -> None:
    plain, ours = both(model)
    for start in range(3):  # read as it is, captured, replayed
        ids = tokens(length, seed=start)
        for cache in (plain, ours):
            cache.truncate(0)
            encode(model, cache, ids)
        assert_same(model, plain, ours)
    assert sum(one.replayed for one in graphs_made) >= 2
    assert {one.pool for one in graphs_made} == {None}


def test_what_pads_a_part_is_never_seen(model: Model, graphs_made: list[Replay]) -> None:
    """Parts behind each other, each padded, and edits: the keys of padding are written over."""
    plain, ours = both(model)
    ids: list[int] = []
    for turn, length in enumerate((40, 3, 90, 1, 20, 5, 200, 7)):
        ids = [*ids[: len(ids) - turn % 3], *tokens(length, seed=turn)]
        for cache in (plain, ours):
            encode(model, cache, ids)
        assert_same(model, plain, ours)
    assert len(graphs_made) >= 2


def test_forward_passes_are_counted_once(model: Model, graphs_made: list[Replay]) -> None:
    _, ours = both(model)
    before = model.forwards
    for seed in range(4):
        ours.truncate(0)
        encode(model, ours, tokens(CHUNK + 9, seed=seed))
    assert model.forwards - before == 8 and len(graphs_made) == 2


def test_a_growth_voids_what_was_captured_and_comes_once_in_a_prompt(
    model: Model, graphs_made: list[Replay]
) -> None:
    plain, ours = both(model, capacity=600)
    for seed in range(2):
        ours.truncate(0)
        encode(model, ours, tokens(CHUNK + 8, seed=seed))
    assert ours.version == 0 and len(graphs_made) == 2
    last = tokens(3 * CHUNK, seed=2)
    encode(model, ours, last)
    assert ours.version == 1, "one growth for the whole prompt"
    assert len(graphs_made) == 3 and ours.capacities[False] == 3 * CHUNK + GROWTH
    encode(model, plain, last)
    assert_same(model, plain, ours)


def test_a_part_with_no_room_for_padding_is_read_as_it_is(graphs_made: list[Replay]) -> None:
    short = Model(replace(CONFIG, context=40))
    init_weights(short, seed=1)
    cache = DeviceCache(short.config, device="cpu", dtype=torch.float32, capacity=8)
    cache.reader = GraphReader(short.requires_grad_(False), capture=True)
    for seed in range(3):
        cache.truncate(0)
        encode(short, cache, tokens(20, seed=seed))
        encode(short, cache, [*cache.ids, *tokens(17, seed=seed)])
    assert cache.capacities[False] == 40 and len(cache) == 37
    assert not graphs_made


def without_data() -> tuple[Model, DeviceCache]:
    """A model in few bits, and its cache, as they are on a card."""
    config = replace(small(), layers=small().layers[1:3])
    with torch.device("meta"):
        model = Model(config).to(torch.bfloat16)
    for slot in slots(model):
        slot.fill(room_for(slot, "e2m1", "int8"))
    return model.requires_grad_(False), DeviceCache(config, device="meta", dtype=torch.bfloat16)


def test_nothing_that_a_capture_freezes_changes_from_one_part_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("triton")
    model, cache = without_data()
    counted = KVCache(model.config, device="meta", dtype=torch.bfloat16)
    part, record = PromptPart(model, cache, 256), recorder(monkeypatch)
    with pytest.raises(AssertionError, match="between the host and the device"):
        record(lambda: part.advance(cache))  # what each kind of layer has of the host, once
    with watching(lambda one: False, on=CardLimits(132, 227)):
        part.advance(cache)
    runs, others = [], []
    for length in (0, 3, 256, 600, 1000):
        cache.ids = counted.ids = [0] * length
        cache.reserve(256)
        runs.append(record(lambda: part.advance(cache)))
        others.append(record(lambda: model.run(model.embed(part.ids), counted, Reading(True))))
    assert cache.base > 0 and cache.version == 0
    assert len(runs[0][0]) > 20 and len(runs[0][1]) > 20
    assert all(one == runs[0] for one in runs[1:])
    assert others[1] != others[2], "a length that the host knows is seen"


def test_a_step_copies_nothing_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    model, cache = without_data()
    step, record = DenoiseStep(model, cache, rows=2, slots=32), recorder(monkeypatch)
    with watching(lambda one: False, on=CardLimits(132, 227)):
        step.advance()  # what warms up, before a capture
    runs = []
    for length in (0, 300):
        cache.ids = [0] * length
        runs.append(record(step.advance))
    assert runs[0] == runs[1] and len(runs[0][1]) > 20


def test_a_padded_part_through_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Triton's interpreter, behind a prompt, against PyTorch's way."""
    pytest.importorskip("triton")
    wide = replace(SLIDING, head_dim=16)
    model = Model(replace(CONFIG, layers=(wide, FULL), dim=32))
    init_weights(model, seed=2)
    model.requires_grad_(False)
    plain, ours = (DeviceCache(model.config, device="cpu", dtype=torch.float32) for _ in range(2))
    ids = tokens(30)
    encode(model, plain, ids)
    encode(model, ours, ids[:21])
    part = PromptPart(model, ours, 16)
    part.load(ids[21:])
    through_kernels(monkeypatch)
    part.advance(ours)
    for theirs, mine in ((plain.keys, ours.keys), (plain.values, ours.values)):
        for one, other in zip(theirs, mine, strict=True):
            torch.testing.assert_close(other[:, :, :30], one[:, :, :30], rtol=1e-3, atol=1e-4)


def test_what_is_replayed_is_on_a_gpu_with_its_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(small(), "e2m1", device="cpu")
    assert not replays(model), "a CPU captures nothing"
    monkeypatch.setattr(Tensor, "is_cuda", True)
    assert replays(model)
    monkeypatch.setattr(graphs, "suits", lambda weight: False)
    assert not replays(model), "PyTorch's experts wait for the device"
    monkeypatch.undo()
    monkeypatch.setattr(Tensor, "is_cuda", True)
    model.hosted = object.__new__(HostedExperts)
    assert not replays(model), "the host copies between layers"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_prompt_is_replayed_on_a_gpu_beside_a_step() -> None:
    model = random_model(small(), "e2m1", device="cuda")
    caches = [DeviceCache(model.config, device="cuda", dtype=torch.bfloat16) for _ in range(2)]
    ours = caches[1]
    assert replays(model)
    ours.reader = reader = GraphReader(model, capture=True)
    step = DenoiseStep(model, ours, rows=1, slots=64)
    for seed in range(4):
        ids = tokens(900, seed=seed)
        for cache in caches:
            cache.truncate(0)
            encode(model, cache, ids)
        step.run()
        with torch.inference_mode():
            canvas = torch.arange(64, device="cuda")[None]
            found = [model.logits(model.denoise(canvas, one)) for one in caches]
        torch.testing.assert_close(found[1], found[0], rtol=5e-2, atol=5e-2)
    assert {size: one.graph is not None for size, one in reader.made.items()} == {CHUNK: True}
    assert SIZES[-1] == CHUNK
