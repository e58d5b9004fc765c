"""What Llama's shape asks of the kernels: SiLU, branches added plainly, biases, no q/k norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.norm import residual_norm, residual_norm_reference, residual_norm_triton
from dgedit_kernels.rope import (
    qk_norm_rope,
    qk_norm_rope_reference,
    qk_norm_rope_triton,
    rope_at,
)
from dgedit_kernels.swiglu import swiglu, swiglu_reference, swiglu_triton

EPS = 1e-6
DTYPES = [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel does not write is no number."""
    new = Tensor.new_empty

    def poison(self: Tensor, *sizes: Any, **options: Any) -> Tensor:
        made = new(self, *sizes, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(Tensor, "new_empty", poison)


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype)


@pytest.mark.parametrize("gated", [swiglu, swiglu_reference, swiglu_triton])
@pytest.mark.parametrize("width", [1, 63, 100, 257, 2048])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_swiglu_is_the_formula(
    gated: Callable[[Tensor], Tensor], width: int, dtype: torch.dtype, tolerance: float
) -> None:
    joined = numbers(3, 5, 4 * width, dtype=dtype)[..., ::2] * 3
    gate, up = joined.double().chunk(2, -1)
    found = gated(joined)
    assert found.dtype == dtype and found.shape == (3, 5, width)
    right = gate / (1 + (-gate).exp()) * up
    torch.testing.assert_close(found.double(), right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("norm", [residual_norm, residual_norm_reference, residual_norm_triton])
@pytest.mark.parametrize("width", [1, 63, 100, 257, 2048])
@pytest.mark.parametrize("readers", [0, 1])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_branch_without_a_norm_is_added_as_it_is(
    norm: Any, width: int, readers: int, dtype: torch.dtype, tolerance: float
) -> None:
    x, y = numbers(2, 5, width, dtype=dtype), numbers(2, 5, 2 * width, seed=1)[..., ::2]
    weights = [numbers(width, seed=2)] * readers
    total, normed = norm(x, y, None, EPS, weights=weights)
    right = x.double() + y.double()
    assert total.dtype == dtype and len(normed) == readers
    torch.testing.assert_close(total.double(), right, rtol=tolerance, atol=tolerance)
    for found, weight in zip(normed, weights, strict=True):
        expected = right / (right.square().mean(-1, keepdim=True) + EPS).sqrt() * weight.double()
        close = {"rtol": 2 * tolerance, "atol": 2 * tolerance}
        torch.testing.assert_close(found.double(), expected, **close)


def test_gradients_go_through_a_plain_branch() -> None:
    x, y = numbers(3, 8).requires_grad_(True), numbers(3, 8, seed=1).requires_grad_(True)
    weight = numbers(8, seed=2)
    total, (normed,) = residual_norm(x, y, None, EPS, weights=[weight])
    (total.sum() + normed.square().sum()).backward()
    assert x.grad is not None and y.grad is not None and torch.equal(x.grad, y.grad)


@pytest.mark.parametrize("way", [qk_norm_rope, qk_norm_rope_reference, qk_norm_rope_triton])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("count", [1, 63])
@pytest.mark.parametrize(
    ("width", "heads", "kv_heads"), [(16, 4, 2), (24, 3, 1), (64, 9, 3), (128, 7, 1)]
)
def test_queries_are_scaled_and_turned_without_a_norm(
    way: Any, biased: bool, count: int, width: int, heads: int, kv_heads: int
) -> None:
    rows = heads + 2 * kv_heads
    joined = numbers(2, 2 * count, rows, width)[:, ::2]
    bias = numbers(rows * width, seed=1) if biased else None
    stretch = tuple(1.0 + pair % 3 for pair in range(width // 2))
    positions = torch.arange(100, 100 + count)
    rope = rope_at(
        *(positions,),
        **{"head_dim": width, "theta": 1e4, "rotated": width // 2},
        dtype=torch.float32,
        stretch=stretch,
    )
    options: dict[str, Any] = {"heads": heads, "kv_heads": kv_heads, "shared": False, "eps": EPS}
    options |= {"normed_values": False, "scale": width**-0.5, "bias": bias}
    q, k, v = way(joined, None, None, rope, **options)
    right = joined.double() + (0 if bias is None else bias.double().view(rows, width))
    pairs = torch.arange(width // 2, dtype=torch.float64)
    angle = positions.double()[:, None, None] * 1e4 ** (-2 * pairs / width)
    angle = angle / torch.tensor(stretch, dtype=torch.float64)
    parts = right.split([heads, kv_heads, kv_heads], 2)
    for found, part, scale in ((q, parts[0], width**-0.5), (k, parts[1], 1.0)):
        turned = torch.complex(*part.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
        expected = torch.cat((turned.real, turned.imag), -1).transpose(1, 2) * scale
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(v.double(), parts[2].transpose(1, 2), rtol=1e-5, atol=1e-5)
