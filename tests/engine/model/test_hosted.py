"""Experts in host memory: the right layer is there when it is read, whenever copies are made.

A GPU may copy at any time between what a copy waits for and what waits for it. So copies are made
at the latest moment here, and at the earliest; and any order that is left free shows as noise.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.hosted import AHEAD, HostedExperts, Lanes, Stacks, buffer_bytes, pinned
from dgedit_engine.model.model import Model, init_weights
from dgedit_kernels.quantised import quantise

SLIDING, FULL = LayerConfig(True, 2, 8, 1e4, 4), LayerConfig(False, 1, 16, 1e5, 4)
CONFIG = Config(
    vocab=50,
    dim=32,
    heads=4,
    layers=(SLIDING, FULL) * 3 + (FULL,),
    window=12,
    mlp=16,
    experts=4,
    active=2,
    expert_width=32,
    canvas=16,
    context=256,
)


class Late:
    """Two queues in one: what is computed is done at once, a copy when something waits for it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.made = 0
        """Copies so far."""
        self.begun = self.marks = self.waited = 0

    def mark(self, *, copying: bool) -> int:
        self.marks += not copying
        return self.begun if copying else self.marks

    def wait(self, mark: int, *, copying: bool) -> None:
        if copying:
            self.waited = mark
        while not copying and self.made < mark:
            self._make()

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        def run() -> None:
            for to, of in pairs:
                to.copy_(of)

        assert self.waited == self.marks, "a copy waits for what was computed before it"
        self.begun += 1
        self.waiting.append(run)

    def _make(self) -> None:
        self.waiting.pop(0)()
        self.made += 1


class Early(Late):
    """The same, but copies are made as they are asked for."""

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().copy(pairs)
        self._make()


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def made(*, coded: bool) -> Model:
    model = Model(CONFIG)
    init_weights(model, seed=1)
    model.requires_grad_(False)
    for index, layer in enumerate(model.stack()):
        for name in ("experts_gate_up", "experts_down"):
            weight = getattr(layer, name).data
            if coded:  # codings differ, as in files of mixed types
                delattr(layer, name)
                setattr(layer, name, quantise(weight, "int4" if index % 2 else "int8", group=16))
    return model


def host(model: Model, layers: Sequence[int], lanes: Lanes) -> HostedExperts:
    """Take the experts of these layers away, so that nothing but the buffers has them."""
    every = list(model.stack())
    stacks: dict[int, Stacks] = {}
    for index in layers:
        own = every[index]
        stacks[index] = own.experts_gate_up, own.experts_down
    hosted = HostedExperts(stacks, "cpu", lanes)
    for buffer in hosted._buffers:
        buffer.fill_(255)  # not a number, or the largest code
    model.hosted = hosted
    for index in layers:
        every[index].hosted = hosted
        for name in ("experts_gate_up", "experts_down"):
            every[index]._parameters.pop(name, None)
            setattr(every[index], name, None)
    return hosted


def read(model: Model) -> list[Tensor]:
    """A prompt and two canvases behind it."""
    cache = KVCache(CONFIG, dtype=torch.float32)
    encode(model, cache, list(range(20)))
    ids = torch.arange(16)[None] % 50
    first = model.denoise(ids, cache)
    return [first, model.denoise(ids.flip(1), cache, first)]


@pytest.mark.parametrize("lanes", [Late, Early])
@pytest.mark.parametrize("layers", [range(7), range(3, 7), (0, 2, 6), (5,), (1, 2)])
@pytest.mark.parametrize("coded", [False, True])
def test_hidden_states_are_those_of_experts_that_stay(
    lanes: Callable[[], Late], layers: Sequence[int], coded: bool
) -> None:
    right, model, queues = made(coded=coded), made(coded=coded), lanes()
    host(model, layers, queues)
    for found, wanted in zip(read(model), read(right), strict=True):
        assert found.equal(wanted)
    assert queues.begun == 3 * len(layers), "each layer once a pass"


def test_two_layers_are_under_way_ahead_of_the_one_that_is_read() -> None:
    model, queues = made(coded=False), Late()
    hosted = host(model, range(7), queues)
    hosted.begin()
    for index in range(7):
        hosted.take(index)
        assert queues.begun == min(7, index + 1 + AHEAD)
        hosted.give(index)
    assert len(hosted._buffers) == AHEAD + 1
    assert hosted.nbytes == 7 * buffer_bytes((torch.zeros(4, 64, 32), torch.zeros(4, 32, 32)))


def test_layer_is_not_overwritten_before_it_is_given_back() -> None:
    model = made(coded=False)
    right = [layer.experts_down.detach().clone() for layer in model.stack()]
    hosted = host(model, range(7), Early())
    hosted.begin()
    held = [hosted.take(index)[1] for index in range(3)]
    hosted.give(0)  # the fourth takes its place
    for index, place in ((3, 0), (1, 1), (2, 2)):
        down = held[place]
        assert isinstance(down, Tensor) and down.equal(right[index])


def test_pass_that_was_broken_off_leaves_nothing_to_the_next() -> None:
    model, right = made(coded=False), made(coded=False)
    hosted = host(model, range(7), Late())
    hosted.begin()
    for index in range(3):
        hosted.take(index)
        hosted.give(index)
    assert read(model)[1].equal(read(right)[1])


def test_memory_is_pinned_where_it_is_until_it_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[int, int] = {}

    class Runtime:
        cudaError = SimpleNamespace(success=0)

        def cudaHostRegister(self, place: int, size: int, flags: int) -> int:
            held[place] = size
            return 0 if size > 64 else 1

        def cudaHostUnregister(self, place: int) -> None:
            del held[place]

    monkeypatch.setattr(torch.cuda, "cudart", Runtime)
    part, small = torch.zeros(100), torch.zeros(2)
    assert pinned(part) and not pinned(small)
    assert held == {part.data_ptr(): 400, small.data_ptr(): 8}
    place = part.data_ptr()
    del part
    gc.collect()
    assert place not in held
