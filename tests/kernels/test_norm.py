"""The norm against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.norm import (
    residual_norm,
    residual_norm_reference,
    residual_norm_triton,
    rms_norm,
    rms_norm_reference,
    rms_norm_triton,
)

EPS = 1e-6


def formula(x: Tensor, weight: Tensor | None) -> Tensor:
    wide = x.double()
    y = wide / (wide.square().mean(-1, keepdim=True) + EPS).sqrt()
    return y if weight is None else y * weight.double()


@pytest.mark.parametrize("width", [1, 63, 100, 257, 2048])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_rms_norm_is_the_formula(
    width: int, weighted: bool, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(width)
    x = torch.randn(2, 3, width, generator=generator).to(dtype) * 3
    weight = torch.randn(width, generator=generator).to(dtype) if weighted else None
    for norm in (rms_norm, rms_norm_reference, rms_norm_triton):
        found = norm(x, weight, EPS)
        assert found.dtype == dtype
        torch.testing.assert_close(
            found.double(), formula(x, weight), rtol=tolerance, atol=tolerance
        )


def test_rms_norm_reads_strided_rows() -> None:
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(200, generator=torch.Generator().manual_seed(1))[::2]
    assert not x.T.is_contiguous()
    for norm in (rms_norm, rms_norm_triton):
        found = norm(x.T, weight, EPS).double()
        torch.testing.assert_close(found, formula(x.T, weight), rtol=1e-6, atol=1e-6)


def test_rms_norm_multiplies_by_the_weight_as_it_is() -> None:
    assert not rms_norm(torch.ones(2, 8), torch.zeros(8), EPS).any()


def test_rms_norm_takes_an_fp32_weight_for_bf16_input() -> None:
    x, weight = torch.ones(2, 8, dtype=torch.bfloat16), torch.full((8,), 1.5)
    found = rms_norm(x, weight, EPS)
    assert found.dtype == torch.bfloat16 and (found == 1.5).all()


def test_rms_norm_of_zeros_is_zero_and_of_tiny_values_is_damped() -> None:
    assert not rms_norm(torch.zeros(1, 63), None, EPS).any()
    assert rms_norm(torch.full((1, 63), 1e-3), None, EPS).max() == pytest.approx(0.5**0.5)


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype) * 2


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is not written reads as NaN."""
    new = Tensor.new_empty
    monkeypatch.setattr(
        Tensor, "new_empty", lambda self, *a, **k: new(self, *a, **k).fill_(torch.nan)
    )


@pytest.mark.parametrize("norm", [rms_norm, rms_norm_reference, rms_norm_triton])
@pytest.mark.parametrize("width", [1, 63, 257, 2048])
def test_rms_norm_of_a_sum(norm: Any, width: int, poisoned: None) -> None:
    x, plus, weight = numbers(7, width), numbers(7, width, seed=1), numbers(width, seed=2)
    found = norm(x, weight, EPS, plus=plus)
    torch.testing.assert_close(found.double(), formula(x + plus, weight), rtol=1e-4, atol=1e-5)


def layer_formula(x: Tensor, branch: Tensor, weight: Tensor, scalar: Tensor | None) -> Tensor:
    total = x.double() + formula(branch, weight)
    return total if scalar is None else total * scalar.double()


WAYS = [residual_norm, residual_norm_reference, residual_norm_triton]


@pytest.mark.parametrize("norm", WAYS)
@pytest.mark.parametrize("width", [1, 63, 100, 257, 2048])
@pytest.mark.parametrize("readers", [0, 1, 3])
def test_residual_norm_is_the_formula(norm: Any, width: int, readers: int, poisoned: None) -> None:
    x, y, weight = numbers(2, 5, width), numbers(2, 5, width, seed=1), numbers(width, seed=2)
    scalar = torch.tensor([0.7]) if readers == 1 else None
    weights = [numbers(width, seed=10 + each) for each in range(readers)]
    total, normed = norm(x, y, weight, EPS, scalar=scalar, weights=weights)
    expected = layer_formula(x, y, weight, scalar)
    torch.testing.assert_close(total.double(), expected, rtol=1e-4, atol=1e-4)
    assert len(normed) == readers
    for found, each in zip(normed, weights, strict=True):
        torch.testing.assert_close(found.double(), formula(expected, each), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", WAYS)
@pytest.mark.parametrize("width", [1, 100, 257])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2)])
def test_residual_norm_of_two_branches(
    norm: Any, width: int, dtype: torch.dtype, tolerance: float, poisoned: None
) -> None:
    x, dense, routed = (numbers(6, width, seed=each, dtype=dtype) for each in range(3))
    one, two, weight, reader = (numbers(width, seed=each) for each in range(3, 7))
    scalar = torch.tensor([1.3])
    total, (normed,) = norm(
        *(x, (dense, routed), weight, EPS), inner=(one, two), scalar=scalar, weights=[reader]
    )
    assert total.dtype == normed.dtype == dtype
    branch = formula(dense, one) + formula(routed, two)
    expected = layer_formula(x, branch, weight, scalar)
    torch.testing.assert_close(total.double(), expected, rtol=tolerance, atol=tolerance)
    close = {"rtol": 2 * tolerance, "atol": 2 * tolerance}
    torch.testing.assert_close(normed.double(), formula(expected, reader), **close)


def test_residual_norm_reads_strided_rows_and_weights() -> None:
    x, y = numbers(40, 6).T, numbers(6, 80, seed=1)[:, ::2]
    weight = numbers(80, seed=2)[::2]
    total, _ = residual_norm_triton(x, y, weight, EPS)
    torch.testing.assert_close(
        total.double(), layer_formula(x, y, weight, None), rtol=1e-4, atol=1e-4
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_norms_on_a_gpu_and_in_a_graph() -> None:
    x, y = (numbers(256, 2816, seed=each, dtype=torch.bfloat16).cuda() for each in range(2))
    weight, reader = (numbers(2816, seed=each, dtype=torch.bfloat16).cuda() for each in (2, 3))
    with torch.inference_mode():
        residual_norm(x, y, weight, EPS, weights=[reader])  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            total, (normed,) = residual_norm(x, y, weight, EPS, weights=[reader])
            alone = rms_norm(x, weight, EPS)
        x.copy_(x.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    expected = layer_formula(x, y, weight, None)
    torch.testing.assert_close(total.double(), expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(normed.double(), formula(expected, reader), rtol=5e-2, atol=5e-2)
    torch.testing.assert_close(alone.double(), formula(x, weight), rtol=2e-2, atol=2e-2)
