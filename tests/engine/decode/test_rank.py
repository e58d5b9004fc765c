"""Several infills for one request: where they come from, how they are ranked, what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import pytest
import torch

from dgedit_engine.decode import loop, starts
from dgedit_engine.decode import rank as module
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import open_part
from dgedit_engine.decode.faults import new_errors
from dgedit_engine.decode.rank import Filling, rank
from dgedit_engine.decode.work import Work
from dgedit_engine.engine import Engine
from dgedit_engine.infill import chosen
from dgedit_engine.prompt.prompt import build
from dgedit_engine.types import (
    OFFERED,
    Candidate,
    Hole,
    InfillRequest,
    ModelError,
    Origin,
    Passage,
    Step,
    collect,
)

ALL = Decoding(candidates=4, origins=("draft", "revised", "canvas", "sample"), canvases=(32, 16))
REQUEST = InfillRequest((Passage("a.py", ("x = 1\ny = ", Hole(), "\nz = 2\n")),), steps=3)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends: keep it from going on."""
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 12)


def run(engine: Engine, decoding: Decoding, request: InfillRequest = REQUEST) -> list[Step]:
    engine.decoding = decoding
    return list(engine.infill(request))


def filling(engine: Engine, text: str, **more: Any) -> Filling:
    ids = engine.tokenizer.encode(text)
    made = Filling((ids,), ([0.5] * len(ids),), "canvas", True, True)
    return replace(made, **more)


def ranked(engine: Engine, *fillings: Filling, decoding: Decoding = ALL) -> list[Candidate]:
    prompt = build(REQUEST, engine.tokenizer, context=1024)
    encode(engine.model, engine.cache, prompt.ids)
    work = Work(
        engine.model,
        engine.tokenizer,
        engine.cache,
        engine.sampling,
        decoding,
        REQUEST,
        prompt,
        loop.EagerRefiner(engine.model, engine.cache),
        torch.Generator(),
    )
    found = rank(work, fillings)
    return [replace(one.candidate(0), faults=len(one.places)) for one in found]


def texts(found: Sequence[Candidate]) -> list[str]:
    return [one.draft.text for one in found]


def test_stream_of_all_origins_is_sound(tiny: Engine) -> None:
    steps = run(tiny, replace(ALL, repairs=2, warm=True))
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.index <= step.total for step in steps)
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    last = steps[-1]
    (offered,) = last.candidates
    assert offered[0].draft == last.drafts[0] and offered[0].score == last.score
    assert len({one.draft.text for one in offered}) == len(offered) <= OFFERED
    assert not any(step.candidates for step in steps[:-1])


def test_several_holes_in_two_files_have_candidates_too(tiny: Engine) -> None:
    passages = (
        Passage("a.py", ("x = ", Hole(), "\n", Hole(), "\n")),
        Passage("b.py", ("y = ", Hole(), "\n")),
    )
    steps = run(tiny, replace(ALL, repairs=1), InfillRequest(passages, steps=2))
    assert all(len(step.drafts) == 3 for step in steps)
    assert tuple(one[0].draft for one in steps[-1].candidates) == steps[-1].drafts


def test_same_seed_gives_the_same_candidates(tiny: Engine) -> None:
    first, again = run(tiny, ALL)[-1], run(tiny, ALL)[-1]
    other = run(tiny, ALL, replace(REQUEST, seed=1))[-1]
    assert first.candidates == again.candidates
    assert set(texts(first.candidates[0])) != set(texts(other.candidates[0]))


