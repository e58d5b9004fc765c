"""The expected embedding against its formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.canvas_sampler import CanvasReading, read_canvas_reference
from dgedit_kernels.soft_embed import soft_embed, soft_embed_reference, soft_embed_triton

SOFTCAP, SCALE = 30.0, 5.0
HEAT = torch.tensor([0.8, 0.4])
WAYS = [soft_embed, soft_embed_reference, soft_embed_triton]
Way = Callable[..., Tensor]


def case(
    vocab: int, width: int, *, dtype: torch.dtype = torch.float32, pinned: Tensor | None = None
) -> tuple[Tensor, CanvasReading, Tensor]:
    """Raw logits of 2 canvases of 3 slots, read, and an embedding."""
    generator = torch.Generator().manual_seed(vocab + width)
    raw = (torch.randn(2, 3, vocab, generator=generator) * 6).to(dtype)
    reading = read_canvas_reference(raw, HEAT, torch.tensor([1, 0]), softcap=SOFTCAP, pinned=pinned)
    return raw, reading, torch.randn(vocab, width, generator=generator).to(dtype)


def formula(raw: Tensor, embedding: Tensor, *, top: int | None = None) -> Tensor:
    z = (raw.double() / SOFTCAP).tanh() * SOFTCAP / HEAT[:, None, None].double()
    probs = z.softmax(-1)
    if top is not None and top < probs.shape[-1]:
        least = probs.topk(top, -1).values[..., -1:]
        probs = torch.where(probs >= least, probs, 0.0)
    return probs @ embedding.double() * SCALE


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(torch.nan))


def run(way: Way, *values: Any, **options: Any) -> Tensor:
    raw, reading, embedding = values
    return way(raw, reading, HEAT, embedding, softcap=SOFTCAP, scale=SCALE, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("top", [None, 1, 7, 64])
@pytest.mark.parametrize(("vocab", "width"), [(1, 1), (63, 100), (100, 63), (257, 257), (5000, 16)])
def test_signal_is_the_formula(way: Way, top: int | None, vocab: int, width: int) -> None:
    raw, reading, embedding = case(vocab, width)
    expected = formula(raw, embedding, top=top)
    found = run(way, raw, reading, embedding, top=top)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("top", [None, 4])
def test_a_pinned_slot_expects_its_token(way: Way, top: int | None) -> None:
    pinned = torch.tensor([[-1, 41, -1], [0, -1, 99]])
    raw, reading, embedding = case(100, 20, pinned=pinned)
    expected = formula(raw, embedding, top=top)
    expected[pinned >= 0] = embedding[pinned[pinned >= 0]].double() * SCALE
    raw[pinned >= 0] = 1e4  # whatever the logits say
    found = run(way, raw, reading, embedding, pinned=pinned, top=top)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("top", [None, 64])
def test_kernels_take_bfloat16_and_strided_slots(top: int | None) -> None:
    wide, reading, embedding = case(600, 48, dtype=torch.bfloat16)
    spread = torch.zeros(2, 6, 600, dtype=torch.bfloat16)
    spread[:, ::2] = wide
    found = run(soft_embed_triton, spread[:, ::2], reading, embedding, top=top)
    assert found.dtype == torch.bfloat16
    expected = formula(wide, embedding)
    error = (found.double() - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < 0.02


@pytest.mark.parametrize("top", [None, 16])
def test_one_canvas_has_one_heat(top: int | None) -> None:
    raw, reading, embedding = case(100, 24)
    one = CanvasReading(**{name: getattr(reading, name)[1:] for name in CanvasReading.__slots__})
    found = soft_embed_triton(
        raw[1:], one, HEAT[1:], embedding, softcap=SOFTCAP, scale=SCALE, top=top
    )
    expected = formula(case(100, 24)[0], embedding, top=top)[1:]
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


def test_probabilities_may_stand_where_the_logits_were() -> None:
    raw, reading, embedding = case(300, 16)
    expected = formula(raw, embedding)
    found = run(soft_embed_triton, raw, reading, embedding, top=None)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(raw.sum(-1), torch.ones(2, 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("top", [None, 64])
def test_signal_on_a_gpu_and_in_a_graph(top: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # a fill of fresh memory would be in the graph
    raw, reading, embedding = case(20_000, 2816)
    expected = formula(raw, embedding, top=top)
    values = [one.cuda() for one in (raw, HEAT, embedding)]
    parts = {name: getattr(reading, name).cuda() for name in CanvasReading.__slots__}
    read = CanvasReading(**parts)
    options: dict[str, Any] = {"softcap": SOFTCAP, "scale": SCALE, "top": top}
    soft_embed(values[0].clone(), read, *values[1:], **options)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = soft_embed(values[0], read, *values[1:], **options)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(found.double().cpu(), expected, rtol=2e-2, atol=2e-2)
