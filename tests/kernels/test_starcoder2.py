"""What StarCoder2's layers ask of the kernels: LayerNorms with biases, GELU of a product's sum."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.decode import Unsummed, ordered
from dgedit_kernels.gelu import gelu, gelu_reference, gelu_triton
from dgedit_kernels.layer_norm import (
    layer_norm,
    layer_norm_reference,
    layer_norm_triton,
    residual_layer_norm,
    residual_layer_norm_reference,
    residual_layer_norm_triton,
)

EPS = 1e-5
DTYPES = [(torch.float32, 1e-4), (torch.bfloat16, 4e-2)]
WIDTHS = [2, 63, 100, 257, 2048]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel does not write is no number."""
    new = Tensor.new_empty
    monkeypatch.setattr(
        Tensor, "new_empty", lambda self, *a, **k: new(self, *a, **k).fill_(torch.nan)
    )


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def formula(x: Tensor, weight: Tensor) -> Tensor:
    wide, (scale, shift) = x.double(), weight.double().chunk(2)
    away = wide - wide.mean(-1, keepdim=True)
    return away / (away.square().mean(-1, keepdim=True) + EPS).sqrt() * scale + shift


@pytest.mark.parametrize("norm", [layer_norm, layer_norm_reference, layer_norm_triton])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_layer_norm_is_the_formula(
    norm: Any, width: int, dtype: torch.dtype, tolerance: float
) -> None:
    x = numbers(3, 5, 2 * width, dtype=dtype)[..., ::2] * 3 + 2  # a mean that matters
    weight = numbers(2 * width, seed=1)
    found = norm(x, weight, EPS)
    assert found.dtype == dtype
    right = formula(x, weight)
    torch.testing.assert_close(found.double(), right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "norm", [residual_layer_norm, residual_layer_norm_reference, residual_layer_norm_triton]
)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_branch_and_its_bias_are_added_before_the_norm(
    norm: Any, width: int, dtype: torch.dtype, tolerance: float
) -> None:
    x, y = numbers(2, 5, width, dtype=dtype), numbers(2, 5, 2 * width, seed=1)[..., ::2]
    bias, weight = numbers(width, seed=2), numbers(2 * width, seed=3)
    total, normed = norm(x, y, bias, weight, EPS)
    right = x.double() + y.double() + bias.double()
    assert total.dtype == normed.dtype == dtype
    torch.testing.assert_close(total.double(), right, rtol=tolerance, atol=tolerance)
    close = {"rtol": 2 * tolerance, "atol": 2 * tolerance}
    if width > 2:  # of two numbers that are nearly equal, rounding decides
        torch.testing.assert_close(normed.double(), formula(right, weight), **close)


def test_kernels_add_parts_and_lay_out_columns() -> None:
    width, parts = 64, numbers(6, 3, 64, seed=1)
    scale, bias, weight = (numbers(64 * size, seed=size) for size in (1, 1, 2))
    x, product = numbers(6, width, seed=5), Unsummed(parts, scale, torch.Size((6,)))
    summed = parts.sum(1) * scale
    total, normed = residual_layer_norm_triton(x, product, bias, weight, EPS, planes=4)
    right, expected = residual_layer_norm_reference(x, summed, bias, weight, EPS)
    torch.testing.assert_close(total, right, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(normed, ordered(expected, 4), rtol=1e-4, atol=1e-4)
    found = gelu_triton(product, bias, dtype=torch.float32, planes=2)
    expected = ordered(gelu_reference(summed, bias), 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", [gelu, gelu_reference, gelu_triton])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_gelu_is_the_formula(way: Any, width: int, dtype: torch.dtype, tolerance: float) -> None:
    inner, bias = numbers(3, 5, 2 * width, dtype=dtype)[..., ::2] * 3, numbers(width, seed=1)
    found = way(inner, bias)
    assert found.dtype == dtype and found.shape == (3, 5, width)
    wide = inner.double() + bias.double()
    right = 0.5 * wide * (1 + (math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)).tanh())
    torch.testing.assert_close(found.double(), right, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_kernels_on_a_gpu_and_in_a_graph() -> None:
    x, y = (numbers(256, 3072, seed=seed, dtype=torch.bfloat16).cuda() for seed in range(2))
    bias, weight = numbers(3072, seed=2).cuda(), numbers(6144, seed=3).cuda()
    with torch.inference_mode():
        residual_layer_norm(x, y, bias, weight, EPS), gelu(y, bias)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            total, normed = residual_layer_norm(x, y, bias, weight, EPS)
            lifted = gelu(y, bias)
        x.copy_(x.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    right, expected = residual_layer_norm_reference(x, y, bias, weight, EPS)
    for found, one in ((total, right), (normed, expected), (lifted, gelu_reference(y, bias))):
        torch.testing.assert_close(found.float(), one.float(), rtol=4e-2, atol=4e-2)
