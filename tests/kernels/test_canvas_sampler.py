"""What a step reads off the vocabulary."""

from __future__ import annotations

import math

import pytest
import torch

from dgedit_kernels.canvas_sampler import read_slots


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("vocab", [1, 63, 100, 257, 4096])
def test_reading_is_the_formula(vocab: int) -> None:
    logits = torch.randn(2, 7, vocab, generator=seeded(0)) * 4
    reading = read_slots(logits, seeded(1))
    probs = logits.double().softmax(-1)
    torch.testing.assert_close(reading.probs.double(), probs, rtol=1e-4, atol=1e-6)
    entropy = -(probs * probs.log()).sum(-1)
    torch.testing.assert_close(reading.entropy.double(), entropy, rtol=1e-4, atol=1e-5)
    assert torch.equal(reading.best, logits.argmax(-1))
    assert reading.sample.shape == reading.best.shape == reading.entropy.shape == (2, 7)
    assert reading.sample.min() >= 0 and reading.sample.max() < vocab


@pytest.mark.parametrize("vocab", [63, 4096])
def test_reading_of_even_logits_has_the_largest_entropy(vocab: int) -> None:
    reading = read_slots(torch.full((1, 3, vocab), -7.5))
    assert reading.entropy.flatten().tolist() == pytest.approx([math.log(vocab)] * 3, abs=1e-4)


def test_reading_of_one_finite_logit_is_certain() -> None:
    tokens = torch.tensor([[0, 41, 99]])
    logits = torch.full((1, 3, 100), -torch.inf).scatter_(-1, tokens[..., None], 0.0)
    reading = read_slots(logits, seeded(0))
    assert torch.equal(reading.sample, tokens) and torch.equal(reading.best, tokens)
    assert (reading.entropy == 0).all()
    assert torch.equal(reading.probs, torch.nn.functional.one_hot(tokens, 100).float())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_reading_of_no_number_is_an_error_before_the_draw(bad: float) -> None:
    logits = torch.zeros(1, 3, 63)
    logits[0, 1, 40] = bad
    with pytest.raises(FloatingPointError):
        read_slots(logits, seeded(0))


def test_reading_never_draws_an_excluded_token() -> None:
    logits = torch.zeros(1, 500, 63)
    logits[..., ::2] = -torch.inf
    reading = read_slots(logits, seeded(0))
    assert (reading.sample % 2 == 1).all()
    assert reading.entropy.isfinite().all()


def test_sample_follows_the_distribution() -> None:
    probs = torch.tensor([0.5, 0.25, 0.15, 0.1])
    count = 40_000
    reading = read_slots(probs.log().expand(1, count, 4), seeded(0))
    shares = reading.sample.flatten().bincount(minlength=4) / count
    assert shares.tolist() == pytest.approx(probs.tolist(), abs=0.012)  # 4 or more deviations


def test_sample_repeats_with_the_generator() -> None:
    logits = torch.randn(1, 257, 100, generator=seeded(0))
    first, again, other = (read_slots(logits, seeded(seed)).sample for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_reading_of_bf16_is_in_fp32() -> None:
    logits = (torch.randn(1, 63, 257, generator=seeded(0)) * 4).bfloat16()
    reading, wide = read_slots(logits), read_slots(logits.float())
    assert reading.probs.dtype == reading.entropy.dtype == torch.float32
    torch.testing.assert_close(reading.probs, wide.probs)
    torch.testing.assert_close(reading.entropy, wide.entropy)


def test_reading_of_strided_logits_is_the_same() -> None:
    logits = torch.randn(1, 100, 63, generator=seeded(0)).mT
    assert not logits.is_contiguous()
    found, expected = read_slots(logits, seeded(1)), read_slots(logits.contiguous(), seeded(1))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)