def test_each_origin_is_tried(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.faults.faults", lambda path, text, **more: ())
    unranked = replace(ALL, ranked=False, veto=False, candidates=6)
    asked = replace(REQUEST, candidates=6)
    found = {one.origin for one in run(tiny, unranked, asked)[-1].candidates[0]}
    assert found == {"draft", "revised", "canvas", "sample"}


def test_who_asks_anew_gets_other_drafts(tiny: Engine) -> None:
    """The greedy draft would be the same for every seed, and often the best one."""
    settings = Decoding(origins=("draft",))
    first, second, third = (
        run(tiny, settings, replace(REQUEST, seed=seed))[-1] for seed in (0, 1, 2)
    )
    assert [one.candidates[0][0].origin for one in (first, second, third)] == [
        "draft",
        "sample",
        "sample",
    ]
    assert len({one.drafts[0].text for one in (first, second, third)}) == 3


def test_closing_the_stream_in_any_phase_leaves_the_engine_usable(tiny: Engine) -> None:
    settings = replace(ALL, repairs=1)
    expected = run(tiny, settings)
    count, expected_last = len(expected), expected[-1]
    for stop in range(1, count):
        steps = tiny.infill(REQUEST)
        for _ in range(stop):
            next(steps)
        steps.close()  # type: ignore[attr-defined]
    found = run(tiny, settings)[-1]
    assert texts(found.candidates[0]) == texts(expected_last.candidates[0])


def test_rank_puts_what_parses_before_what_does_not(tiny: Engine) -> None:
    broken, sound = filling(tiny, "(1, 2"), filling(tiny, "(1, 2)")
    found = ranked(tiny, broken, sound)
    assert texts(found) == ["(1, 2)", "(1, 2"]
    assert found[0].faults == 0 and (found[1].faults or 0) > 0


def test_rank_without_veto_goes_by_likelihood(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda work, fillings: [-1.0, -2.0])
    both = filling(tiny, "(1, 2"), filling(tiny, "(1, 2)")
    assert texts(ranked(tiny, *both, decoding=replace(ALL, veto=False)))[0] == "(1, 2"
    assert texts(ranked(tiny, *both))[0] == "(1, 2)"


def test_rank_prefers_the_likelier_and_says_its_score(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda work, fillings: [-3.0, -1.0, -2.0])
    found = ranked(tiny, *(filling(tiny, text) for text in ("1", "2", "3")))
    assert texts(found) == ["2", "3", "1"]
    assert [one.score for one in found] == [-1.0, -2.0, -3.0]


def test_rank_puts_an_infill_without_an_end_behind(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda work, fillings: [-1.0, -2.0])
    assert texts(ranked(tiny, filling(tiny, "1", ended=False), filling(tiny, "2"))) == ["2", "1"]


def test_rank_puts_an_infill_that_goes_round_in_circles_behind(tiny: Engine) -> None:
    round_and_round = filling(tiny, "f(1)\ny = f(1)\ny = f(1)\ny = f(1)")
    straight = filling(tiny, "f(1)", ended=False)
    for pair in ((round_and_round, straight), (straight, round_and_round)):
        assert ranked(tiny, *pair)[0].draft.text == "f(1)"
    freely = replace(ALL, veto=False)
    order = [one.draft.text for one in ranked(tiny, round_and_round, straight, decoding=freely)]
    assert order[-1] == "f(1)"  # it has no end


def test_rank_keeps_one_of_equal_texts(tiny: Engine) -> None:
    found = ranked(tiny, filling(tiny, "1"), filling(tiny, "1", origin="draft"))
    assert texts(found) == ["1"] and found[0].origin == "canvas"


def test_score_is_the_mean_of_the_infill_and_of_what_follows(tiny: Engine) -> None:
    """Each part alone, and half of each; without a text behind, the infill's alone."""
    both = filling(tiny, "1"), filling(tiny, "foo(bar)")
    own, after, half = (
        {one.draft.text: one.score for one in ranked(tiny, *both, decoding=settings)}
        for settings in (replace(ALL, following=weight) for weight in (0.0, 1.0, 0.5))
    )
    for text in own:
        assert half[text] == pytest.approx((own[text] + after[text]) / 2, abs=1e-4)
        assert own[text] < 0 and after[text] < 0 and own[text] != after[text]


def test_repair_noises_only_what_is_broken_and_comes_back_as_a_candidate(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole that no canvas fills soundly is repaired twice at most; its sound part is a seed."""
    seeds: list[Any] = []
    made = starts.seed_canvas

    def seed_canvas(*args: Any, **more: Any) -> Any:
        seeds.append((more.get("places"), made(*args, **more)))
        return seeds[-1][1]

    monkeypatch.setattr(starts, "seed_canvas", seed_canvas)

    def faults(path: str, text: str, **more: bool) -> tuple[tuple[int, int], ...]:
        """At the front of whatever stands in the hole, but for words that fit."""
        word = text.removeprefix("x = 1\ny = ").removesuffix("\nz = 2\n")
        return () if word in ("", "pass", "None") else ((10, 11),)

    monkeypatch.setattr("dgedit_engine.decode.faults.faults", faults)
    steps = run(tiny, Decoding(repairs=2), REQUEST)
    repairs = [seed for places, seed in seeds if places]
    assert repairs and all(bool(seed.known.any()) for seed in repairs)
    assert not any(bool(seed.known.all()) for seed in repairs)
    assert "repaired" in {one.origin for one in steps[-1].candidates[0]}
    assert [step.phase for step in steps].index("repair") > 0


def test_sound_infill_is_not_repaired(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.faults.faults", lambda path, text, **more: ())
    plain = run(tiny, Decoding(), REQUEST)
    assert len(run(tiny, Decoding(repairs=2), REQUEST)) == len(plain)


def test_edit_nearby_starts_from_the_last_infill(tiny: Engine) -> None:
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    edited = InfillRequest((Passage("a.py", ("x = 2\ny = ", Hole(), "\nz = 2\n")),), steps=3)
    assert "warm" in {one.origin for one in run(tiny, settings, edited)[-1].candidates[0]}


def test_same_prompt_again_does_not_start_from_the_last_infill(tiny: Engine) -> None:
    """Asking again is asking for something else."""
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    again = run(tiny, settings, replace(REQUEST, seed=1))
    assert {one.origin for one in again[-1].candidates[0]} == {"canvas"}


def test_another_text_does_not_start_from_the_last_infill(tiny: Engine) -> None:
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    other = InfillRequest((Passage("b.py", ("class K:\n    ", Hole())),), steps=3)
    assert "warm" not in {one.origin for one in run(tiny, settings, other)[-1].candidates[0]}


def test_oracle_uses_the_slots_it_is_told(tiny: Engine) -> None:
    last = run(tiny, Decoding(slots=5))[-1]
    assert len(tiny.tokenizer.encode(last.drafts[0].text)) <= 5


@pytest.mark.parametrize(("effort", "count"), [(0.0, 2), (0.5, 4), (1.0, 8)])
def test_effort_decides_how_many_compete(effort: float, count: int) -> None:
    assert chosen(ALL, replace(REQUEST, effort=effort)).candidates == count
    assert chosen(Decoding(), replace(REQUEST, effort=effort)).candidates == 1
    assert chosen(ALL, replace(REQUEST, effort=effort, candidates=3)).candidates == 3


def test_text_that_is_partly_kept_is_not_drafted_anew() -> None:
    kept = InfillRequest((Passage("a.py", ("x = ", Hole("1"))),), strength=0.5)
    assert chosen(ALL, kept).origins == ("canvas",)
    assert chosen(ALL, replace(kept, strength=1.0)).origins == ALL.origins


def test_error_of_the_users_own_is_nobodys_fault(tiny: Engine) -> None:
    """It stands in the file whatever fills the hole: no veto, no repair."""
    passage = Passage("a.py", ("x = (1\ny = 2\ndef f(:\n    return ", Hole(), "\n"))
    asked = InfillRequest((passage,), steps=2)
    found = new_errors(asked, [["1"], ["f(2"]])
    assert found[0] == () and found[1] is not None
    assert new_errors(
        InfillRequest((Passage("a.py", ("x = ", Hole(), "\n")),)), [["("], [")"]]
    ) != [(), ()]


def test_whoever_stops_at_the_last_step_is_remembered_too(tiny: Engine) -> None:
    tiny.decoding = Decoding(warm=True)
    collect(tiny.infill(REQUEST))
    edited = InfillRequest((Passage("a.py", ("x = 2\ny = ", Hole(), "\nz = 2\n")),), steps=3)
    assert collect(tiny.infill(edited)).candidates[0][0].origin == "warm"


def test_warm_start_needs_as_many_holes_and_no_text_to_keep(tiny: Engine) -> None:
    settings = Decoding(warm=True)
    run(tiny, settings)
    two = InfillRequest(
        (Passage("a.py", ("x = ", Hole(), "\ny = ", Hole(), "\nz = 2\n")),), steps=2
    )
    assert run(tiny, settings, two)[-1].candidates[0][0].origin == "canvas"
    run(tiny, settings)
    kept = Passage("a.py", ("x = 2\ny = ", Hole("present"), "\nz = 2\n"))
    last = run(tiny, settings, InfillRequest((kept,), strength=0.3, steps=3))[-1]
    assert {one.origin for one in last.candidates[0]} == {"canvas"}


def test_small_canvases_are_for_a_lone_hole_without_text(tiny: Engine) -> None:
    settings = Decoding(candidates=3, canvases=(16,))
    parts: list[str | Hole] = ["a"]
    for number in range(8):
        parts += [Hole(), f"\nx{number} = "]
    assert run(tiny, settings, InfillRequest((Passage("a.py", tuple(parts)),), steps=2))
    texts = ("a = ", Hole("x = 1\n" * 8), "b = ", Hole("y = 2\n" * 8))
    assert run(tiny, settings, InfillRequest((Passage("a.py", texts),), strength=0.5, steps=2))


def test_canvas_that_settles_early_leaves_the_count_right(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One canvas settles at once, the other one stops at its own cap, below the first one's."""
    refine = loop.refine

    def refined(refiner: Any, starts: Any, *rest: Any) -> Iterator[list[Any]]:
        assert [start.first for start in starts] == [2, 5]
        for stands in islice(refine(refiner, starts, *rest), 2):
            yield [stands[0], replace(stands[1], settled=True)]

    monkeypatch.setattr(loop, "refine", refined)
    settings = Decoding(candidates=2, origins=("revised", "canvas"), revision=0.4)
    steps = run(tiny, settings, replace(REQUEST, steps=5))
    indices = [step.index for step in steps]
    assert indices == list(range(1, len(steps) + 1)) and steps[-1].last


@pytest.mark.parametrize("origins", [("draft",), ("sample",), ("draft", "canvas")])
def test_damaged_weights_are_said_whatever_is_tried(
    exact: Engine, origins: tuple[Origin, ...]
) -> None:
    exact.model.embedding[4000, 0] = torch.nan
    with pytest.raises(ModelError, match="logits are no finite numbers"):
        run(exact, Decoding(candidates=2, origins=origins))


def test_lone_candidate_is_scored_by_its_pieces(tiny: Engine) -> None:
    last = run(tiny, Decoding())[-1]
    assert last.candidates[0][0].score == last.score < 0


def test_hole_that_goes_on_keeps_the_other_candidates(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 2)
    assert len(run(tiny, Decoding(candidates=3))[-1].candidates[0]) == 3


def test_chat_candidates_end_before_their_closing(tiny: Engine) -> None:
    ids = tiny.tokenizer.encode("x = 1\n```\nand so on")
    kept = open_part(ids, tiny.tokenizer, "\n```")
    assert kept is not None
    assert "".join(piece.text for piece in tiny.tokenizer.pieces(ids[:kept])) == "x = 1"
    assert open_part(ids, tiny.tokenizer, None) is None
    assert open_part(ids[:kept], tiny.tokenizer, "\n```") is None


def test_nothing_worse_is_drawn_over_a_finished_draft(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canvas of noise came over the draft that was there."""
    monkeypatch.setattr("dgedit_engine.decode.faults.faults", lambda path, text, **more: ())
    settings = Decoding(candidates=2, origins=("draft", "canvas"))
    steps = run(tiny, settings)
    first = next(at for at, step in enumerate(steps) if step.phase == "refine")
    scores = [step.score for step in steps[first - 1 : -1]]
    assert first > 0 and len(scores) > 1
    assert all(after >= before for before, after in pairwise(scores))
