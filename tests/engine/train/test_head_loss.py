"""The loss by rows against the loss as it is written, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.train import head_loss as module
from dgedit_engine.train.head_loss import head_loss, losses

N, D, S, K = 7, 5, 23, 4


def given(seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden, rows, head, teacher = (
        torch.randn(size, D, generator=generator) for size in (N, K, S, N)
    )
    places = torch.randint(S, (N,), generator=generator)
    places[0] = 1  # one whose row is trained
    return hidden, rows * 0.1, head, torch.rand(N, generator=generator), places, teacher


def logits(hidden: Tensor, rows: Tensor, head: Tensor) -> Tensor:
    return hidden @ torch.cat((head[:K] + rows, head[K:])).T


@pytest.mark.parametrize("chunk", [1, 2 * S, 1 << 24])
@pytest.mark.parametrize("taught", [False, True])
def test_loss_and_gradients_are_those_of_the_formula(
    chunk: int, taught: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    hidden, rows, head, weight, places, teacher = given()
    hidden.requires_grad_(), rows.requires_grad_()
    if taught:
        found = head_loss(hidden, rows, head, weight, teacher=teacher)[0]
        own, other = logits(hidden, rows, head).log_softmax(-1), (teacher @ head.T).log_softmax(-1)
        each = F.kl_div(own, other, reduction="none", log_target=True).sum(-1)
    else:
        found = head_loss(hidden, rows, head, weight, places=places)[0]
        each = F.cross_entropy(logits(hidden, rows, head), places, reduction="none")
        torch.testing.assert_close(losses(hidden, rows, head, places), each.detach())
    expected = (each * weight).sum()
    torch.testing.assert_close(found, expected)
    both = [torch.autograd.grad(2 * one, (hidden, rows)) for one in (found, expected)]
    for own_gradient, right in zip(*both, strict=True):
        torch.testing.assert_close(own_gradient, right)


@pytest.mark.parametrize("chunk", [1, 2 * S, None])
def test_soft_cap_is_in_loss_and_gradient(chunk: int | None) -> None:
    hidden, rows, head, weight, places, _ = given()
    hidden.requires_grad_(), rows.requires_grad_()
    found, each = head_loss(hidden, rows, head, weight, places=places, cap=2.0, chunk=chunk)
    capped = 2 * (logits(hidden, rows, head) / 2).tanh()
    right = F.cross_entropy(capped, places, reduction="none")
    torch.testing.assert_close(each, right)
    both = [torch.autograd.grad(x, (hidden, rows)) for x in (found, (right * weight).sum())]
    for own_gradient, other in zip(*both, strict=True):
        torch.testing.assert_close(own_gradient, other)


def test_base_that_teaches_itself_loses_nothing() -> None:
    hidden, _, head, weight, _, _ = given()
    rows = torch.zeros(K, D, requires_grad=True)
    loss = head_loss(hidden, rows, head, weight, teacher=hidden)[0]
    (gradient,) = torch.autograd.grad(loss, (rows,))
    assert abs(loss.item()) < 1e-5 and gradient.abs().max() < 1e-5
