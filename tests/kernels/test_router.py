"""Choosing experts, against the formula in fp64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgedit_kernels.router import choose, choose_reference, choose_triton
from interpreted import bfloat16_as_on_a_card

Chosen = tuple[Tensor, Tensor]
WAYS = [choose, choose_reference, choose_triton]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: new(self, *a, **k).fill_(-7))
    bfloat16_as_on_a_card(monkeypatch)


def drawn(count: int, experts: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    places = torch.rand(count, experts, generator=generator).argsort(-1)
    logits = (places - experts / 2) / 8  # no two alike, in bfloat16 too
    return logits, torch.rand(experts, generator=generator) + 0.5


def formula(logits: Tensor, scale: Tensor, active: int, factor: float) -> Chosen:
    probs = (logits.double() * factor).softmax(-1)
    order = probs.argsort(-1, descending=True)[:, :active]
    weight = probs.gather(1, order)
    return weight / weight.sum(1, keepdim=True) * scale.double()[order], order


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 63, 257])
@pytest.mark.parametrize(("experts", "active"), [(128, 8), (5, 3), (9, 9), (2, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_every_way_is_the_formula(
    way: Callable[..., Chosen],
    count: int,
    experts: int,
    active: int,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    logits, scale = drawn(count, experts)
    logits, scale = logits.to(dtype), scale.to(dtype)
    weight, index = way(logits, scale, active=active, factor=0.3)
    wanted, order = formula(logits, scale, active, 0.3)
    assert weight.dtype == dtype and index.dtype == torch.int64
    assert index.equal(order)
    torch.testing.assert_close(weight.double(), wanted, rtol=tolerance, atol=tolerance)


def test_equal_logits_go_to_the_lower_number() -> None:
    logits = torch.zeros(3, 20)
    weight, index = choose_triton(logits, torch.ones(20), active=4)
    assert index.tolist() == [[0, 1, 2, 3]] * 3
    assert weight.equal(torch.full((3, 4), 0.25))


def test_large_logits_stay_finite_and_rows_may_be_strided() -> None:
    logits, scale = drawn(10, 16)
    wide = (logits * 1e4).repeat_interleave(2, 1)[:, ::2]
    weight, index = choose_triton(wide, scale, active=2)
    assert index.equal(wide.argsort(-1, descending=True)[:, :2])
    assert weight[:, 0].equal(scale[index[:, 0]]) and not weight[:, 1].any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_choice_on_a_gpu_and_in_a_graph() -> None:
    logits, scale = (one.cuda() for one in drawn(256, 128))
    with torch.inference_mode():
        choose(logits, scale, active=8)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            weight, index = choose(logits, scale, active=8)
        logits.copy_(logits.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    wanted, order = formula(logits, scale, 8, 1.0)
    assert index.equal(order)
    torch.testing.assert_close(weight.double(), wanted, rtol=1e-5, atol=1e-6)
