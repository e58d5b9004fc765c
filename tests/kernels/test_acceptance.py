"""Which slots are kept, which are noised, and when a canvas has settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode import sampler
from dgedit_kernels.acceptance import (
    Accepted,
    accept_and_renoise,
    accept_and_renoise_reference,
    accept_and_renoise_triton,
)

VOCAB = 1000
WAYS = [accept_and_renoise, accept_and_renoise_reference, accept_and_renoise_triton]
Way = Callable[..., Accepted]


def canvas(slots: int, rows: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Arguments: entropies over many magnitudes, and some fixed slots."""
    generator = torch.Generator().manual_seed(seed)
    entropy = 10 ** (torch.rand(rows, slots, generator=generator) * 6 - 4)
    tokens = torch.randint(VOCAB, (4, rows, slots), generator=generator)
    return {
        "sample": tokens[0],
        "best": tokens[1],
        "entropy": entropy,
        "ids": tokens[2],
        "fixed": torch.rand(rows, slots, generator=generator) < 0.2,
        "previous": tokens[3],
        "still": torch.zeros(rows, dtype=torch.int32),
    }


def run(way: Way, values: dict[str, Tensor], **changed: Any) -> Accepted:
    options = {"bound": 0.5, "threshold": 0.1, "stability": 1.0, "seed": 1, "step": 0} | changed
    settings = torch.tensor([options[name] for name in ("bound", "threshold", "stability")])
    draw = torch.tensor([options["seed"], options["step"]])
    return way(*values.values(), settings=settings, vocab=VOCAB, draw=draw)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slots", [1, 16, 63, 100, 256])
@pytest.mark.parametrize("bound", [0.0, 0.05, 0.7, 1e9])
def test_kept_are_those_that_the_sampler_accepts(way: Way, slots: int, bound: float) -> None:
    values = canvas(slots)
    found = run(way, values, bound=bound)
    expected = sampler.accept_free(values["entropy"].double(), values["fixed"], bound)
    assert torch.equal(found.kept, expected)
    for row, fixed in zip(found.kept, values["fixed"], strict=True):
        assert fixed.all() or row[~fixed].any()
    free = found.kept & ~values["fixed"]
    assert torch.equal(found.ids[free], values["sample"][free])
    assert torch.equal(found.ids[values["fixed"]], values["ids"][values["fixed"]])
    assert ((found.ids >= 0) & (found.ids < VOCAB)).all()


@pytest.mark.parametrize("way", WAYS)
def test_noise_is_even_and_depends_on_seed_and_step(way: Way) -> None:
    """Chi-square of 2,000 tokens in 10 bins: 99.9% of honest ones stay below 27.9."""
    values = canvas(250, rows=8)
    values["fixed"][:] = False
    values["entropy"][:] = 9.0
    noised = {
        (seed, step): run(way, values, seed=seed, step=step)
        for seed, step in ((1, 0), (1, 1), (2, 0))
    }
    first = noised[1, 0]
    assert first.kept.sum() == 8  # the first of equals in each row
    tokens = first.ids[~first.kept]
    counts = torch.bincount(tokens * 10 // VOCAB, minlength=10).double()
    expected = len(tokens) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9
    assert not torch.equal(noised[1, 1].ids, first.ids)
    assert not torch.equal(noised[2, 0].ids, first.ids)
    assert torch.equal(run(way, values).ids, first.ids)
    assert (first.ids[0] != first.ids[1]).float().mean() > 0.9


@pytest.mark.parametrize("way", WAYS)
def test_settled_is_still_for_long_enough_and_certain(way: Way) -> None:
    values = canvas(32, rows=4)
    values["previous"] = values["best"].clone()
    values["previous"][1, 31] += 1  # moved
    values["entropy"][:] = 0.05
    values["entropy"][2] = 0.2  # uncertain
    values["still"] = torch.tensor([1, 5, 1, 0], dtype=torch.int32)
    found = run(way, values, stability=2.0)
    assert found.still.tolist() == [2, 0, 2, 1]
    assert found.settled.tolist() == [True, False, False, False]
    assert run(way, values, stability=1.0).settled.tolist() == [True, False, False, True]


@pytest.mark.parametrize("way", WAYS)
def test_only_free_slots_decide_what_is_certain(way: Way) -> None:
    values = canvas(16, rows=2)
    values["previous"] = values["best"].clone()
    values["fixed"][:] = True
    values["fixed"][1, 3] = False
    values["entropy"][:] = 0.0
    values["entropy"][1, 3] = 1.0  # the mean over all 16 would be certain
    assert run(way, values).settled.tolist() == [True, False]


def test_kernel_reads_strided_rows_and_writes_every_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    values = canvas(40)
    wide = {name: one.repeat_interleave(2, -1)[..., ::2] for name, one in values.items()}
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(1))
    monkeypatch.setattr(torch, "empty_like", lambda one, **k: torch.full_like(one, -7))
    found = run(accept_and_renoise_triton, wide)
    expected = run(accept_and_renoise_reference, values)
    assert torch.equal(found.kept, expected.kept) and (found.ids >= 0).all()
    assert not found.still.any() and not found.settled.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_acceptance_on_a_gpu_and_in_a_graph() -> None:
    values = {name: one.cuda() for name, one in canvas(256).items()}
    settings, draw = torch.tensor([0.5, 0.1, 1.0]).cuda(), torch.tensor([1, 0]).cuda()
    options: dict[str, Any] = {"settings": settings, "vocab": VOCAB, "draw": draw}
    accept_and_renoise(*values.values(), **options)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = accept_and_renoise(*values.values(), **options)
    values["entropy"].copy_(values["entropy"].flip(-1))
    settings[0] = 3.0
    graph.replay()
    torch.cuda.synchronize()
    expected = sampler.accept_free(values["entropy"].double(), values["fixed"], 3.0)
    assert torch.equal(found.kept, expected)
