"""Gemma 3's layers in the kernels: values as they are, stretched positions, no soft cap."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.canvas_sampler import (
    PEAK,
    CanvasReading,
    read_canvas,
    read_canvas_reference,
    read_canvas_triton,
)
from dgedit_kernels.rope import (
    qk_norm_rope,
    qk_norm_rope_reference,
    qk_norm_rope_triton,
    rope_at,
    rope_table,
)
from dgedit_kernels.soft_embed import soft_embed, soft_embed_reference, soft_embed_triton

EPS, SCALE = 1e-6, 5.0
HEAT = torch.tensor([0.8, 0.4])
SIZES = [1, 63, 100, 257, 4160, 9000]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is not written reads as NaN, or as a number that no result is."""
    empty, new = torch.empty, Tensor.new_empty

    def poison(tensor: Tensor) -> Tensor:
        return tensor.fill_(torch.nan if tensor.is_floating_point() else 77)

    monkeypatch.setattr(torch, "empty", lambda *a, **k: poison(empty(*a, **k)))
    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: poison(new(self, *a, **k)))


def turned(x: Tensor, positions: Tensor, *, theta: float, stretch: float) -> Tensor:
    """x (B, n, h, E), normed already: pair (i, i + E/2) as a complex number times e^(i angle)."""
    width = x.shape[-1]
    pairs = torch.arange(width // 2, dtype=torch.float64)
    angle = positions.double()[:, None, None] / stretch * theta ** (-2 * pairs / width)
    product = torch.complex(*x.double().chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((product.real, product.imag), -1)


@pytest.mark.parametrize("way", [qk_norm_rope, qk_norm_rope_reference, qk_norm_rope_triton])
@pytest.mark.parametrize("count", [1, 63])
@pytest.mark.parametrize(
    ("width", "heads", "kv_heads"), [(16, 4, 2), (24, 3, 1), (256, 4, 1), (256, 8, 4)]
)
def test_values_are_as_they_were_and_positions_are_stretched(
    way: Any, count: int, width: int, heads: int, kv_heads: int
) -> None:
    generator = torch.Generator().manual_seed(width)
    joined = torch.randn(2, 2 * count, heads + 2 * kv_heads, width, generator=generator)[:, ::2] * 3
    weights = torch.randn(2, width, generator=generator)
    positions = torch.arange(100, 100 + count)
    rope = rope_at(
        positions, head_dim=width, theta=1e4, rotated=width // 2, dtype=torch.float32, stretch=8.0
    )
    q, k, v = way(
        *(joined, *weights, rope),
        heads=heads,
        kv_heads=kv_heads,
        shared=False,
        eps=EPS,
        normed_values=False,
    )
    parts = joined.double().split([heads, kv_heads, kv_heads], 2)
    for found, part, weight in zip((q, k), parts, weights, strict=False):
        normed = part / (part.square().mean(-1, keepdim=True) + EPS).sqrt() * weight.double()
        right = turned(normed, positions, theta=1e4, stretch=8.0).transpose(1, 2)
        torch.testing.assert_close(found.double(), right, rtol=1e-3, atol=1e-3)
    assert torch.equal(v, joined[:, :, heads + kv_heads :].transpose(1, 2))


def test_kernel_takes_weights_wider_than_what_they_multiply() -> None:
    """Norms are fp32 where all else is bfloat16: 1 + w has more digits than w."""
    generator = torch.Generator().manual_seed(0)
    joined = torch.randn(1, 7, 6, 64, generator=generator).bfloat16()
    weights = 1 + torch.randn(2, 64, generator=generator) / 8
    rope = rope_at(torch.arange(7), head_dim=64, theta=1e4, rotated=32, dtype=torch.float32)
    options: dict[str, Any] = {"heads": 4, "kv_heads": 1, "shared": False, "eps": EPS}
    found = qk_norm_rope_triton(joined, *weights, rope, normed_values=False, **options)
    right = qk_norm_rope_reference(joined.float(), *weights, rope, normed_values=False, **options)
    for one, other in zip(found, right, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("stretch", [1.0, 8.0])
def test_table_turns_as_positions_divided(stretch: float) -> None:
    positions = torch.arange(0, 160, 8)
    stretched = rope_table(positions, head_dim=16, theta=1e4, rotated=8, stretch=stretch)
    plain = rope_table(positions / stretch, head_dim=16, theta=1e4, rotated=8)
    torch.testing.assert_close(stretched, plain, rtol=1e-5, atol=1e-5)


def raw_logits(vocab: int, *, slots: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(vocab)
    return (torch.randn(2, slots, vocab, generator=generator) * 20).to(dtype)


def draw() -> Tensor:
    return torch.tensor([1, 0])


def check(found: CanvasReading, raw: Tensor) -> None:
    z = raw.double() / HEAT[:, None, None].double()
    probs = z.softmax(-1)
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found.lse.double(), z.logsumexp(-1), **close)
    torch.testing.assert_close(found.entropy.double(), torch.special.entr(probs).sum(-1), **close)
    assert torch.equal(found.best, raw.argmax(-1))
    torch.testing.assert_close(found.confidence.double(), probs.amax(-1), **close)
    padded = torch.nn.functional.pad(raw, (0, -raw.shape[-1] % PEAK), value=-torch.inf)
    assert torch.equal(found.peaks, padded.unflatten(-1, (-1, PEAK)).amax(-1))
    assert found.finite.all()
    assert (probs.gather(-1, found.sample[..., None]) > 0).all()


@pytest.mark.parametrize("way", [read_canvas, read_canvas_reference, read_canvas_triton])
@pytest.mark.parametrize("vocab", [*SIZES, 3 * 4096 + 1])
def test_canvas_reading_without_a_soft_cap_is_the_formula(vocab: int, way: Any) -> None:
    raw = raw_logits(vocab)
    check(way(raw, HEAT, draw(), softcap=None), raw)


def test_canvas_reading_without_a_soft_cap_takes_bfloat16_and_strided_slots() -> None:
    raw = raw_logits(600, slots=9, dtype=torch.bfloat16)[:, ::2, :300]
    check(read_canvas_triton(raw, HEAT, draw(), softcap=None), raw)


@pytest.mark.parametrize("way", [read_canvas_reference, read_canvas_triton])
def test_logits_that_are_no_numbers_are_reported_without_a_soft_cap(way: Any) -> None:
    raw = raw_logits(100)
    raw[1, 3, 50] = torch.nan
    assert way(raw, HEAT, draw(), softcap=None).finite.tolist() == [True, False]


@pytest.mark.parametrize("way", [soft_embed, soft_embed_reference, soft_embed_triton])
@pytest.mark.parametrize("top", [None, 1, 64])
@pytest.mark.parametrize(("vocab", "width"), [(1, 1), (63, 100), (257, 257), (5000, 16)])
def test_signal_without_a_soft_cap_is_the_formula(
    way: Any, top: int | None, vocab: int, width: int
) -> None:
    raw, generator = raw_logits(vocab), torch.Generator().manual_seed(width)
    embedding = torch.randn(vocab, width, generator=generator)
    reading = read_canvas_reference(raw, HEAT, draw(), softcap=None)
    probs = (raw.double() / HEAT[:, None, None].double()).softmax(-1)
    if top is not None and top < vocab:
        probs = torch.where(probs >= probs.topk(top, -1).values[..., -1:], probs, 0.0)
    found = way(raw, reading, HEAT, embedding, softcap=None, scale=SCALE, top=top)
    right = probs @ embedding.double() * SCALE
    torch.testing.assert_close(found.double(), right, rtol=1e-3, atol=1e-3)
