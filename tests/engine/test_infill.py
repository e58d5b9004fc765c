"""From a request to its steps, on a tiny random model; where the model must say something certain,
it is made to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from statistics import mean
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine import infill as flow
from dgedit_engine.decode import loop as refinement
from dgedit_engine.decode import phases as module
from dgedit_engine.decode.drafts import draft_of
from dgedit_engine.decode.loop import RefinedCanvas
from dgedit_engine.decode.phases import CANVASES
from dgedit_engine.engine import Engine
from dgedit_engine.infill import dialled
from dgedit_engine.model.config import Sampling
from dgedit_engine.prompt.layout import EOS, HOLES
from dgedit_engine.types import Draft, Hole, InfillRequest, Passage, Step

TEXT = "    total = 0\n    for value in values:\n        total += value\n    return total\n"


def request(*parts: str | Hole, **more: Any) -> InfillRequest:
    parts = parts or ("def total(values):\n", Hole(), "\nprint(total([1, 2]))\n")
    return InfillRequest((Passage("a.py", parts),), **({"steps": 3} | more))


def run(engine: Engine, asked: InfillRequest) -> list[Step]:
    return list(engine.infill(asked))


def say(engine: Engine, token: Callable[[int], int], *, rival: float = 1.0) -> list[int]:
    """Make the model say `token(slot)` at every slot of a canvas; returns the sizes it was asked
    for.

    A text token has a rival `rival` nats behind it, so that it does not get certain; an end has
    none.
    """
    asked: list[int] = []

    def logits(hidden: Tensor) -> Tensor:
        slots = hidden.shape[1]
        asked.append(slots)
        ids = torch.tensor([token(slot) for slot in range(slots)])
        scores = torch.full((1, slots, engine.model.config.vocab), -30.0)
        scores[0, torch.arange(slots), ids] = 30.0
        scores[0, :, 99] = torch.where(ids == EOS, -30.0, 30.0 - rival)
        return scores

    engine.model.logits = logits  # type: ignore[method-assign]
    return asked


@pytest.fixture
def one_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a random model, which hardly ever says an end, from going on."""
    monkeypatch.setattr(module, "CANVASES", 1)


def spelt(engine: Engine, ids: list[int]) -> str:
    return "".join(piece.text for piece in engine.tokenizer.pieces(ids))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[RefinedCanvas]:
    """Every refinement that the engine makes."""
    seen: list[RefinedCanvas] = []

    def refine(*args: Any, **more: Any) -> Iterator[list[RefinedCanvas]]:
        for stands in original(*args, **more):
            seen.extend(stands)
            yield stands

    original = refinement.refine
    monkeypatch.setattr(refinement, "refine", refine)
    return seen


def assert_stream(steps: list[Step]) -> None:
    """Steps are counted from 1 within their cap, and the last one, and no other, ends them."""
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.index <= step.total for step in steps)
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    forwards = [step.forwards for step in steps]
    assert forwards == sorted(forwards)
    assert [step.stopped is not None for step in steps] == [step.last for step in steps]
    for draft in (draft for step in steps for draft in step.drafts):
        assert len(draft.pieces) == len(draft.confidence) == len(draft.settled)
        assert all(draft.pieces) and all(0 <= value <= 1 for value in draft.confidence)
    assert all(all(draft.settled) for draft in steps[-1].drafts)


def test_infill_streams_steps_within_the_cap(tiny: Engine) -> None:
    say(tiny, lambda slot: EOS if slot >= 20 else 300 + slot)
    for seed in range(3):
        steps = run(tiny, request(seed=seed, steps=5))
        assert_stream(steps)
        assert len(steps) == 5 and {step.total for step in steps} == {5}
        assert steps[-1].stopped == "cap"
        assert steps[-1].score < 0


