"""What a step reads off the vocabulary."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgedit_kernels.canvas_sampler import (
    PEAK,
    CanvasReading,
    read_canvas,
    read_canvas_reference,
    read_canvas_triton,
    read_slots,
)


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


SOFTCAP = 30.0
HEAT = torch.tensor([0.8, 0.4])
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def raw_logits(vocab: int, *, slots: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.randn(2, slots, vocab, generator=seeded(vocab)) * 6).to(dtype)


def draw_of(seed: int, step: int = 0) -> Tensor:
    return torch.tensor([seed, step])


def distribution(raw: Tensor) -> Tensor:
    """The tempered logits, by their formula."""
    return (raw.double() / SOFTCAP).tanh() * SOFTCAP / HEAT[:, None, None].double()


def check(found: CanvasReading, raw: Tensor, *, tolerance: float = 1e-4) -> None:
    z = distribution(raw)
    probs = z.softmax(-1)
    close = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(found.lse.double(), z.logsumexp(-1), **close)
    entropy = torch.special.entr(probs).sum(-1)
    torch.testing.assert_close(found.entropy.double(), entropy, **close)
    assert torch.equal(found.best, raw.argmax(-1))
    torch.testing.assert_close(found.confidence.double(), probs.amax(-1), **close)
    padded = torch.nn.functional.pad(raw, (0, -raw.shape[-1] % PEAK), value=-torch.inf)
    assert torch.equal(found.peaks, padded.unflatten(-1, (-1, PEAK)).amax(-1))
    assert found.finite.all()
    assert (probs.gather(-1, found.sample[..., None]) > 0).all()


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is not written reads as NaN, or as a number that no result is."""
    empty, new = torch.empty, Tensor.new_empty

    def poison(tensor: Tensor) -> Tensor:
        return tensor.fill_(torch.nan if tensor.is_floating_point() else 77)

    monkeypatch.setattr(torch, "empty", lambda *a, **k: poison(empty(*a, **k)))
    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: poison(new(self, *a, **k)))


@pytest.mark.parametrize("vocab", [1, 63, 100, 257, 4160, 9000])
@pytest.mark.parametrize("way", [read_canvas, read_canvas_reference, read_canvas_triton])
def test_canvas_reading_is_the_formula(vocab: int, way: object, poisoned: None) -> None:
    raw = raw_logits(vocab)
    check(way(raw, HEAT, draw_of(1), softcap=SOFTCAP), raw)  # type: ignore[operator]


def test_canvas_reading_takes_bfloat16_and_strided_slots() -> None:
    wide = raw_logits(600, slots=9, dtype=torch.bfloat16)
    raw = wide[:, ::2, :300]
    assert not raw.is_contiguous()
    check(read_canvas_triton(raw, HEAT, draw_of(1), softcap=SOFTCAP), raw)


def test_canvas_reading_takes_a_heat_for_each_slot() -> None:
    raw = raw_logits(100)
    both = HEAT[:, None].expand(2, 5).clone()
    one = read_canvas_triton(raw, HEAT, draw_of(1), softcap=SOFTCAP)
    each = read_canvas_triton(raw, both, draw_of(1), softcap=SOFTCAP)
    assert torch.equal(one.entropy, each.entropy) and torch.equal(one.sample, each.sample)


@pytest.mark.parametrize("way", [read_canvas_reference, read_canvas_triton])
def test_a_pinned_slot_is_certain_whatever_its_logits(way: object) -> None:
    raw = raw_logits(100)
    raw[:, 2] = torch.nan
    pinned = torch.full((2, 5), -1)
    pinned[:, 2] = torch.tensor([42, 99])
    found = way(raw, HEAT, draw_of(1), softcap=SOFTCAP, pinned=pinned)  # type: ignore[operator]
    assert found.sample[:, 2].tolist() == found.best[:, 2].tolist() == [42, 99]
    assert not found.entropy[:, 2].any() and not found.lse[:, 2].any()
    assert (found.confidence[:, 2] == 1).all() and found.finite.all()


