"""The losses against loops over slots."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_engine.train.loss import canvas_loss, causal_loss, counted_causally, slot_weights

B, K, C, T = 3, 2, 7, 5
END = 1


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 4


def chosen(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def test_canvas_loss_is_the_weighted_mean_over_slots() -> None:
    losses, weight = draw(B, K, C), draw(B, K, C, seed=1) * chosen(B, K, C)
    places = [(b, k, c) for b in range(B) for k in range(K) for c in range(C)]
    total = sum(float(losses[place] * weight[place]) for place in places)
    expected = total / sum(float(weight[place]) for place in places)
    assert float(canvas_loss(losses, weight)) == pytest.approx(expected, rel=1e-5)


def test_slot_weights_are_flat_unless_told_otherwise() -> None:
    """The released recipe: noised or not, text or end, every free slot counts one."""
    gold = torch.full((B, C), END)
    gold[:, :3] = 5
    free, wrong = chosen(B, C), chosen(B, K, C, seed=2)
    weight = slot_weights(gold, free, wrong, end=END)
    assert torch.equal(weight, free[:, None].expand(B, K, C).float())
    losses = draw(B, K, C).requires_grad_()
    canvas_loss(losses, weight).backward()
    assert losses.grad is not None
    assert torch.equal(losses.grad != 0, free[:, None].expand(B, K, C))


def test_slot_weights_count_clean_slots_and_the_fill_apart() -> None:
    gold = torch.tensor([[5, END, END, 9, 6, END, END]])
    free = torch.tensor([[True, True, True, False, True, True, True]])
    wrong = torch.tensor([[[True, False, True, True, False, True, False]]])
    weight = slot_weights(gold, free, wrong, end=END, clean=0.5, ends=0.1)
    #          text, end, fill and wrong, pinned, clean text, end, fill and clean
    expected = torch.tensor([[[1.0, 0.5, 0.1, 0.0, 0.5, 1.0, 0.05]]])
    torch.testing.assert_close(weight, expected)


def test_causal_loss_is_the_mean_of_the_counted_tokens() -> None:
    losses, counted = draw(B, T + C), chosen(B, T + C)
    each = [float(losses[b, n]) for b in range(B) for n in range(T + C) if counted[b, n]]
    assert float(causal_loss(losses, counted)) == pytest.approx(sum(each) / len(each), rel=1e-5)


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
