"""The rotary embedding against rotations written as complex numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_kernels.rope import rope_table, rotate


def turned(x: Tensor, positions: Tensor, *, theta: float, rotated: int) -> Tensor:
    """x (n, h, E): pair (i, i + E/2) as a complex number times e^(i angle), 0 behind `rotated`."""
    width = x.shape[-1]
    low, high = x.double().chunk(2, -1)
    pairs = torch.arange(width // 2, dtype=torch.float64)
    frequency = torch.where(pairs < rotated, theta ** (-2 * pairs / width), 0.0)
    angle = positions.double()[:, None, None] * frequency
    product = torch.complex(low, high) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((product.real, product.imag), -1)


@pytest.mark.parametrize("count", [1, 63, 100, 257])
@pytest.mark.parametrize(("width", "rotated"), [(2, 1), (18, 9), (64, 32), (64, 8), (24, 3)])
def test_rotate_turns_pairs_half_a_head_apart(count: int, width: int, rotated: int) -> None:
    x = torch.randn(count, 3, width, generator=torch.Generator().manual_seed(count))
    positions = torch.arange(7, 7 + count)
    cos, sin = rope_table(positions, head_dim=width, theta=1e4, rotated=rotated)
    assert cos.dtype == sin.dtype == torch.float32 and cos.shape == sin.shape == (count, width)
    expected = turned(x, positions, theta=1e4, rotated=rotated)
    torch.testing.assert_close(rotate(x, cos, sin).double(), expected, rtol=1e-4, atol=1e-4)


def test_rotate_keeps_the_pairs_that_do_not_turn() -> None:
    x = torch.randn(5, 2, 16, generator=torch.Generator().manual_seed(0))
    found = rotate(x, *rope_table(torch.arange(1, 6), head_dim=16, theta=1e6, rotated=2))
    still = [*range(2, 8), *range(10, 16)]
    assert torch.equal(found[..., still], x[..., still])
    assert not torch.isclose(found[..., [0, 8]], x[..., [0, 8]]).all()


def test_rotate_makes_products_depend_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 32, generator=generator)

    def product(here: int, there: int) -> float:
        cos, sin = rope_table(torch.tensor([here, there]), head_dim=32, theta=1e4, rotated=16)
        return float((rotate(q, cos[:1], sin[:1]) * rotate(k, cos[1:], sin[1:])).sum())

    assert product(9, 4) == pytest.approx(product(905, 900), abs=1e-3)
    assert product(9, 4) != pytest.approx(product(9, 7), abs=1e-2)


def test_rotate_reads_strided_and_batched_input() -> None:
    x = torch.randn(2, 3, 5, 16, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    assert not x.is_contiguous()  # (2, 5, 3, 16)
    cos, sin = rope_table(torch.arange(5), head_dim=16, theta=1e4, rotated=8)
    assert torch.equal(rotate(x, cos, sin), rotate(x.contiguous(), cos, sin))


def test_rotate_holds_in_bf16() -> None:
    x = torch.randn(63, 2, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    positions = torch.arange(63)
    cos, sin = rope_table(positions, head_dim=64, theta=1e4, rotated=32)
    found = rotate(x, cos.bfloat16(), sin.bfloat16())
    assert found.dtype == torch.bfloat16
    expected = turned(x, positions, theta=1e4, rotated=32)
    torch.testing.assert_close(found.double(), expected, rtol=4e-2, atol=4e-2)
