"""The written backward of the norms, against numbers and against autograd of the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels import norm_backward
from dgedit_kernels.norm import (
    residual_norm,
    residual_norm_reference,
    rms_norm,
    rms_norm_reference,
)
from dgedit_kernels.norm_backward import residual_norm_trained, rms_norm_trained

EPS = 1e-6


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()


@pytest.mark.parametrize("width", [1, 7, 63])
@pytest.mark.parametrize("weighted", [True, False])
def test_rms_norm_gradient_is_the_slope(width: int, weighted: bool) -> None:
    weight = numbers(width, seed=1) if weighted else None
    assert torch.autograd.gradcheck(rms_norm_trained, (numbers(2, 3, width), weight, EPS))


@pytest.mark.parametrize("width", [1, 7, 33])
@pytest.mark.parametrize("readers", [0, 1, 3])
@pytest.mark.parametrize("scaled", [True, False])
def test_residual_norm_gradient_is_the_slope(width: int, readers: int, scaled: bool) -> None:
    scalar = torch.tensor([0.7], dtype=torch.float64, requires_grad=True) if scaled else None
    weights = [numbers(width, seed=10 + each) for each in range(readers)]

    def each(x: Tensor, y: Tensor, weight: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        rest = list(more)
        factor = rest.pop(0) if scaled else None
        total, normed = residual_norm_trained(x, y, weight, EPS, scalar=factor, weights=rest)
        return (total, *normed)

    given = (numbers(3, 2, width), numbers(3, 2, width, seed=1), numbers(width, seed=2))
    assert torch.autograd.gradcheck(each, (*given, *([scalar] if scaled else []), *weights))


def gradients(run: Any, *inputs: Tensor) -> list[Tensor]:
    outs = run(*inputs)
    given = [numbers(*one.shape, seed=90 + i, dtype=one.dtype) for i, one in enumerate(outs)]
    return list(torch.autograd.grad(outs, inputs, given))


@pytest.mark.parametrize("width", [1, 100, 257, 2048])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("chunk", [1, 1 << 16])
def test_gradients_are_those_of_the_reference(
    width: int, dtype: torch.dtype, tolerance: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norm_backward, "_CHUNK", chunk)
    x, y = numbers(5, width, dtype=dtype), numbers(5, width, seed=1, dtype=dtype)
    w, reader, other = (numbers(width, seed=each, dtype=dtype) for each in (2, 3, 4))

    def alone(norm: Any) -> list[Tensor]:
        return gradients(lambda x, w: (norm(x, w, EPS),), x, w)

    def around(norm: Any, *inputs: Tensor) -> list[Tensor]:
        def flat(x: Tensor, y: Tensor, w: Tensor, *readers: Tensor) -> tuple[Tensor, ...]:
            total, normed = norm(x, y, w, EPS, weights=readers)
            return (total, *normed)

        return gradients(flat, *inputs)

    wide = [one.detach().float().requires_grad_() for one in (x, y, w, reader, other)]
    exact = around(_composed, *wide)
    for found, expected in (
        *zip(alone(rms_norm), alone(rms_norm_reference), strict=True),
        *zip(around(residual_norm, x, y, w, reader, other), exact, strict=True),
    ):
        assert found.dtype == dtype
        scale = expected.abs().max().item() + 0.1  # of a width of 1 it is all but 0
        torch.testing.assert_close(
            found.float(), expected.float(), rtol=tolerance, atol=tolerance * scale
        )


def _composed(
    x: Tensor, y: Tensor, w: Tensor, eps: float, *, weights: tuple[Tensor, ...]
) -> tuple[Tensor, list[Tensor]]:
    """`residual_norm` of the norms' formula."""
    total = x + rms_norm_reference(y, w, eps)
    return total, [rms_norm_reference(total, each, eps) for each in weights]


def test_values_are_those_of_the_untrained_path_and_inputs_stay() -> None:
    x, y = numbers(9, 100, dtype=torch.float32), numbers(9, 100, seed=1, dtype=torch.float32)
    w, reader = (numbers(100, seed=each, dtype=torch.float32) for each in (2, 3))
    before = x.detach().clone(), y.detach().clone()
    total, (normed,) = residual_norm(x, y, w, EPS, weights=[reader])
    alone = rms_norm(x, w, EPS, plus=y)
    (total.sum() + normed.sum() + alone.sum()).backward()
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])
    with torch.no_grad():
        expected, (other,) = residual_norm_reference(x, y, w, EPS, weights=[reader])
        torch.testing.assert_close(alone, rms_norm_reference(x, w, EPS, plus=y))
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(normed, other)


def test_frozen_weights_and_unused_outputs_have_no_gradient() -> None:
    x, y = numbers(4, 8, dtype=torch.float32), numbers(4, 8, seed=1, dtype=torch.float32)
    w, reader = torch.ones(8), torch.ones(8, requires_grad=True)
    total, (_,) = residual_norm(x, y, w, EPS, weights=[reader])
    total.sum().backward()
    assert w.grad is None and reader.grad is None
    assert torch.equal(x.grad, torch.ones(4, 8)) and y.grad is not None


def test_two_branches_and_strided_rows_train() -> None:
    x = numbers(8, 6, dtype=torch.float32)
    y, z = numbers(6, 8, seed=1, dtype=torch.float32), numbers(6, 8, seed=2, dtype=torch.float32)
    w, one, two = (numbers(8, seed=each, dtype=torch.float32) for each in (3, 4, 5))
    total, _ = residual_norm(x.T, (y, z), w, EPS, inner=(one, two))
    total.square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in (x, y, z, w, one))
