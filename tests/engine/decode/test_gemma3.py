"""Canvases of a Gemma 3: refined without self-conditioning, by PyTorch and by a GPU's steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import EagerRefiner, Start, refine, seed_signal
from dgedit_engine.decode.loop_cuda import DenoiseStep, GraphRefiner
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Config, Sampling
from dgedit_engine.model.model import Model, init_weights
from dgedit_kernels.canvas_sampler import read_slots
from gemma3 import SHAPE

SAMPLING = Sampling(steps=5, entropy_bound=0.5, confidence=0.3)
TINY = replace(SHAPE, vocab=70, dim=32, mlp=48, context=256, window=20)
PROMPT = list(range(2, 40))
SHAPES = pytest.mark.parametrize("config", [TINY, replace(TINY, conditioned=True)])


def made(config: Config, dtype: torch.dtype = torch.float32) -> Model:
    model = Model(config)
    init_weights(model, seed=3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.data = parameter.to(dtype)
            elif "norm" not in name:
                parameter.mul_(2)
    return model.requires_grad_(False)


def cache_of(model: Model) -> DeviceCache:
    cache = DeviceCache(model.config, device="cpu", dtype=model.embedding.dtype)
    encode(model, cache, PROMPT)
    return cache


def start(seed: int, *, text: list[int] | None = None, slots: int = 13) -> Start:
    generator = torch.Generator().manual_seed(seed)
    texts, marker = [text or []], [[20, 21, 22]]
    options: dict[str, Any] = {"end": 1, "vocab": 70, "strength": 1.0 if text is None else 0.4}
    return Start(seed_canvas(texts, marker, [slots], generator=generator, **options), 5)


def expected(step: DenoiseStep) -> tuple[Tensor, Tensor]:
    """The best tokens of a step's rows and their probabilities, as the plain sampler has them."""
    model = step.model
    with torch.inference_mode():
        logits = model.logits(model.denoise(step.ids, step.cache, step.soft))
        z = sampler.pin(logits / step.heat[:, None, None], step.ids, step.fixed)
        reading = read_slots(z, torch.Generator().manual_seed(0))
    return reading.best.clone(), reading.probs.gather(-1, reading.best[..., None])[..., 0]


@SHAPES
def test_canvases_are_refined_alone_and_side_by_side(config: Config) -> None:
    model = made(config)
    cache = KVCache(config, dtype=torch.float32)
    encode(model, cache, PROMPT)
    for starts in ([start(1)], [start(1), start(2, text=[30, 31]), start(3, slots=29)]):
        generator = torch.Generator().manual_seed(1)
        seen = list(refine(EagerRefiner(model, cache), starts, SAMPLING, generator))
        assert 1 <= len(seen) <= 5 and len(seen[-1]) == len(starts)
        assert all(one.best[:3] == [20, 21, 22] for one in seen[-1])


def test_nothing_is_made_of_a_signal_that_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any, **options: Any) -> Any:
        raise AssertionError("a soft embedding")

    model = made(TINY)
    cache = cache_of(model)
    monkeypatch.setattr(Model, "soft_embed", never)
    monkeypatch.setattr("dgedit_engine.decode.loop_cuda.soft_embed", never)
    known = start(2, text=[30, 31])
    assert seed_signal(model, known.seed) is None
    for one in (GraphRefiner(model, cache), EagerRefiner(model, cache)):
        assert list(refine(one, [start(1), known], SAMPLING, torch.Generator().manual_seed(1)))
    assert GraphRefiner(model, cache).step(1, 16).soft is None


@SHAPES
def test_steps_are_those_of_the_plain_sampler(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    advance = DenoiseStep.advance

    def checked(self: DenoiseStep) -> None:
        best, sure = expected(self)
        advance(self)
        found = self.report[:, : 2 * self.slots].view(self.rows, 2, self.slots)
        assert torch.equal(found[:, 0].long(), best)
        shown = found[:, 1].contiguous().view(torch.float32)
        torch.testing.assert_close(shown, sure, rtol=1e-4, atol=1e-5)
        seen.append(self.rows)

    monkeypatch.setattr(DenoiseStep, "advance", checked)
    model = made(config)
    refiner = GraphRefiner(model, cache_of(model))
    starts = [start(1), start(2, text=[30, 31]), start(3, slots=29)]
    stands = list(refine(refiner, starts, SAMPLING, torch.Generator().manual_seed(1)))
    assert seen.count(2) and seen.count(1) and len(stands) <= 5


@SHAPES
def test_a_step_through_every_kernel(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(config)
    cache = cache_of(model)
    begun = DenoiseStep(model, cache, rows=1, slots=16)
    load(begun)
    best, sure = expected(begun)
    through_kernels(monkeypatch, processors=132)
    with torch.inference_mode():
        step = GraphRefiner(model, cache).step(1, 16)
        load(step)
        report = step.run()
    assert report[0, -1] == 1 and torch.equal(report[:, :16].long(), best)
    shown = report[:, 16:32].contiguous().view(torch.float32)
    torch.testing.assert_close(shown, sure, rtol=1e-3, atol=1e-4)


def test_bfloat16_with_norms_in_fp32_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU has it: 1 + w has more digits than w."""
    wide, narrow = made(TINY), made(TINY, torch.bfloat16)
    ids = start(1).seed.canvas.ids
    with torch.inference_mode():
        right = wide.logits(wide.denoise(ids, cache_of(wide)))
        plain = narrow.logits(narrow.denoise(ids, cache_of(narrow)))
        through_kernels(monkeypatch)
        found = narrow.logits(narrow.denoise(ids, cache_of(narrow)))
    assert right.std() > 0.3
    for one in (plain, found):
        assert float((one - right).abs().max()) < 0.25


def load(step: DenoiseStep) -> None:
    canvas = start(1).seed.canvas
    step.ids.copy_(canvas.ids)
    step.fixed.copy_(canvas.fixed)
    step.heat.fill_(0.8)
    step.settings.copy_(torch.tensor([0.5, 0.3, 1.0]))
