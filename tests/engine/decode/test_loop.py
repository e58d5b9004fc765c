"""Canvases side by side: each is refined as it would be alone, and leaves when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from dgedit_engine.decode.canvas import Seed, grown, seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import EagerRefiner, EagerState, RefinedCanvas, Start, refine
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


def endless(engine: Engine) -> None:
    """Make the model's only end a token that it never writes."""
    engine.model.config = replace(engine.model.config, eos=(4095,))
    with torch.no_grad():
        engine.model.embedding[4095] = 0  # as likely as the mean of all


def widths(engine: Engine, most: int) -> list[int]:
    """The slots of each step of a canvas of 16, eight steps long."""
    steps = refined(engine, [Start(noise(16, 1), 8, most)])
    return [one.canvas.slots for (one,) in steps]


def test_a_canvas_without_an_end_grows_by_halves_of_its_steps(wide: Engine) -> None:
    endless(wide)
    assert widths(wide, 0) == [16] * 8
    assert widths(wide, 64) == [16] * 4 + [32] * 2 + [64] * 2
    assert widths(wide, 24) == [16] * 4 + [24] * 4


def test_a_canvas_with_an_end_in_sight_does_not_grow(wide: Engine) -> None:
    wide.model.config = replace(wide.model.config, eos=tuple(range(4096)))
    assert set(widths(wide, 64)) == {16}


def test_a_canvas_that_settles_without_an_end_grows_and_goes_on(wide: Engine) -> None:
    endless(wide)
    settling = Sampling(steps=8, entropy_bound=1e9, confidence=1e9, stability=0)
    refiner = EagerRefiner(wide.model, wide.cache)
    starts = [Start(noise(16, 1), 8, 64)]
    steps = [one for (one,) in refine(refiner, starts, settling, torch.Generator())]
    assert [one.canvas.slots for one in steps] == [16, 32, 64]
    assert [one.settled for one in steps] == [False, False, True]


def test_a_canvas_keeps_what_it_knows_as_it_grows(wide: Engine) -> None:
    refiner = EagerRefiner(wide.model, wide.cache)
    seed = noise(16, 1)
    soft = torch.randn(1, 16, wide.model.config.dim)
    wider = grown(seed.canvas, 64, vocab=4096, generator=torch.Generator().manual_seed(2))
    assert wider.slots == 32 and wider.segments == (range(32),) and not wider.fixed.any()
    assert wider.ids[:, :16].equal(seed.canvas.ids)
    state = refiner.more(EagerState(soft, wider.ids[:, :16], 3), wider.ids[:, 16:])
    assert state.previous is None and state.still == 0 and state.soft is not None
    assert state.soft[:, :16].equal(soft) and not state.soft[:, 16:].any()
