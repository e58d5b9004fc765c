"""Muon's direction, what it descends, and the schedule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dgedit_engine.model.model import Model
from dgedit_engine.train.__main__ import size
from dgedit_engine.train.optimiser import Muon, clip, optimisers, orthogonal, rate


@pytest.mark.parametrize("shape", [(16, 16), (8, 100), (100, 8), (3, 16, 40), (1, 30)])
def test_orthogonal_pushes_singular_values_to_about_one(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 50
    found = orthogonal(matrix)
    assert found.shape == matrix.shape and found.dtype == matrix.dtype
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3


def test_orthogonal_keeps_the_singular_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(20, 12, generator=generator))
    values = torch.linspace(0.2, 1, 12)
    found = left.T @ orthogonal(left * values @ right.T) @ right
    assert (found - found.diag().diag()).abs().max() < 0.05
    assert found.diag().min() > 0.6


def test_orthogonal_treats_a_stack_matrix_by_matrix() -> None:
    stack = torch.randn(4, 10, 6, generator=torch.Generator().manual_seed(0))
    stack[1] *= 1000
    alone = torch.stack([orthogonal(matrix) for matrix in stack])
    torch.testing.assert_close(orthogonal(stack), alone, rtol=0.05, atol=0.05)


def test_orthogonal_of_nothing_is_nothing() -> None:
    assert not orthogonal(torch.zeros(5, 9)).any()


@pytest.mark.parametrize("shape", [(12, 12), (30, 6), (2, 8, 5)])
def test_muon_lowers_a_quadratic(shape: tuple[int, ...]) -> None:
    goal = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.zeros(shape))
    muon = Muon([weight], lr=0.05, momentum=0.9, decay=0.0)
    losses = []
    for _ in range(150):
        loss = (weight - goal).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]


def test_muon_steps_as_far_for_small_gradients_as_for_large() -> None:
    steps = []
    for scale in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(8, 8))
        weight.grad = torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) * scale
        Muon([weight], lr=0.1, momentum=0.9, decay=0.0).step()
        steps.append(weight.detach())
    torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=0.01)  # bfloat16
    assert steps[0].norm() == pytest.approx(0.1 * 8**0.5, rel=0.3)


def test_muon_decays_weights_and_skips_those_without_a_gradient() -> None:
    moved, left = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    moved.grad = torch.zeros(4, 4)
    Muon([moved, left], lr=0.1, momentum=0.9, decay=0.5).step()
    assert torch.equal(moved, torch.full((4, 4), 0.95)) and torch.equal(left, torch.ones(4, 4))


def test_muon_moves_weights_of_one_shape_as_each_alone() -> None:
    shapes = [(8, 8), (6, 10), (8, 8), (2, 4, 6), (8, 8)]

    def weights() -> list[nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
        for weight in made:
            weight.grad = torch.randn(weight.shape, generator=generator)
        return made

    together, apart = weights(), weights()
    rule = {"lr": 0.1, "momentum": 0.9, "decay": 0.1}
    for _ in range(2):
        Muon(together, **rule).step()
        for weight in apart:
            Muon([weight], **rule).step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=0.01, atol=0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_muon_stacks_weights_of_one_shape_on_a_gpu_as_on_the_cpu() -> None:
    found = []
    for device in ("cpu", "cuda"):
        generator = torch.Generator().manual_seed(0)
        weights = [nn.Parameter(torch.zeros(6, 10, device=device)) for _ in range(3)]
        for weight in weights:
            weight.grad = torch.randn(6, 10, generator=generator).to(device)
        Muon(weights, lr=0.1, momentum=0.9, decay=0.0).step()
        found.append(torch.stack(list(weights)).detach().cpu())
    torch.testing.assert_close(found[0], found[1], rtol=0.02, atol=0.002)


def gradients(*values: float) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(2)) for _ in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = torch.full((2,), value)
    return parameters


@pytest.mark.parametrize(("largest", "share"), [(1.0, 0.1), (20.0, 1.0)])
def test_clip_scales_long_gradients_and_leaves_short_ones(largest: float, share: float) -> None:
    parameters = gradients(5.0, -5.0)
    assert float(clip(parameters, largest)) == pytest.approx(10)
    for parameter, value in zip(parameters, (5.0, -5.0), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, torch.full((2,), value * share))


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_clip_makes_nothing_of_broken_gradients(broken: float) -> None:
    parameters = gradients(5.0, broken, 1.0)
    assert not clip(parameters, 1.0).isfinite()
    assert all(one.grad is not None and not one.grad.any() for one in parameters)


def test_optimisers_share_all_weights_out_once() -> None:
    model = Model(size("tiny", 100))
    muon, adam = optimisers(model, lr=0.02)
    groups = [group["params"] for optimiser in (muon, adam) for group in optimiser.param_groups]
    given = [id(parameter) for group in groups for parameter in group]
    assert sorted(given) == sorted(id(parameter) for parameter in model.parameters())
    assert all(parameter.dim() >= 2 for parameter in groups[0])
    assert [id(parameter) for parameter in groups[1]] == [id(model.embedding)]
    assert all(parameter.dim() < 2 for parameter in groups[2])


def test_rate_rises_stays_and_falls_to_zero() -> None:
    assert rate(0.0) == 0.0
    assert rate(0.005) == pytest.approx(0.5)
    assert [rate(progress) for progress in (0.01, 0.3, 0.5)] == [1.0] * 3
    assert rate(0.75) == pytest.approx(0.5)
    assert rate(1.0) == rate(1.1) == 0.0
