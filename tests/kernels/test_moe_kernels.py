"""The experts' kernels, of every kind of weight, against a loop over the tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels import moe as file
from dgedit_kernels.moe import experts, experts_reference, experts_triton
from dgedit_kernels.quantised import Kind, Quantised, quantise
from interpreted import bfloat16_as_on_a_card

Stack = Tensor | Quantised
Inputs = tuple[Tensor, Tensor, Tensor, Stack, Stack]

KINDS: list[tuple[Kind | None, int | None]] = [
    (None, None),
    ("int4", 32),
    ("e2m1", 16),
    ("int8", None),
    ("e4m3", None),
]
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Tensor.new_empty

    def poison(self: Tensor, *shape: Any, **given: Any) -> Tensor:
        made = new(self, *shape, **given)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(Tensor, "new_empty", poison)
    bfloat16_as_on_a_card(monkeypatch)


def drawn(
    count: int,
    kind: Kind | None = None,
    group: int | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    many: int = 5,
    active: int = 2,
    width: int = 96,
    inner: int = 64,
) -> Inputs:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, width, generator=generator).to(dtype)
    index = torch.rand(count, many, generator=generator).topk(active).indices
    weight = torch.rand(count, active, generator=generator).to(dtype)
    gate_up = torch.randn(many, 2 * inner, width, generator=generator) * width**-0.5
    down = torch.randn(many, width, inner, generator=generator) * inner**-0.5
    if kind is None:
        return x, index, weight, gate_up.to(dtype), down.to(dtype)
    stacks = (quantise(one, kind, group=group) for one in (gate_up, down))
    return x, index, weight, *stacks


def matrix(stack: Stack) -> Tensor:
    if isinstance(stack, Quantised):
        return stack.dequantised(torch.float64)
    return stack.double()


def formula(x: Tensor, index: Tensor, weight: Tensor, gate_up: Stack, down: Stack) -> Tensor:
    into, out_of = matrix(gate_up), matrix(down)
    found = torch.zeros(x.shape, dtype=torch.float64)
    for token, chosen in enumerate(index.tolist()):
        for place, expert in enumerate(chosen):
            gate, up = (into[expert] @ x[token].double()).chunk(2)
            inner = F.gelu(gate, approximate="tanh") * up
            found[token] += weight[token, place].double() * (out_of[expert] @ inner)
    return found


def assert_close(inputs: Inputs) -> None:
    found, tolerance = experts_triton(*inputs), TOLERANCE[inputs[0].dtype]
    assert found.dtype == inputs[0].dtype
    torch.testing.assert_close(found.double(), formula(*inputs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("count", [1, 37])
def test_every_kind_is_the_weighted_sum(
    kind: Kind | None, group: int | None, dtype: torch.dtype, count: int
) -> None:
    assert_close(drawn(count, kind, group, dtype=dtype))


@pytest.mark.parametrize(("width", "inner"), [(16, 16), (144, 48), (48, 208)])
@pytest.mark.parametrize(("kind", "group"), [(None, None), ("int4", 16), ("int8", None)])
def test_odd_widths(width: int, inner: int, kind: Kind | None, group: int | None) -> None:
    assert_close(drawn(21, kind, group, width=width, inner=inner, dtype=torch.bfloat16))


def test_every_expert_or_one_takes_all() -> None:
    assert_close(drawn(9, many=4, active=4))
    x, index, *rest = drawn(100, "e2m1", 16, active=1)
    assert_close((x, torch.full_like(index, 3), *rest))


@pytest.mark.parametrize("kind", ["e2m1", None])
def test_tiles_half_full_and_full(kind: Kind | None) -> None:
    """Half a tile is multiplied where that holds an expert's tokens, or the last of them."""
    counts = (16, 17, 1, 32, 33)
    x, index, *rest = drawn(sum(counts), kind, 16 if kind else None, active=1)
    chosen = torch.arange(5).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(1))
    assert file._tile(4, index.numel(), 5, 4).tokens == 32
    assert_close((x, chosen[order][:, None], *rest))


def test_one_token_may_choose_an_expert_twice() -> None:
    x, index, *rest = drawn(30)
    index[::3] = 4
    assert_close((x, index, *rest))


def test_experts_that_nobody_chose_do_not_matter() -> None:
    x, index, weight, gate_up, down = drawn(40, many=4)
    assert isinstance(gate_up, Tensor)
    gate_up[2] = torch.nan
    index[index == 2] = 3
    assert_close((x, index, weight, gate_up, down))


def test_no_token_leaks_into_another() -> None:
    x, *rest = drawn(40, "int8", None)
    x[7] = torch.nan
    found = experts_triton(x, *rest)
    assert found[7].isnan().all() and not found[[*range(7), *range(8, 40)]].isnan().any()


def test_stacks_and_inputs_that_are_slices() -> None:
    x, index, weight, gate_up, down = drawn(30, "e2m1", 16, many=7)
    wide = torch.stack((x, x), -1).flatten(-2)[:, ::2]
    sides = index.T.contiguous().T, weight.T.contiguous().T
    assert not any(one.is_contiguous() for one in (wide, *sides))
    assert_close((wide, sides[0] % 4, sides[1], gate_up[2:6], down[2:6]))


def test_kernels_repeat_themselves_bit_for_bit() -> None:
    inputs = drawn(64, "int4", 32, active=3)
    assert experts_triton(*inputs).equal(experts_triton(*inputs))


def test_kernels_and_reference_round_at_the_same_places() -> None:
    inputs = drawn(50, "e4m3", None, dtype=torch.bfloat16)
    found, wanted = experts_triton(*inputs), experts_reference(*inputs)
    exact = formula(*inputs)
    assert (found - exact).norm() < 1.2 * (wanted - exact).norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("kind", "group"), KINDS)
def test_experts_on_a_gpu_and_in_a_graph(kind: Kind | None, group: int | None) -> None:
    inputs = drawn(256, kind, group, many=16, active=8, width=2816, inner=704, dtype=torch.bfloat16)
    x, *rest = (one.to("cuda") for one in inputs)
    assert isinstance(x, Tensor)
    with torch.inference_mode():
        experts(x, *rest)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = experts(x, *rest)
        x.copy_(x.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    wanted = formula(inputs[0].flip(0), *inputs[1:])
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=5e-2, atol=5e-2)
