"""The norm against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_kernels.norm import rms_norm, rms_norm_reference

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
    for norm in (rms_norm, rms_norm_reference):
        found = norm(x, weight, EPS)
        assert found.dtype == dtype
        torch.testing.assert_close(
            found.double(), formula(x, weight), rtol=tolerance, atol=tolerance
        )


def test_rms_norm_reads_strided_rows() -> None:
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(200, generator=torch.Generator().manual_seed(1))[::2]
    assert not x.T.is_contiguous()
    torch.testing.assert_close(rms_norm(x.T, weight, EPS).double(), formula(x.T, weight))


def test_rms_norm_multiplies_by_the_weight_as_it_is() -> None:
    assert not rms_norm(torch.ones(2, 8), torch.zeros(8), EPS).any()


def test_rms_norm_takes_an_fp32_weight_for_bf16_input() -> None:
    x, weight = torch.ones(2, 8, dtype=torch.bfloat16), torch.full((8,), 1.5)
    found = rms_norm(x, weight, EPS)
    assert found.dtype == torch.bfloat16 and (found == 1.5).all()


def test_rms_norm_of_zeros_is_zero_and_of_tiny_values_is_damped() -> None:
    assert not rms_norm(torch.zeros(1, 63), None, EPS).any()
    assert rms_norm(torch.full((1, 63), 1e-3), None, EPS).max() == pytest.approx(0.5**0.5)
