"""Gradients through frozen codes, against those through the numbers that they are worth."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels import frozen
from dgedit_kernels.moe import experts
from dgedit_kernels.qmatmul import qmatmul
from dgedit_kernels.quantised import Kind, Quantised, quantise

KINDS: list[tuple[Kind, int | None]] = [
    ("int4", 16),
    ("e2m1", 16),
    ("int8", None),
    ("e4m3", None),
]
MANY, ACTIVE, WIDTH, INNER = 5, 2, 32, 16


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("entries", [frozen.ENTRIES, 100])
def test_gradient_is_that_of_the_numbers(
    kind: Kind, group: int | None, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "ENTRIES", entries)  # 100: three rows at a time
    weight = quantise(drawn(7, 32), kind, group=group)
    x = drawn(2, 3, 32, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: qmatmul(x, weight), (x,))
    qmatmul(x, weight).sin().sum().backward()
    assert x.grad is not None
    mine, x.grad = x.grad, None
    (x @ weight.dequantised(torch.float64).T).sin().sum().backward()
    torch.testing.assert_close(mine, x.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_has_the_inputs_dtype(dtype: torch.dtype) -> None:
    weight = quantise(drawn(24, 32), "int4", group=16)
    x, given = drawn(3, 32, seed=1).to(dtype).requires_grad_(), drawn(3, 24, seed=2)
    qmatmul(x, weight).backward(given.to(dtype))
    assert x.grad is not None and x.grad.dtype == dtype
    expected = given.to(dtype).float() @ weight.dequantised(dtype).float()
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(x.grad.float(), expected, rtol=tolerance, atol=tolerance)


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    weight = quantise(drawn(24, 32), "int4", group=16)
    assert not qmatmul(drawn(3, 32), weight).requires_grad
    with torch.no_grad():
        assert not qmatmul(drawn(3, 32).requires_grad_(), weight).requires_grad


def routed() -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, and for each two of the experts with their weights."""
    x = drawn(9, WIDTH, seed=3).requires_grad_()
    index = drawn(9, MANY, seed=4).topk(ACTIVE).indices
    return x, index, drawn(9, ACTIVE, seed=5).softmax(-1)


def stacks(kind: Kind = "int4") -> tuple[Quantised, Quantised]:
    into, out_of = drawn(MANY, 2 * INNER, WIDTH, seed=6), drawn(MANY, WIDTH, INNER, seed=7)
    return quantise(into, kind, group=16), quantise(out_of, kind, group=16)


def test_experts_gradient_is_that_of_the_numbers() -> None:
    (x, index, weight), codes = routed(), stacks()
    weight.requires_grad_()
    experts(x, index, weight, *codes).square().sum().backward()
    assert x.grad is not None and weight.grad is not None
    mine, x.grad, weight.grad = (x.grad, weight.grad), None, None
    experts(x, index, weight, *(one.dequantised() for one in codes)).square().sum().backward()
    torch.testing.assert_close(mine, (x.grad, weight.grad), rtol=1e-4, atol=1e-4)


class Watch:
    """Counts the matrices that are there as numbers at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = self.made = self.rank = 0
        plain = Quantised.dequantised

        def watched(codes: Quantised, *args: Any, **more: Any) -> Tensor:
            found = plain(codes, *args, **more)
            self.made, self.now = self.made + 1, self.now + 1
            self.most, self.rank = max(self.most, self.now), max(self.rank, found.dim())
            weakref.finalize(found.untyped_storage(), self._gone)
            return found

        monkeypatch.setattr(Quantised, "dequantised", watched)

    def _gone(self) -> None:
        self.now -= 1


def test_one_expert_at_a_time_is_there_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, index, weight), codes = routed(), stacks()
    used = len(index.unique())
    watch = Watch(monkeypatch)
    found = experts(x, index, weight, *codes).square().sum()
    assert (watch.made, watch.most, watch.now, watch.rank) == (2 * used, 1, 0, 2)
    found.backward()
    assert (watch.made, watch.most, watch.now, watch.rank) == (4 * used, 1, 0, 2)
    # what would be kept without: every expert's two matrices, until the backward pass is over
    plain = [one.dequantised() for one in codes]
    assert plain[0].dim() == 3 and watch.rank == 3
