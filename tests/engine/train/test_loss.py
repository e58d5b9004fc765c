"""The losses against loops over slots."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_engine.train.loss import canvas_loss, causal_loss, counted_causally, slot_losses

B, K, C, V, T = 3, 2, 7, 11, 5
END = 1


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def surprise(logits: Tensor, token: int) -> float:
    return -float(logits.double().log_softmax(-1)[token])


def test_canvas_loss_is_the_mean_over_free_slots() -> None:
    logits, gold = draw(B, K, C, V), tokens(B, C)
    free = torch.rand(B, C, generator=torch.Generator().manual_seed(1)) < 0.6
    each = [
        surprise(logits[b, k, c], int(gold[b, c]))
        for b in range(B)
        for k in range(K)
        for c in range(C)
        if free[b, c]
    ]
    assert 0 < len(each) < B * K * C
    assert float(canvas_loss(logits, gold, free)) == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_canvas_loss_ignores_pinned_slots() -> None:
    logits, gold = draw(B, K, C, V).requires_grad_(), tokens(B, C)
    free = torch.ones(B, C, dtype=torch.bool)
    free[:, 2] = False
    canvas_loss(logits, gold, free).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 2].any()
    assert logits.grad[:, :, [0, 1, 3, 4, 5, 6]].abs().amax(-1).min() > 0


def test_canvas_loss_counts_ends_like_other_tokens() -> None:
    logits, free = torch.zeros(1, 1, C, V), torch.ones(1, C, dtype=torch.bool)
    for gold in (torch.full((1, C), END), torch.full((1, C), 5)):
        loss = float(canvas_loss(logits, gold, free))
        assert loss == pytest.approx(float(torch.tensor(V).log()))


def test_slot_losses_have_a_place_for_every_slot() -> None:
    logits, gold = draw(B, K, C, V), tokens(B, C)
    found = slot_losses(logits, gold)
    assert found.shape == (B, K, C)
    expected = surprise(logits[2, 1, 3], int(gold[2, 3]))
    assert float(found[2, 1, 3]) == pytest.approx(expected, rel=1e-5)


def test_causal_loss_is_the_mean_of_the_counted_next_tokens() -> None:
    n = T + C
    logits, ids = draw(B, n, V), tokens(B, n)
    counted = torch.rand(B, n, generator=torch.Generator().manual_seed(1)) < 0.6
    each = [
        surprise(logits[b, place - 1], int(ids[b, place]))
        for b in range(B)
        for place in range(1, n)
        if counted[b, place]
    ]
    found = float(causal_loss(logits, ids, counted))
    assert found == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_causal_count_leaves_out_the_fill_behind_a_first_end() -> None:
    prompt = torch.tensor([[2, 7, END, END, 8], [2, 7, 8, 9, END]])
    canvas = torch.tensor([[5, END, END, END, 9, 6, END], [END, 5, 6, END, END, 7, 8]])
    counted = counted_causally(prompt, canvas, end=END)
    assert counted.shape == (2, T + C)
    assert counted[:, :T].all()
    yes, no = True, False
    assert counted[:, T:].tolist() == [
        [yes, yes, no, no, yes, yes, yes],
        [no, yes, yes, yes, no, yes, yes],
    ]
