"""Several infills for one request: where they come from, how they are ranked, what is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine import candidates as module
from dgedit_engine import work
from dgedit_engine.candidates import Filling, rank
from dgedit_engine.decoding import Decoding, load_decoding
from dgedit_engine.engine import Engine
from dgedit_engine.infill import chosen
from dgedit_engine.prompt import build
from dgedit_engine.types import Candidate, Hole, InfillRequest, ModelError, Origin, Passage, Step
from dgedit_engine.work import encode

ALL = Decoding(candidates=4, origins=("draft", "revised", "canvas", "sample"), canvases=(32, 16))
REQUEST = InfillRequest((Passage("a.py", ("x = 1\ny = ", Hole(), "\nz = 2\n")),), steps=3)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends: keep it from going on."""
    monkeypatch.setattr("dgedit_engine.work.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.causal.LONGEST", 12)


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
    found = rank(
        fillings,
        model=engine.model,
        tokenizer=engine.tokenizer,
        cache=engine.cache,
        prompt=prompt,
        request=REQUEST,
        decoding=decoding,
    )
    return [one.candidate for one in found]


def texts(found: list[Candidate]) -> list[str]:
    return [one.drafts[0].text for one in found]


def test_stream_of_all_origins_is_sound(tiny: Engine) -> None:
    steps = run(tiny, replace(ALL, repairs=2, warm=True))
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.index <= step.total for step in steps)
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    last = steps[-1]
    assert last.candidates[0].drafts == last.drafts and last.candidates[0].score == last.score
    assert len({tuple(d.text for d in one.drafts) for one in last.candidates}) == len(
        last.candidates
    )
    assert not any(step.candidates for step in steps[:-1])


def test_several_holes_in_two_files_have_candidates_too(tiny: Engine) -> None:
    passages = (
        Passage("a.py", ("x = ", Hole(), "\n", Hole(), "\n")),
        Passage("b.py", ("y = ", Hole(), "\n")),
    )
    steps = run(tiny, replace(ALL, repairs=1), InfillRequest(passages, steps=2))
    assert all(len(step.drafts) == 3 for step in steps)
    assert {len(one.drafts) for one in steps[-1].candidates} == {3}


def test_same_seed_gives_the_same_candidates(tiny: Engine) -> None:
    first, again = run(tiny, ALL)[-1], run(tiny, ALL)[-1]
    other = run(tiny, ALL, replace(REQUEST, seed=1))[-1]
    assert first.candidates == again.candidates
    assert {one.drafts for one in first.candidates} != {one.drafts for one in other.candidates}


def test_each_origin_is_tried(tiny: Engine) -> None:
    unranked = replace(ALL, ranked=False, veto=False, candidates=6)
    found = {one.origin for one in run(tiny, unranked)[-1].candidates}
    assert found == {"draft", "revised", "canvas", "sample"}


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
    assert texts([*found.candidates]) == texts([*expected_last.candidates])


def test_rank_puts_what_parses_before_what_does_not(tiny: Engine) -> None:
    broken, sound = filling(tiny, "(1, 2"), filling(tiny, "(1, 2)")
    found = ranked(tiny, broken, sound)
    assert texts(found) == ["(1, 2)", "(1, 2"]
    assert found[0].faults == 0 and (found[1].faults or 0) > 0


def test_rank_without_veto_goes_by_likelihood(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda fillings, *rest: [-1.0, -2.0])
    both = filling(tiny, "(1, 2"), filling(tiny, "(1, 2)")
    assert texts(ranked(tiny, *both, decoding=replace(ALL, veto=False)))[0] == "(1, 2"
    assert texts(ranked(tiny, *both))[0] == "(1, 2)"


def test_rank_prefers_the_likelier_and_says_its_score(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda fillings, *rest: [-3.0, -1.0, -2.0])
    found = ranked(tiny, *(filling(tiny, text) for text in ("1", "2", "3")))
    assert texts(found) == ["2", "3", "1"]
    assert [one.score for one in found] == [-1.0, -2.0, -3.0]


