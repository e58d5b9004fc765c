"""The step that a GPU replays does what the plain sampler does, from the same state."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from as_on_a_card import through_kernels
from dgedit_engine.decode import sampler
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import RefinedCanvas, Start, refine
from dgedit_engine.decode.loop_cuda import CanvasState, DenoiseStep, GraphRefiner
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Config, LayerConfig, Sampling
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage
from dgedit_kernels.canvas_sampler import read_slots

SAMPLING = Sampling(steps=6, entropy_bound=0.5, t_min=0.4, t_max=0.8, confidence=0.3)
TINY = Config(
    vocab=70,
    dim=32,
    heads=4,
    layers=(LayerConfig(True, 2, 16, 1e4, 8), LayerConfig(False, 1, 32, 1e5, 4)),
    window=20,
    mlp=48,
    experts=4,
    active=2,
    expert_width=16,
    canvas=16,
    context=256,
)


def start(seed: int, slots: int = 16, steps: int = 6, vocab: int = 70, fixed: int = 3) -> Start:
    """A canvas of noise behind a fixed marker."""
    generator = torch.Generator().manual_seed(seed)
    marker = [list(range(20, 20 + fixed))]
    made = seed_canvas(
        [[]],
        marker,
        [slots - fixed],
        end=1,
        vocab=vocab,
        strength=1.0,
        generator=generator,
    )
    return Start(made, steps)


def tiny() -> tuple[Model, DeviceCache]:
    model = Model(TINY)
    init_weights(model, seed=3)
    model.requires_grad_(False)
    cache = DeviceCache(TINY, device="cpu", dtype=torch.float32)
    encode(model, cache, list(range(2, 40)))
    return model, cache


def run(refiner: GraphRefiner, starts: list[Start]) -> list[list[RefinedCanvas]]:
    return list(refine(refiner, starts, SAMPLING, torch.Generator().manual_seed(1)))


def plain(step: DenoiseStep) -> dict[str, torch.Tensor]:
    """What the sampler's own functions say of a step's state."""
    model = step.model
    with torch.inference_mode():
        logits = model.logits(model.denoise(step.ids, step.cache, step.soft))
        z = sampler.pin(logits / step.heat[:, None, None], step.ids, step.fixed)
        reading = read_slots(z, torch.Generator().manual_seed(0))
        bound, threshold, stability = step.settings.tolist()
        stood = (reading.best == step.previous).all(-1)
        still = torch.where(stood, step.still + 1, 0)
        rows = zip(reading.entropy, step.fixed, strict=True)
        certain = torch.tensor([sampler.confident(h[None], f[None], threshold) for h, f in rows])
        return {
            "best": reading.best.clone(),
            "sure": reading.probs.gather(-1, reading.best[..., None])[..., 0],
            "kept": sampler.accept_free(reading.entropy, step.fixed, bound),
            "settled": (still >= stability) & certain,
            "soft": model.soft_embed(reading.probs),
        }


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Holds every step to the plain sampler; counts them."""
    seen: list[int] = []
    advance = DenoiseStep.advance

    def checked(self: DenoiseStep) -> None:
        expected, fixed, ids = plain(self), self.fixed.clone(), self.ids.clone()
        advance(self)
        slots = self.slots
        best, sure, kept = self.report[:, : 3 * slots].view(self.rows, 3, slots).unbind(1)
        assert torch.equal(best.long(), expected["best"])
        sure = sure.contiguous().view(torch.float32)
        torch.testing.assert_close(sure, expected["sure"], rtol=1e-4, atol=1e-5)
        assert torch.equal(kept.bool(), expected["kept"])
        assert torch.equal(self.report[:, -2].bool(), expected["settled"])
        torch.testing.assert_close(self.soft, expected["soft"], rtol=1e-2, atol=1e-2)
        assert torch.equal(self.ids[fixed], ids[fixed])
        assert torch.equal(self.previous, expected["best"])
        seen.append(self.rows)

    monkeypatch.setattr(DenoiseStep, "advance", checked)
    return seen


def test_steps_are_those_of_the_plain_sampler(watched: list[int]) -> None:
    seen = run(GraphRefiner(*tiny()), [start(1), start(2), start(3, slots=32, steps=4)])
    assert watched.count(2) and watched.count(1)
    assert len(seen) <= 6 and all(len(stands) == 3 for stands in seen)
    for stands in seen:
        assert [one.best[:3] for one in stands] == [[20, 21, 22]] * 3
        assert all(all(one.accepted[:3]) for one in stands)


def test_rows_that_are_done_leave_and_the_others_go_on(watched: list[int]) -> None:
    seen = run(GraphRefiner(*tiny()), [start(1, steps=2), start(2, steps=5)])
    assert watched[:2] == [2, 2] and set(watched[2:]) == {1}
    assert seen[-1][0] is seen[1][0]


