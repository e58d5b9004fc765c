"""What kernels leave to the next one: columns in planes, and sums in parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels import decode
from dgedit_kernels.decode import FEW, Unsummed, ordered, planes
from dgedit_kernels.geglu import geglu_reference, geglu_triton
from dgedit_kernels.moe import experts_triton
from dgedit_kernels.norm import (
    residual_norm_reference,
    residual_norm_triton,
    rms_norm,
    rms_norm_triton,
)
from dgedit_kernels.qmatmul import parts_triton, qmatmul_triton, whole
from dgedit_kernels.quantised import quantise
from dgedit_kernels.swiglu import swiglu_reference, swiglu_triton

EPS = 1e-6


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Tensor.new_empty

    def poison(self: Tensor, *shape: Any, **given: Any) -> Tensor:
        made = new(self, *shape, **given)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(Tensor, "new_empty", poison)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def split(rows: int, parts: int, columns: int, *, row: bool, seed: int = 1) -> Unsummed:
    """Parts as a product leaves them: a program's rows apart from the next one's."""
    made = drawn(parts, rows, columns, seed=seed).transpose(0, 1)
    return Unsummed(made, drawn(columns, seed=seed + 9) if row else None, torch.Size((rows,)))


def summed(branch: Unsummed) -> Tensor:
    total = branch.parts.sum(1)
    return total if branch.row is None else total * branch.row


@pytest.mark.parametrize("order", [1, 2, 4])
def test_norms_write_columns_in_planes(order: int) -> None:
    x, y, weight = drawn(5, 48), drawn(5, 48, seed=1), drawn(48, seed=2)
    found = rms_norm_triton(x, weight, EPS, planes=order)
    assert found.equal(ordered(rms_norm_triton(x, weight, EPS), order))
    weights = [drawn(48, seed=seed) for seed in (3, 4, 5)]
    plain = residual_norm_triton(x, y, weight, EPS, weights=weights)
    laid = residual_norm_triton(x, y, weight, EPS, weights=weights, planes=(order, 4, 1))
    assert laid[0].equal(plain[0]), "the residual stream stays"
    for one, two, own in zip(laid[1], plain[1], (order, 4, 1), strict=True):
        assert one.equal(ordered(two, own))


def test_planes_are_a_kernel_s() -> None:
    with pytest.raises(AssertionError, match="planes are a kernel's"):
        rms_norm(drawn(2, 16), None, EPS, planes=2)


@pytest.mark.parametrize("parts", [(1, 1), (3, FEW), (2, 4)])
def test_norms_add_the_parts_of_products(parts: tuple[int, int]) -> None:
    x, weight, inner = drawn(6, 40), drawn(40, seed=2), (drawn(40, seed=3), drawn(40, seed=4))
    first = split(6, parts[0], 40, row=True)
    second = split(6, parts[1], 40, row=False, seed=5)
    for y, more in ((first, {}), ((first, second), {"inner": inner})):
        found = residual_norm_triton(x, y, weight, EPS, weights=[weight], **more)
        one = y if isinstance(y, Unsummed) else y[0]
        right = summed(one) if y is one else (summed(first), summed(second))
        wanted = residual_norm_reference(x, right, weight, EPS, weights=[weight], **more)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(  # PyTorch's way adds them too
            residual_norm_reference(x, y, weight, EPS, weights=[weight], **more),
            wanted,
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize("kernel", [geglu_triton, swiglu_triton])
def test_gated_units_add_parts_and_write_planes(kernel: Any) -> None:
    right = geglu_reference if kernel is geglu_triton else swiglu_reference
    joined = split(7, 3, 2 * 48, row=True)
    for order in (1, 2, 4):
        found = kernel(joined, dtype=torch.float32, planes=order)
        wanted = ordered(right(summed(joined)), order)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert kernel(joined, dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["int8", "e2m1"])
def test_products_take_what_lies_in_planes_and_leave_parts(kind: Any) -> None:
    weight, x = quantise(drawn(64, 2048) * 2048**-0.5, kind), drawn(2, 3, 2048, seed=1)
    whole_one = qmatmul_triton(x, weight, processors=8)
    laid = ordered(x.flatten(0, 1), 2 if kind == "int8" else 4).view_as(x)
    assert qmatmul_triton(x, weight, processors=8).equal(whole_one)
    found = parts_triton(laid, weight, processors=8, laid=True, most=FEW)
    assert isinstance(found, Unsummed) and found.parts.shape[1] > 1
    assert whole(found, x.dtype).equal(whole_one), "the same sums in the same order"
    many = parts_triton(laid, weight, processors=1000, laid=True, most=2)
    assert isinstance(many, Tensor), "more parts than wanted are added at once"


def test_experts_take_planes_and_leave_their_summands() -> None:
    x, index = drawn(9, 64), torch.tensor([[0, 1], [2, 1], [0, 2]] * 3)
    weight = drawn(9, 2, seed=2)
    stacks = [quantise(drawn(3, 64, 64, seed=3), "e2m1"), quantise(drawn(3, 64, 32), "e2m1")]
    right = experts_triton(x, index, weight, *stacks)
    found = experts_triton(ordered(x, 4), index, weight, *stacks, laid=True, most=FEW)
    assert isinstance(found, Unsummed) and found.parts.shape == (9, 2, 64)
    assert isinstance(right, Tensor) and whole(found, x.dtype).equal(right)


def test_planes_are_those_of_the_first_weight_where_kernels_take_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = drawn(2, 32)
    eight, four = quantise(drawn(8, 32), "int8"), quantise(drawn(8, 32), "e2m1")
    odd = quantise(drawn(8, 24), "int8")
    assert planes(x, four) == 1, "on a CPU"
    monkeypatch.setattr(decode, "on_gpu", lambda _: True)
    with torch.no_grad():
        assert (planes(x, four), planes(x, eight, four), planes(x, drawn(8, 32))) == (4, 2, 1)
        assert planes(x, four, odd) == planes(x, "no weight") == 1
    assert planes(x, four) == 1, "with gradients"