@pytest.mark.usefixtures("one_canvas")
def test_infill_of_a_random_model_is_a_sound_stream(tiny: Engine) -> None:
    """It says noise, broken characters and special tokens, and hardly ever an end."""
    steps = run(tiny, request(steps=2))
    assert_stream(steps)
    assert "\ufffd" not in steps[-1].drafts[0].text
    assert_stream(run(tiny, request("a", Hole(), "b", Hole("x"), steps=4, strength=0.5)))


@pytest.mark.usefixtures("one_canvas")
def test_infill_repeats_from_the_seed(tiny: Engine) -> None:
    first, again, other = (run(tiny, request(seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first[-1].drafts != other[-1].drafts


def test_infill_stops_when_it_is_certain(tiny: Engine) -> None:
    say(tiny, lambda slot: EOS if slot >= 4 else 300 + slot, rival=60.0)
    steps = run(tiny, request(steps=16))
    assert_stream(steps)
    assert len(steps) == 2 and steps[-1].stopped == "settled"
    assert steps[-1].drafts[0].text == spelt(tiny, [300, 301, 302, 303])
    assert steps[-1].score == pytest.approx(0, abs=1e-4)


def test_infill_that_is_empty_says_so(tiny: Engine) -> None:
    say(tiny, lambda slot: EOS)
    steps = run(tiny, request())
    assert steps[-1].drafts == (Draft((), (), ()),) and steps[-1].score == 0


@pytest.mark.parametrize(
    "text",
    ["", TEXT, "naïve\r\n\t👩‍👩‍👧 e\u0301\u200b\x00 \ufffd <eos><|hole1|>", "\U0010fffe" * 300],
)
def test_strength_0_leaves_the_text_as_it_is(tiny: Engine, text: str) -> None:
    def denoise(*args: Any) -> Tensor:
        raise AssertionError("the model ran")

    tiny.model.denoise = denoise  # type: ignore[method-assign]
    steps = run(tiny, request("a", Hole(text), "b", Hole("c"), strength=0))
    assert_stream(steps)
    assert len(steps) == 1 and steps[0].stopped == "unchanged"
    assert [draft.text for draft in steps[0].drafts] == [text, "c"]


@pytest.mark.usefixtures("one_canvas")
def test_low_strength_changes_less_than_high(tiny: Engine) -> None:
    """A model that is certain of whatever it reads keeps what was not noised."""
    denoise, read = tiny.model.denoise, torch.empty(0)

    def remember(ids: Tensor, *args: Any, **options: Any) -> Tensor:
        nonlocal read
        read = ids[0]
        return denoise(ids, *args, **options)

    tiny.model.denoise = remember  # type: ignore[method-assign]
    say(tiny, lambda slot: int(read[slot]), rival=60.0)

    def change(strength: float, seed: int) -> float:
        asked = request("def f():\n", Hole(TEXT), "\n", strength=strength, seed=seed, steps=4)
        text = run(tiny, asked)[-1].drafts[0].text
        return 1 - SequenceMatcher(None, TEXT, text, autojunk=False).ratio()

    low, middle, high = (mean(change(s, seed) for seed in range(4)) for s in (0.1, 0.4, 1.0))
    assert low < middle < high
    assert low < 0.3 and high > 0.7


def test_strength_shortens_the_schedule(tiny: Engine) -> None:
    say(tiny, lambda slot: EOS if slot >= 20 else 300 + slot)
    for strength, expected in ((0.1, 1), (0.5, 4), (0.51, 5), (1.0, 8)):
        asked = request("a", Hole(TEXT), strength=strength, steps=8)
        assert len(run(tiny, asked)) == expected


def test_several_holes_give_a_draft_each_and_pins_stay(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    parts = ("a", Hole(), "b", Hole("x = 1"), "c", Hole(), "d")
    steps = run(tiny, request(*parts, steps=6))
    assert_stream(steps)
    assert {len(step.drafts) for step in steps} == {3}
    assert len(seen) == 6
    for refined in seen:
        canvas = refined.canvas
        pins = [segment.start - 1 for segment in canvas.segments[1:]]
        assert canvas.fixed[0].nonzero().flatten().tolist() == pins
        assert (
            canvas.ids[0, pins].tolist() == [refined.best[pin] for pin in pins] == list(HOLES[1:3])
        )
        assert all(refined.accepted[pin] and refined.confidence[pin] == 1 for pin in pins)


def test_draft_of_each_hole_is_its_segment(tiny: Engine) -> None:
    asked = request("a", Hole("x" * 20), "b", Hole("y" * 20), strength=0.5, steps=4)
    say(tiny, lambda slot: 300 if slot < 3 else EOS if slot < 40 else 301)
    first, second = run(tiny, asked)[-1].drafts
    assert first.text == spelt(tiny, [300] * 3)
    assert set(second.pieces) <= {spelt(tiny, [301])}


def test_shrink_drops_slots_and_keeps_the_text(tiny: Engine) -> None:
    text = [300 + slot for slot in range(20)]
    sizes = say(tiny, lambda slot: text[slot] if slot < 20 else EOS)
    drafts = [step.drafts[0].text for step in run(tiny, request(steps=5))]
    assert sizes == [tiny.model.config.canvas, 32, 32, 32, 32]
    assert drafts == [spelt(tiny, text)] * 5


def test_shrink_waits_for_every_hole(tiny: Engine) -> None:
    parts = ("a", Hole("x = 1\n" * 9), "b", Hole("y = 1\n" * 9))
    sizes = say(tiny, lambda slot: EOS if 4 <= slot < 20 else 300)
    run(tiny, request(*parts, strength=0.9, steps=4))
    assert sizes[0] == 128 and sizes == sorted(sizes, reverse=True)


def test_accepted_pieces_are_settled_and_open_ones_are_not(tiny: Engine) -> None:
    say(tiny, lambda slot: EOS if slot >= 20 else 300 + slot, rival=0.5)
    steps = run(tiny, request(steps=3, entropy_bound=0.0))
    assert sum(steps[0].drafts[0].settled) <= 1
    steps = run(tiny, request(steps=3, entropy_bound=1000.0))
    assert all(steps[0].drafts[0].settled)
    assert steps[0].drafts[0].confidence == pytest.approx([0.65] * 20, abs=0.05)  # at heat 0.8


def test_hole_longer_than_a_canvas_goes_on(tiny: Engine) -> None:
    """The second canvas is read behind the first, which is encoded, and its text is added."""
    slots = tiny.model.config.canvas
    spoken = [300] * slots + [301] * 5
    say(tiny, lambda slot: 300 if len(tiny.cache) < before + slots else 301 if slot < 5 else EOS)
    asked = request(steps=2)
    before = len(flow.build(asked, tiny.tokenizer, context=4096).ids)
    steps = run(tiny, asked)
    assert_stream(steps)
    assert [step.total for step in steps] == [2, 2, 4, 4]
    assert [step.drafts[0].text for step in steps[1::2]] == [
        spelt(tiny, spoken[:slots]),
        spelt(tiny, spoken),
    ]
    assert steps[2].drafts[0].settled[:slots] == (True,) * slots
    assert tiny.cache.ids[before:] == [300] * slots


def test_hole_without_an_end_stops_at_the_cap_of_canvases(tiny: Engine) -> None:
    say(tiny, lambda slot: 300)
    steps = run(tiny, request(steps=1))
    assert_stream(steps)
    assert len(steps) == CANVASES
    assert len(steps[-1].drafts[0].pieces) == CANVASES * tiny.model.config.canvas


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("x", "\n", "```", "\nso"), "x"),
        (("x\n", "```"), "x"),
        (("x", "\n``", "`"), "x"),
        (("```", "\n"), ""),
        (("x", "```", "\ny"), "x```\ny"),
    ],
)
def test_draft_ends_before_its_closing(tiny: Engine, texts: tuple[str, ...], expected: str) -> None:
    """However tokens split it; the prompt ends with a line's end, so it may come first."""
    ids = [id for text in texts for id in tiny.tokenizer.encode(text)]
    sure, accepted = [0.5] * len(ids), [True] * len(ids)
    for ended in (False, True):
        draft = draft_of(ids, sure, accepted, tiny.tokenizer, "\n```", ended=ended)
        assert draft.text == expected
        assert len(draft.pieces) == len(draft.confidence) == len(draft.settled)


def test_hole_of_a_chat_goes_on_until_its_closing(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = flow.build
    monkeypatch.setattr(
        flow, "build", lambda *args, **more: replace(build(*args, **more), closing="\n```")
    )
    slots = tiny.model.config.canvas
    fence = tiny.tokenizer.encode("\n```")
    spoken = [300] * (slots + 5) + fence + [301] * slots
    before = len(build(request(), tiny.tokenizer, context=4096).ids)
    say(tiny, lambda slot: spoken[len(tiny.cache) - before + slot])
    steps = run(tiny, request(steps=1))
    assert_stream(steps)
    assert len(steps) == 2
    assert steps[-1].drafts[0].text == spelt(tiny, [300] * (slots + 5))


def test_infill_is_settled_only_if_every_canvas_was(tiny: Engine) -> None:
    """One that was left at its cap, or that had no canvas to go on to, was not."""
    slots = tiny.model.config.canvas

    def stopped(spoken: Callable[[int], int]) -> str | None:
        tiny.cache.truncate(0)
        before = len(flow.build(request(), tiny.tokenizer, context=4096).ids)
        say(tiny, lambda slot: spoken(len(tiny.cache) - before + slot), rival=60.0)
        return run(tiny, request(steps=4))[-1].stopped

    assert stopped(lambda place: 300 if place < slots + 5 else EOS) == "settled"
    assert stopped(lambda place: 300) == "cap"


def test_text_longer_than_a_canvas_is_revised_to_its_end(tiny: Engine) -> None:
    """At low strength each canvas takes up the present text where the last one stopped."""
    asked = request("a", Hole(TEXT * 16), "b", strength=0.2, steps=5)
    tokens = tiny.tokenizer.encode(TEXT * 16)
    assert len(tokens) > 2 * 2 * tiny.model.config.canvas
    before = len(flow.build(asked, tiny.tokenizer, context=4096).ids)

    def present(slot: int) -> int:
        place = len(tiny.cache) - before + slot
        return tokens[place] if place < len(tokens) else EOS

    say(tiny, present)
    steps = run(tiny, asked)
    assert_stream(steps)
    assert steps[-1].drafts[0].text == TEXT * 16


def test_dial_scales_steps_and_bound() -> None:
    sampling = Sampling(steps=16, entropy_bound=0.1)
    middle = dialled(sampling, request(steps=None))
    assert middle == sampling
    low, high = (dialled(sampling, request(steps=None, effort=effort)) for effort in (0.0, 1.0))
    assert (low.steps, high.steps) == (8, 32)
    assert (low.entropy_bound, high.entropy_bound) == pytest.approx((0.2, 0.05))
    assert dialled(replace(sampling, steps=1), request(steps=None, effort=0)).steps == 1


def test_request_overrides_the_dial(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(effort=1.0, steps=7, entropy_bound=0.25)
    found = dialled(Sampling(steps=16, entropy_bound=0.1), asked)
    assert (found.steps, found.entropy_bound) == (7, 0.25)
    say(tiny, lambda slot: EOS if slot >= 20 else 300 + slot)
    bounds: list[float] = []
    accept = refinement.sampler.accept_free
    monkeypatch.setattr(
        refinement.sampler,
        "accept_free",
        lambda e, f, bound: bounds.append(bound) or accept(e, f, bound),
    )
    assert len(run(tiny, asked)) == 7
    assert bounds == [0.25] * 7
