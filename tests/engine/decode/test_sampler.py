"""Our sampler against transformers' `generate`: with the same draws, the same canvases at every
step of whole runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import Seed, seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import EagerRefiner, RefinedCanvas, Start, refine
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling, load_config
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from oracle import random_model

SLOTS = 16
PROMPT = list(range(3, 24))


class Drafts:
    """A streamer that keeps every draft, as `generate` hands them out."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def put(self, value: torch.Tensor) -> None:
        self.prompt = value

    def put_draft(self, value: torch.Tensor) -> None:
        self.seen.append(value[0].tolist())

    def end(self) -> None:
        self.over = True


class Pinned:
    """Forces one-hot logits at fixed slots, as a user of the reference would."""

    def __init__(self, ids: torch.Tensor, fixed: torch.Tensor) -> None:
        self.ids, self.fixed = ids, fixed

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, cur_step: int
    ) -> torch.Tensor:
        known = torch.full_like(scores, -torch.inf).scatter(-1, self.ids[..., None], 0.0)
        return torch.where(self.fixed[..., None], known, scores)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Model]:
    folder = tmp_path_factory.mktemp("model")
    theirs = random_model(folder, canvas=SLOTS, sharp=2.0)
    return theirs, checkpoint.load(load_config(folder), folder)


def generate(
    theirs: Any, sampling: Sampling, *, seed: int, tokens: int = SLOTS, **more: Any
) -> Drafts:
    """The reference's drafts of a run on the global generator seeded with `seed`."""
    from transformers import DiffusionGemmaGenerationConfig
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        EntropyBoundSamplerConfig,
    )

    config = DiffusionGemmaGenerationConfig(
        max_new_tokens=tokens,
        max_denoising_steps=sampling.steps,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=sampling.entropy_bound),
        t_min=sampling.t_min,
        t_max=sampling.t_max,
        stability_threshold=sampling.stability,
        confidence_threshold=sampling.confidence,
        cache_implementation="dynamic",
        disable_compile=True,
        pad_token_id=0,
    )
    drafts = Drafts()
    torch.manual_seed(seed)
    theirs.generate(torch.tensor([PROMPT]), generation_config=config, streamer=drafts, **more)
    return drafts


def from_noise(generator: torch.Generator) -> Seed:
    return seed_canvas([[]], [[]], [SLOTS], end=1, vocab=128, strength=1.0, generator=generator)


def refined(
    model: Model, cache: KVCache, seed: Seed, sampling: Sampling, generator: torch.Generator
) -> list[RefinedCanvas]:
    """The steps of one canvas, which keeps its size."""
    start = Start(seed, sampling.steps)
    refiner = EagerRefiner(model, cache)
    steps = refine(refiner, [start], sampling, generator, shrinking=False)
    return [one for (one,) in steps]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sampling", "stops"),
    [
        (Sampling(steps=12, entropy_bound=0.1, confidence=0.005), False),
        (Sampling(steps=12, entropy_bound=60.0, t_min=0.005, t_max=0.02, confidence=1.0), False),
        (
            Sampling(
                steps=9, entropy_bound=6.0, t_min=0.005, t_max=0.2, stability=0, confidence=3.0
            ),
            True,
        ),
    ],
)
def test_refine_draws_the_references_canvases(
    pair: tuple[Any, Model], sampling: Sampling, stops: bool
) -> None:
    theirs, ours = pair
    for seed in range(4):
        expected = generate(theirs, sampling, seed=seed).seen
        assert (len(expected) < sampling.steps) == stops
        generator = torch.Generator().manual_seed(seed)
        cache = KVCache(ours.config, dtype=torch.float32)
        encode(ours, cache, PROMPT)
        steps = list(refined(ours, cache, from_noise(generator), sampling, generator))
        assert [step.best for step in steps] == expected
        assert steps[-1].settled == stops


@pytest.mark.oracle
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(steps=5, entropy_bound=1.0),
        Sampling(steps=9, entropy_bound=6.0, t_min=0.005, t_max=0.2, stability=0, confidence=3.0),
    ],
    ids=["at the cap", "settled"],
)
def test_second_canvas_follows_as_in_the_reference(
    pair: tuple[Any, Model], sampling: Sampling
) -> None:
    theirs, ours = pair
    expected = generate(theirs, sampling, seed=3, tokens=2 * SLOTS).seen
    generator = torch.Generator().manual_seed(3)
    cache = KVCache(ours.config, dtype=torch.float32)
    found: list[list[int]] = []
    for _ in range(2):
        encode(ours, cache, PROMPT + (found[-1] if found else []))
        steps = refined(ours, cache, from_noise(generator), sampling, generator)
        found += [step.best for step in steps]
    assert found == expected


