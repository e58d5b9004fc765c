"""Routed experts against a loop over the tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.moe import experts

WIDTH, INNER = 12, 10


def formula(x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    found = torch.zeros(x.shape, dtype=torch.float64)
    for token in range(len(x)):
        for place, expert in enumerate(index[token].tolist()):
            gate, up = (gate_up[expert].double() @ x[token].double()).chunk(2)
            inner = F.gelu(gate, approximate="tanh") * up
            found[token] += weight[token, place].double() * (down[expert].double() @ inner)
    return found


def draw(count: int, *, many: int, active: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, WIDTH, generator=generator)
    index = torch.rand(count, many, generator=generator).topk(active).indices
    weight = torch.rand(count, active, generator=generator)
    gate_up = torch.randn(many, 2 * INNER, WIDTH, generator=generator) * WIDTH**-0.5
    down = torch.randn(many, WIDTH, INNER, generator=generator) * INNER**-0.5
    return x, index, weight, gate_up, down


def assert_close(inputs: tuple[Tensor, ...], tolerance: float = 1e-5) -> None:
    found = experts(*inputs)
    assert found.dtype == inputs[0].dtype
    torch.testing.assert_close(found.double(), formula(*inputs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("count", [1, 63, 100, 257])
@pytest.mark.parametrize(("many", "active"), [(1, 1), (4, 1), (4, 2), (9, 9)])
def test_experts_are_the_weighted_sum(count: int, many: int, active: int) -> None:
    assert_close(draw(count, many=many, active=active))


def test_experts_that_no_token_chose_do_not_matter() -> None:
    x, index, weight, gate_up, down = draw(63, many=5, active=2)
    index = torch.where(index == 2, (index.sum(1, keepdim=True) + 1) % 5, index)
    index[index == 2] = 4
    gate_up[2] = torch.nan
    assert not (index == 2).any()
    assert_close((x, index, weight, gate_up, down))


def test_experts_take_all_tokens_at_one_of_many() -> None:
    x, index, weight, gate_up, down = draw(63, many=5, active=1)
    assert_close((x, torch.full_like(index, 3), weight, gate_up, down))


def test_experts_read_strided_input() -> None:
    x, index, weight, gate_up, down = draw(63, many=4, active=2)
    x = x.T.contiguous().T
    index, weight = index.flip(1).T.contiguous().T, weight.T.contiguous().T
    gate_up = gate_up.mT.contiguous().mT
    assert not any(part.is_contiguous() for part in (x, index, weight, gate_up))
    assert_close((x, index, weight, gate_up, down))


@pytest.mark.parametrize(("many", "active"), [(1, 1), (4, 2)])
def test_experts_hold_in_bf16(many: int, active: int) -> None:
    x, index, *rest = draw(63, many=many, active=active)
    weight, gate_up, down = (part.bfloat16() for part in rest)
    assert_close((x.bfloat16(), index, weight, gate_up, down), tolerance=4e-2)


def test_experts_pass_gradients_to_those_that_were_chosen() -> None:
    x, index, weight, gate_up, down = draw(20, many=4, active=1)
    index = index % 3  # the last one is never chosen
    leaves = [part.requires_grad_() for part in (x, weight, gate_up, down)]
    experts(x, index, weight, gate_up, down).sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)
    assert gate_up.grad is not None and gate_up.grad[:3].abs().amax((1, 2)).min() > 0
    assert not gate_up.grad[3].any()
