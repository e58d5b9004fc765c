"""Attention against a loop over heads in fp64, and against its reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.attention import attention, attention_reference

BOTH = pytest.mark.parametrize("function", [attention, attention_reference])


def draw(*, n: int, keys: int, heads: int, shared: int, width: int, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n * 1000 + keys)
    shapes = ((heads, n), (shared, keys), (shared, keys))
    return [torch.randn(batch, h, m, width, generator=generator) for h, m in shapes]


def formula(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Query head h looks at key head h // (H / K); nothing is divided by sqrt(E)."""
    outputs = []
    for head in range(q.shape[1]):
        other = head // (q.shape[1] // k.shape[1])
        scores = q[:, head].double() @ k[:, other].double().mT
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        outputs.append(scores.softmax(-1) @ v[:, other].double())
    return torch.stack(outputs, 1)


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@BOTH
@pytest.mark.parametrize(("heads", "shared"), [(1, 1), (4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize(("n", "keys"), [(1, 1), (1, 257), (63, 100), (100, 63)])
def test_attention_is_the_formula(
    function: Any, heads: int, shared: int, n: int, keys: int
) -> None:
    q, k, v = draw(n=n, keys=keys, heads=heads, shared=shared, width=24)
    assert_close(function(q, k, v, None), formula(q, k, v, None))


@BOTH
def test_attention_looks_only_where_the_mask_says(function: Any) -> None:
    q, k, v = draw(n=63, keys=100, heads=4, shared=2, width=16)
    mask = torch.rand(63, 100, generator=torch.Generator().manual_seed(0)) < 0.3
    mask[:, 5] = True  # no query looks nowhere
    assert_close(function(q, k, v, mask), formula(q, k, v, mask))
    v[:, :, ~mask[0]] = 1e6
    assert function(q, k, v, mask)[:, :, 0].abs().max() < 10


@BOTH
@pytest.mark.parametrize("n", [1, 63, 100])
def test_attention_is_causal_when_asked(function: Any, n: int) -> None:
    q, k, v = draw(n=n, keys=n, heads=4, shared=2, width=16)
    mask = torch.ones(n, n, dtype=torch.bool).tril()
    assert_close(function(q, k, v, None, causal=True), formula(q, k, v, mask))


@BOTH
def test_attention_reads_strided_input(function: Any) -> None:
    q, k, v = draw(n=63, keys=200, heads=4, shared=2, width=16)
    q = q.transpose(1, 2).contiguous().transpose(1, 2)
    k, v = k[:, :, 100:], v[:, :, ::2]
    assert not (q.is_contiguous() or k.is_contiguous() or v.is_contiguous())
    assert_close(function(q, k, v, None), formula(q, k, v, None))


@BOTH
@pytest.mark.parametrize("causal", [True, False])
def test_attention_holds_in_bf16(function: Any, causal: bool) -> None:
    wide = draw(n=100, keys=100, heads=4, shared=2, width=24)
    q, k, v = (x.bfloat16() * 0.5 for x in wide)
    mask = torch.ones(100, 100, dtype=torch.bool).tril() if causal else None
    found = function(q, k, v, None, causal=causal)
    assert found.dtype == torch.bfloat16
    assert_close(found, formula(q, k, v, mask), tolerance=3e-2)


def test_attention_has_the_references_gradients() -> None:
    mask = torch.ones(63, 63, dtype=torch.bool).tril()
    gradients = []
    for function in (attention, attention_reference):
        inputs = [x.requires_grad_() for x in draw(n=63, keys=63, heads=4, shared=2, width=16)]
        function(*inputs, mask).square().sum().backward()
        gradients.append([x.grad for x in inputs])
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)