@pytest.mark.parametrize("way", [read_canvas_reference, read_canvas_triton])
@pytest.mark.parametrize("bad", [torch.nan, -torch.nan])
def test_logits_that_are_no_numbers_are_reported_by_row(way: object, bad: float) -> None:
    raw = raw_logits(100)
    raw[1, 3, 50] = bad
    found = way(raw, HEAT, draw_of(1), softcap=SOFTCAP)  # type: ignore[operator]
    assert found.finite.tolist() == [True, False]
    assert ((found.sample >= 0) & (found.sample < 100)).all()


def test_draws_follow_the_distribution() -> None:
    """Chi-square of 500 draws over 6 tokens: 99.9% of honest ones stay below 20.5."""
    slots, vocab = 500, 6
    one = torch.randn(vocab, generator=seeded(5)) * 2
    raw = one.expand(1, slots, vocab).contiguous()
    found = read_canvas_triton(raw, HEAT[:1], draw_of(3), softcap=SOFTCAP)
    expected = distribution(raw[:, :1].expand(2, 1, vocab))[0, 0].softmax(-1) * slots
    counts = torch.bincount(found.sample.flatten(), minlength=vocab).double()
    assert ((counts - expected) ** 2 / expected).sum() < 20.5


def test_draws_follow_the_distribution_over_groups() -> None:
    """The same where tokens lie in several groups: of 9,000 tokens, the likely ones far apart."""
    slots, vocab = 150, 9000
    raw = torch.full((1, slots, vocab), -20.0)
    places = [0, 4095, 4096, 8999]
    raw[..., places] = torch.tensor([4.0, 4.2, 4.4, 4.6])
    found = read_canvas_triton(raw, HEAT[:1], draw_of(3), softcap=SOFTCAP)
    expected = distribution(raw[:, :1].expand(2, 1, vocab))[0, 0].softmax(-1)[places] * slots
    counts = torch.stack([(found.sample == place).sum() for place in places]).double()
    assert counts.sum() == slots
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 99.9% of 3 degrees


def test_draws_depend_on_seed_and_step_and_on_no_other_row() -> None:
    raw = raw_logits(257, slots=12) / 6

    def drawn(seed: int, step: int, rows: slice = slice(0, 2)) -> list[list[int]]:
        part = read_canvas_triton(raw[rows], HEAT[rows], draw_of(seed, step), softcap=SOFTCAP)
        return part.sample.tolist()

    first = drawn(1, 0)
    assert drawn(1, 0) == first
    assert drawn(1, 1) != first and drawn(2, 0) != first
    assert drawn(1, 0, slice(0, 1))[0] == first[0]


def test_bfloat16_logits_tell_the_same() -> None:
    """What writing the head's product in 16 bits costs: less than a tenth of a nat."""
    raw = raw_logits(2000, slots=20)
    wide = read_canvas_reference(raw, HEAT, draw_of(1), softcap=SOFTCAP)
    narrow = read_canvas_reference(raw.bfloat16(), HEAT, draw_of(1), softcap=SOFTCAP)
    assert (wide.entropy - narrow.entropy).abs().max() < 0.1
    assert (wide.best == narrow.best).float().mean() > 0.9


@pytest.mark.gpu
@needs_gpu
def test_canvas_reading_on_a_gpu_and_in_a_graph() -> None:
    raw = raw_logits(262_144, slots=16, dtype=torch.bfloat16).cuda()
    heat, draw = HEAT.cuda(), draw_of(1).cuda()
    check(read_canvas(raw, heat, draw, softcap=SOFTCAP), raw, tolerance=1e-3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = read_canvas(raw, heat, draw, softcap=SOFTCAP)
    raw.copy_(raw.flip(-1))
    graph.replay()
    torch.cuda.synchronize()
    check(found, raw, tolerance=1e-3)