def test_same_seed_gives_the_same_and_another_not() -> None:
    refiner = GraphRefiner(*tiny())
    first, again = (run(refiner, [start(1)]) for _ in range(2))
    assert [one[0].best for one in first] == [one[0].best for one in again]
    other = list(refine(refiner, [start(1)], SAMPLING, torch.Generator().manual_seed(2)))
    assert [one[0].best for one in other] != [one[0].best for one in first]


def test_heat_falls_as_the_schedule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    heats: list[float] = []
    advance = DenoiseStep.advance

    def noted(self: DenoiseStep) -> None:
        heats.append(self.heat.item())
        advance(self)

    monkeypatch.setattr(DenoiseStep, "advance", noted)
    run(GraphRefiner(*tiny()), [start(1)])
    assert heats == pytest.approx([sampler.temperature(SAMPLING, 6 - n) for n in range(len(heats))])


def test_a_moved_cache_gets_new_steps() -> None:
    model, cache = tiny()
    refiner = GraphRefiner(model, cache)
    first = refiner.step(1, 16)
    assert refiner.step(1, 16) is first
    cache._grow(5000)
    assert refiner.step(1, 16) is not first


def test_damaged_weights_are_said() -> None:
    model, cache = tiny()
    model.embedding[69] = torch.nan
    with pytest.raises(ModelError, match="no finite numbers"):
        run(GraphRefiner(model, cache), [start(1)])


@pytest.fixture
def on_steps() -> Engine:
    """tiny as on a GPU, but for the GPU: its cache on the device, its steps in buffers."""
    engine = open_engine("tiny", "cpu")
    dtype = engine.model.embedding.dtype
    cache = DeviceCache(engine.model.config, device="cpu", dtype=dtype)
    engine.cache, engine.refiner = cache, GraphRefiner(engine.model, cache)
    return engine


def test_tiny_fills_and_shrinks_by_steps(on_steps: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run_step = DenoiseStep.run
    monkeypatch.setattr(DenoiseStep, "run", lambda self: sizes.append(self.slots) or run_step(self))
    asked = InfillRequest((Passage("a.py", ("def add(a, b):\n    return ", Hole(), "\n")),))
    last = list(on_steps.infill(asked))[-1]
    assert last.last and last.drafts[0].text.strip() and len(last.candidates[0]) > 1
    assert len(set(sizes)) > 1  # a line does not need the canvas it starts on
    with_seed = list(on_steps.infill(asked))[-1]
    assert with_seed.drafts == last.drafts


def test_a_step_through_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole step in Triton's interpreter, against the plain sampler."""
    model, cache = tiny()
    expected = plain_step(model, cache)
    through_kernels(monkeypatch, processors=132)
    with torch.inference_mode():
        step = GraphRefiner(model, cache).step(1, 16)
        load(step)
        report = step.run()
    assert report[0, -1] == 1
    assert torch.equal(report[0, :16].long(), expected["best"][0])
    torch.testing.assert_close(
        report[0, 16:32].view(torch.float32), expected["sure"][0], rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(step.soft, expected["soft"], rtol=1e-2, atol=1e-2)


def load(step: DenoiseStep) -> None:
    made = start(1).seed.canvas
    step.ids.copy_(made.ids)
    step.fixed.copy_(made.fixed)
    step.heat.fill_(0.8)
    step.settings.copy_(torch.tensor([0.5, 0.3, 1.0]))


def plain_step(model: Model, cache: DeviceCache) -> dict[str, torch.Tensor]:
    step = DenoiseStep(model, cache, rows=1, slots=16)
    load(step)
    return plain(step)


def test_a_canvas_without_an_end_grows_into_a_wider_step() -> None:
    model, cache = tiny()
    model.config = replace(TINY, eos=(69,), canvas=64)
    with torch.no_grad():
        model.embedding[69] = 0  # as likely as the mean of all: no slot's best
    refiner = GraphRefiner(model, cache)
    first = replace(start(3), most=64)
    steps = [one for (one,) in run(refiner, [first])]
    assert [one.canvas.slots for one in steps] == [16, 16, 16, 32, 32, 32]
    assert {(1, 16), (1, 32)} == set(refiner.made)
    marker = list(range(20, 23))
    assert all(one.best[:3] == marker for one in steps), "what is fixed stays"


def test_a_grown_state_keeps_its_slots_and_draws() -> None:
    model, cache = tiny()
    refiner = GraphRefiner(model, cache)
    before = refiner.begin(start(3).seed, torch.Generator().manual_seed(4))
    assert isinstance(before, CanvasState) and before.soft is not None
    after = refiner.more(before, torch.full((1, 5), 7))
    assert after.ids.tolist() == [*before.ids.tolist(), *[7] * 5]
    assert after.fixed.tolist() == [*before.fixed.tolist(), *[False] * 5]
    assert after.soft is not None and not after.soft[16:].any()
    assert after.draw.equal(before.draw) and after.previous.eq(-1).all() and after.still == 0