@pytest.mark.oracle
def test_pins_equal_one_hot_logits_in_the_reference(pair: tuple[Any, Model]) -> None:
    """The reference means the entropy over all slots, we over the free ones: its threshold is
    scaled to ours.
    """
    from transformers import LogitsProcessorList

    theirs, ours = pair
    free = [2, 3, 11]
    fixed = torch.ones(1, SLOTS, dtype=torch.bool)
    fixed[0, free] = False
    sampling = Sampling(steps=14, entropy_bound=2.0, t_min=0.001, t_max=0.05, confidence=0.4)
    scaled = replace(sampling, confidence=sampling.confidence * len(free) / SLOTS)
    lengths = []
    for draw in range(4):
        start = torch.randint(128, (1, SLOTS), generator=torch.Generator().manual_seed(100 + draw))
        processors = LogitsProcessorList([Pinned(start, fixed)])
        expected = generate(
            theirs, scaled, seed=draw, decoder_input_ids=start, logits_processor=processors
        ).seen
        seed = from_noise(generator := torch.Generator().manual_seed(draw))
        seed = Seed(replace(seed.canvas, ids=start, fixed=fixed), fixed)
        cache = KVCache(ours.config, dtype=torch.float32)
        encode(ours, cache, PROMPT)
        steps = list(refined(ours, cache, seed, sampling, generator))
        assert [step.best for step in steps] == expected
        lengths.append(len(steps))
        for step in steps:
            assert torch.equal(step.canvas.ids[fixed], start[fixed])
            assert torch.equal(torch.tensor([step.best])[fixed], start[fixed])
    assert min(lengths) < sampling.steps  # the stop rule was exercised, on the free slots alone


def test_pin_makes_the_signal_the_exact_embedding(pair: tuple[Any, Model]) -> None:
    _, ours = pair
    ids = torch.tensor([[7, 9]])
    logits = sampler.pin(torch.randn(1, 2, 128), ids, torch.tensor([[True, False]]))
    soft = ours.soft_embed(logits.softmax(-1))
    assert torch.equal(soft[0, 0], ours.embed(ids)[0, 0])
    assert not torch.equal(soft[0, 1], ours.embed(ids)[0, 1])


def test_temperature_falls_linearly() -> None:
    sampling = Sampling(steps=48, t_min=0.4, t_max=0.8)
    assert sampler.temperature(sampling, 48) == pytest.approx(0.8)
    assert sampler.temperature(sampling, 24) == pytest.approx(0.6)
    assert sampler.temperature(sampling, 1) == pytest.approx(0.4 + 0.4 / 48)


def test_accept_keeps_within_the_bound_and_at_least_one() -> None:
    entropy = torch.tensor([[0.3, 0.05, 0.02, 2.0]])
    assert sampler.accept(entropy, 0.1).tolist() == [
        [True, True, True, False]
    ]  # 0.02 + 0.05 <= 0.1
    assert sampler.accept(entropy, 0.0).tolist() == [[False, False, True, False]]
    assert sampler.accept(entropy, 9.9).tolist() == [[True] * 4]


def test_accept_free_gives_the_budget_to_free_slots() -> None:
    entropy = torch.tensor([[0.0, 0.0, 1.5, 2.0]])
    fixed = torch.tensor([[True, True, False, False]])
    assert sampler.accept_free(entropy, fixed, 0.0).tolist() == [[True, True, True, False]]


def test_confident_counts_free_slots_only() -> None:
    entropy = torch.tensor([[0.0] * 15 + [0.06]])
    fixed = torch.tensor([[True] * 15 + [False]])
    assert not sampler.confident(entropy, fixed, 0.005)
    assert sampler.confident(entropy, torch.zeros_like(fixed), 0.005)
    assert sampler.confident(entropy, torch.ones_like(fixed), 0.005)


def test_renoise_replaces_only_what_is_not_kept() -> None:
    ids, kept = torch.full((1, 4000), 7), torch.arange(4000)[None] % 2 == 0
    found = sampler.renoise(ids, kept, 128, torch.Generator().manual_seed(0))
    assert (found[kept] == 7).all()
    counts = found[~kept].bincount(minlength=128)
    assert counts.min() >= 1 and counts.max() < 40  # 2000 even draws: about 16 each