def test_rank_puts_an_infill_without_an_end_behind(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_scores", lambda fillings, *rest: [-1.0, -2.0])
    assert texts(ranked(tiny, filling(tiny, "1", ended=False), filling(tiny, "2"))) == ["2", "1"]


def test_rank_keeps_one_of_equal_texts(tiny: Engine) -> None:
    found = ranked(tiny, filling(tiny, "1"), filling(tiny, "1", origin="draft"))
    assert texts(found) == ["1"] and found[0].origin == "canvas"


def test_score_is_the_mean_of_the_infill_and_of_what_follows(tiny: Engine) -> None:
    """Each part alone, and half of each; without a text behind, the infill's alone."""
    both = filling(tiny, "1"), filling(tiny, "foo(bar)")
    own, after, half = (
        {one.drafts[0].text: one.score for one in ranked(tiny, *both, decoding=settings)}
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
    made = work.seed_canvas

    def seed_canvas(*args: Any, **more: Any) -> Any:
        seeds.append((more.get("places"), made(*args, **more)))
        return seeds[-1][1]

    monkeypatch.setattr(work, "seed_canvas", seed_canvas)
    monkeypatch.setattr(module, "faults", lambda path, text: ((6, 7),))  # always, at the front
    steps = run(tiny, Decoding(repairs=2), REQUEST)
    repairs = [seed for places, seed in seeds if places]
    assert repairs and all(bool(seed.known.any()) for seed in repairs)
    assert not any(bool(seed.known.all()) for seed in repairs)
    assert "repaired" in {one.origin for one in steps[-1].candidates}


def test_sound_infill_is_not_repaired(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "faults", lambda path, text: ())
    plain = run(tiny, Decoding(), REQUEST)
    assert len(run(tiny, Decoding(repairs=2), REQUEST)) == len(plain)


def test_edit_nearby_starts_from_the_last_infill(tiny: Engine) -> None:
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    edited = InfillRequest((Passage("a.py", ("x = 2\ny = ", Hole(), "\nz = 2\n")),), steps=3)
    assert "warm" in {one.origin for one in run(tiny, settings, edited)[-1].candidates}


def test_same_prompt_again_does_not_start_from_the_last_infill(tiny: Engine) -> None:
    """Asking again is asking for something else."""
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    again = run(tiny, settings, replace(REQUEST, seed=1))
    assert {one.origin for one in again[-1].candidates} == {"canvas"}


def test_another_text_does_not_start_from_the_last_infill(tiny: Engine) -> None:
    settings = Decoding(candidates=2, origins=("canvas",), warm=True)
    run(tiny, settings)
    other = InfillRequest((Passage("b.py", ("class K:\n    ", Hole())),), steps=3)
    assert "warm" not in {one.origin for one in run(tiny, settings, other)[-1].candidates}


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


@pytest.mark.parametrize(
    "values",
    [
        {"candidates": 0},
        {"candidates": 1.5},
        {"origins": []},
        {"origins": ["guess"]},
        {"revision": 2},
        {"following": -0.1},
        {"heat": 0},
        {"repairs": -1},
        {"canvases": [2]},
        {"unknown": 1},
        ["candidates"],
    ],
)
def test_unusable_setting_is_named(tmp_path: Path, values: Any) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"dgedit": values}))
    with pytest.raises(ModelError) as caught:
        load_decoding(tmp_path)
    name = values[0] if isinstance(values, list) else next(iter(values))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_settings_survive_the_file(tmp_path: Path) -> None:
    origins: list[Origin] = ["draft", "canvas"]
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"dgedit": {"candidates": 4, "origins": origins, "canvases": [32, 16]}})
    )
    expected = Decoding(candidates=4, origins=tuple(origins), canvases=(32, 16))
    assert load_decoding(tmp_path) == expected
    (tmp_path / "generation_config.json").unlink()
    assert load_decoding(tmp_path) == Decoding()
