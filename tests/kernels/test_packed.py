"""Products with codes on a CPU against those with numbers."""

from __future__ import annotations

import pytest
import torch

from dgedit_kernels.packed import available, packed, packed_product

pytestmark = pytest.mark.skipif(not available(), reason="this CPU has no such products")


def drawn(rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows)
    matrix = torch.randn(rows, columns, generator=generator) * columns**-0.5
    matrix[0] *= 50  # each row has a scale of its own
    return matrix


@pytest.mark.parametrize("count", [1, 63, 100, 257])
@pytest.mark.parametrize(("rows", "columns"), [(1, 16), (63, 100), (257, 384)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_codes_are_near_the_numbers(
    count: int, rows: int, columns: int, dtype: torch.dtype
) -> None:
    matrix = drawn(rows, columns)
    x = torch.randn(2, count, columns)
    wanted, size = x @ matrix.T, matrix.norm(dim=1)
    found = packed_product(x, packed(matrix, dtype=dtype))
    assert found.dtype == torch.float32 and found.shape == (2, count, rows)
    assert ((found - wanted) / size).std() < 0.02  # x in 7 or 8 bits, of a range of 4 to 5
    assert not found.equal(wanted)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_many_rows_take_the_numbers(dtype: torch.dtype, tolerance: float) -> None:
    matrix, x = drawn(40, 64), torch.randn(5, 64)
    weight = packed(matrix, most=4, dtype=dtype)
    wanted = x @ matrix.T
    assert weight.weight.dtype == dtype
    torch.testing.assert_close(
        packed_product(x, weight), wanted, rtol=tolerance, atol=tolerance * 50
    )
    assert (packed_product(x[:4], weight) - wanted[:4]).abs().max() > tolerance


def test_a_stack_of_one_gives_its_matrix() -> None:
    matrix = drawn(40, 64)
    stack = packed(matrix[None])
    assert stack.shape == (1, 40, 64) and stack[0].shape == (40, 64)
    x = torch.randn(3, 64)
    assert packed_product(x, stack[0]).equal(packed_product(x, packed(matrix)))


def test_rows_of_zeros_stay_zero() -> None:
    matrix = drawn(8, 32)
    matrix[3] = 0
    found = packed_product(torch.randn(5, 32), packed(matrix))
    assert not found[:, 3].any() and found[:, 4].any()
