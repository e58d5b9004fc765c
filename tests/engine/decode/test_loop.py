"""Canvases side by side: each is refined as it would be alone, and leaves when it is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dgedit_engine.decode.canvas import Seed, seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import EagerRefiner, RefinedCanvas, Start, refine
from dgedit_engine.engine import Engine
from dgedit_engine.model.config import Sampling

PROMPT = list(range(300, 340))
SAMPLING = Sampling(steps=4, entropy_bound=2.0)


def noise(slots: int, seed: int) -> Seed:
    generator = torch.Generator().manual_seed(seed)
    return seed_canvas([[]], [[]], [slots], end=1, vocab=4096, strength=1.0, generator=generator)


@pytest.fixture
def wide(exact: Engine) -> Engine:
    """In fp32, so that sums in another order differ by little."""
    exact.model.float()
    exact.cache = type(exact.cache)(exact.model.config, dtype=torch.float32)
    encode(exact.model, exact.cache, PROMPT)
    return exact


def refined(engine: Engine, starts: list[Start]) -> Iterator[list[RefinedCanvas]]:
    return refine(EagerRefiner(engine.model, engine.cache), starts, SAMPLING, torch.Generator())


def test_first_pass_reads_each_canvas_as_if_it_were_alone(wide: Engine) -> None:
    """Best tokens and confidence of the first step do not depend on what stands beside it."""
    seeds = [noise(16, 1), noise(32, 2), noise(8, 3)]
    starts = [Start(seed, SAMPLING.steps) for seed in seeds]
    together = next(refined(wide, starts))
    for start, found in zip(starts, together, strict=True):
        (alone,) = next(refined(wide, [start]))
        assert found.best == alone.best
        assert found.confidence == pytest.approx(alone.confidence, abs=1e-4)


def test_canvas_with_fewer_steps_left_leaves_the_pass(
    wide: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    denoise = wide.model.denoise

    def counted(ids: torch.Tensor, *args: object, **more: object) -> torch.Tensor:
        asked.append(ids.shape[1])
        return denoise(ids, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(wide.model, "denoise", counted)
    starts = [Start(noise(16, 1), 1), Start(noise(8, 2), 3)]
    steps = list(refined(wide, starts))
    assert asked == [24, 8, 8]
    assert [len(stands) for stands in steps] == [2, 2, 2]
    assert steps[0][0] is steps[-1][0]


def test_a_canvas_with_a_signal_beside_one_without(wide: Engine) -> None:
    """A zero signal is exactly none: the noise canvas reads as it does alone."""
    generator = torch.Generator().manual_seed(5)
    known = seed_canvas(
        [[300, 301, 302]], [[]], [16], end=1, vocab=4096, strength=0.3, generator=generator
    )
    starts = [Start(known, 2), Start(noise(16, 1), 2)]
    together = next(refined(wide, starts))
    (alone,) = next(refined(wide, starts[1:]))
    assert together[1].confidence == pytest.approx(alone.confidence, abs=1e-4)
