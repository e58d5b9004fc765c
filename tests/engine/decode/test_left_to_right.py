"""Requests filled from left to right: steps, several holes, cancelling, candidates, counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from dgedit_engine.decode import joint
from dgedit_engine.decode import search as module
from dgedit_engine.decode.certainty import FEATURES, Certainty
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.left_to_right import fill
from dgedit_engine.decode.pool import Reader, begin
from dgedit_engine.decode.starts import Memory
from dgedit_engine.infill import infill
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.types import OFFERED, Hole, InfillRequest, Passage, Step, collect
from small_base import EOS, leaning, model, reader, request, tokenizer

ONE = request("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n", path="a.py")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 24)
    monkeypatch.setattr(module, "_ROUND", 8)


@pytest.fixture
def opened() -> Reader:
    return reader()


def run(opened: Reader, asked: InfillRequest, *, rows: int = 6) -> Iterator[Step]:
    generator = torch.Generator().manual_seed(asked.seed)
    return fill(opened, asked, Decoding(candidates=rows), generator)


def asked_of_engine(opened: Reader, asked: InfillRequest, **options: Any) -> list[Step]:
    """As an engine asks."""
    decoding = Decoding(candidates=options.pop("rows", 4))
    given = (opened.model, opened.tokenizer, opened.cache, Sampling(), asked)
    return list(infill(*given, decoding=decoding, memory=Memory(), **options))


def test_last_step_has_the_best_candidate_and_the_others(opened: Reader) -> None:
    steps = list(run(opened, ONE))
    last = steps[-1]
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.index <= step.total for step in steps)
    assert (
        last.drafts == (last.candidates[0][0].draft,) and last.score == last.candidates[0][0].score
    )
    assert last.stopped == "settled" and all(last.drafts[0].settled)
    assert 1 < len(last.candidates[0]) <= OFFERED
    texts = ["".join(one.draft.text.split()) for one in last.candidates[0]]
    assert len(set(texts)) == len(texts) and all(texts)
    assert {one.origin for one in last.candidates[0]} == {"draft"}
    assert collect(iter(steps)).texts == (last.drafts[0].text,)


def test_fewer_syntax_errors_come_first(opened: Reader) -> None:
    faults = [one.faults for one in list(run(opened, ONE, rows=12))[-1].candidates[0]]
    assert None not in faults and faults == sorted(faults, key=lambda one: one or 0)


def test_passes_are_counted(opened: Reader) -> None:
    before = opened.model.forwards
    steps = list(run(opened, ONE))
    assert steps[-1].forwards == opened.model.forwards - before
    counts = [step.forwards for step in steps]
    assert counts == sorted(counts) and counts[0] > 0


def test_same_seed_gives_the_same_steps_and_another_does_not(opened: Reader) -> None:
    one, same, other = (list(run(opened, replace(ONE, seed=seed))) for seed in (1, 1, 2))
    drafts = [[step.drafts for step in steps] for steps in (one, same, other)]
    assert drafts[0] == drafts[1] != drafts[2]
    alone = list(run(reader(), replace(ONE, seed=1)))
    assert [step.drafts for step in alone] == drafts[0]


@pytest.mark.parametrize("taken", [1, 2, 3, 5])
def test_closed_stream_leaves_the_cache_usable(opened: Reader, taken: int) -> None:
    other = request("x = ", Hole(), "\n\ny = total\n")
    right = list(run(reader(), other))[-1]
    steps = run(opened, ONE)
    for _ in range(taken):
        next(steps, None)
    before = opened.model.forwards
    steps.close()  # type: ignore[attr-defined]
    assert opened.model.forwards == before
    found = list(run(opened, other))[-1]
    assert [one.draft.text for one in found.candidates[0]] == [
        one.draft.text for one in right.candidates[0]
    ]
    assert found.score == pytest.approx(right.score, abs=1e-3)


def test_steps_come_every_few_tokens(opened: Reader) -> None:
    """So that closing the stream is heard soon, also while nothing better is found."""
    counts = [0, *(step.forwards for step in run(opened, ONE, rows=3))]
    gaps = [after - before for before, after in pairwise(counts)]
    assert max(gaps[1:]) <= 2 * module._SHOWN_EVERY + 4


@pytest.mark.parametrize(
    "asked",
    [
        request("a = ", Hole(), "\nb = ", Hole(), "\nc = ", Hole(), "\n", path="a.py"),
        request("f(", Hole(), Hole(), ")\n"),
        request(Hole(), "\n", Hole()),
        InfillRequest((Passage("a.py", ("x = ", Hole(), "\n")), Passage("b.py", (Hole(), "y\n")))),
    ],
)
def test_holes_are_filled_one_after_another(opened: Reader, asked: InfillRequest) -> None:
    steps = list(run(opened, asked))
    count = len(asked.holes)
    assert all(len(step.drafts) == count for step in steps)
    begun = [sum(bool(draft.text) for draft in step.drafts) for step in steps]
    assert begun[0] <= 1 and begun[-1] == count
    assert len(steps[-1].candidates) == count
    for offered in steps[-1].candidates:
        assert len({one.draft.text for one in offered}) == len(offered) > 0


def test_hole_is_filled_behind_what_was_chosen_before(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def watched(*given: Any) -> Any:
        pool = begin(*given)
        seen.append(pool.around.place.before)
        return pool

    monkeypatch.setattr("dgedit_engine.decode.whole_lines.begin", watched)
    asked = request("a = ", Hole(), "\r\nb = ", Hole(), "\r\n")
    last = list(run(opened, asked))[-1]
    first = last.drafts[0].text.replace("\r\n", "\n")
    assert seen == ["a = ", f"a = {first}\nb = "]


def test_no_candidate_is_no_text() -> None:
    words = tokenizer()
    bias = leaning(words)
    lines = [token for token in range(len(words)) if "\n" in words.pieces([token])[0].text]
    bias[[EOS, *lines]] = -30.0  # neither a line's end nor the text's
    steps = list(run(reader(model(bias=bias)), request("x = ", Hole(), "\n")))
    last = steps[-1]
    assert last.stopped == "cap" and last.last
    assert [draft.text for draft in last.drafts] == [""] and last.drafts[0].pieces == ()
    assert [[one.draft for one in hole] for hole in last.candidates] == [[*last.drafts]]
    assert any(step.drafts[0].text for step in steps[:-1])  # which was shown on the way


def test_empty_lines_alone_are_no_text_and_end_soon() -> None:
    bias = leaning(tokenizer())
    bias[tokenizer().encode("\n")] = 30.0
    steps = list(run(reader(model(bias=bias)), request("x = 1\n", Hole())))
    assert steps[-1].stopped == "cap" and steps[-1].forwards < 24


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_drafts_end_lines_as_the_text_around(opened: Reader, newline: str) -> None:
    parts = [one.replace("\n", newline) for one in ("def f(a):\n", "    return total\n")]
    steps = list(run(opened, request(parts[0], Hole(), parts[1]), rows=12))
    texts = [draft.text for step in steps for draft in step.drafts]
    texts += [one.draft.text for one in steps[-1].candidates[0]]
    assert any(newline in text for text in texts)
    for text in texts:
        assert "\n" not in text.replace(newline, "") and "\r" not in text.replace(newline, "")


@pytest.mark.parametrize("wanted", [1, 2, 9])
def test_as_many_are_drafted_and_offered_as_are_asked_for(
    opened: Reader, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    drafted = module.drafted

    def watched(*given: Any, **options: Any) -> Any:
        rows.append(options["rows"])
        return drafted(*given, **options)

    monkeypatch.setattr(module, "drafted", watched)
    last = asked_of_engine(opened, replace(ONE, candidates=wanted), rows=4)[-1]
    assert sum(rows) == max(4, wanted)
    assert len(last.candidates[0]) <= wanted and (wanted > 2 or len(last.candidates[0]) == wanted)


def test_strength_0_leaves_the_text_and_reads_nothing(opened: Reader) -> None:
    before = opened.model.forwards
    asked = request("x = ", Hole("日本😀▁"), "\n", strength=0.0)
    (step,) = asked_of_engine(opened, asked)
    assert (step.drafts[0].text, step.stopped) == ("日本😀▁", "unchanged")
    assert opened.model.forwards == before


def test_present_text_competes_below_strength_1(opened: Reader) -> None:
    asked = request("def f(a):\n    return ", Hole("total + b"), "\n", strength=0.5, path="a.py")
    steps = asked_of_engine(opened, replace(asked, candidates=9))
    assert steps[0].drafts[0].text == "total + b"
    texts = [one.draft.text for one in steps[-1].candidates[0]]
    assert "total + b" in texts
    steps = asked_of_engine(opened, replace(asked, strength=1.0, candidates=9))
    assert "total + b" not in [one.draft.text for one in steps[-1].candidates[0]]


def test_effort_is_the_number_of_drafts(opened: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    drafted = module.drafted

    def watched(*given: Any, **options: Any) -> Any:
        rows.append(options["rows"])
        return drafted(*given, **options)

    monkeypatch.setattr(module, "drafted", watched)
    for effort, right in ((0.0, 4), (0.5, 8), (1.0, 16)):
        rows.clear()
        asked_of_engine(opened, replace(ONE, effort=effort), rows=8)
        assert sum(rows) == right


def test_model_without_a_beginning_or_text_starts_from_an_end() -> None:
    made = model(bias=leaning(tokenizer()))
    made.config = replace(made.config, bos=None)
    opened = reader(made)
    asked = request(Hole(), "\nx = 1\n")
    assert list(run(opened, asked))[-1].last
    assert begin(opened, asked, 0, ()).around.ids[0] == EOS


def test_hundreds_of_lines_around_are_read_within_the_context(opened: Reader) -> None:
    lines = "".join(f"x{number} = total + {number}\n" for number in range(500))
    last = list(run(opened, request(lines, Hole(), lines), rows=3))[-1]
    assert last.last and len(opened.cache) <= 1025
    assert isinstance(opened.cache, KVCache) and joint.TOGETHER < 1025


def test_words_and_other_files_change_what_is_drafted(opened: Reader) -> None:
    plain = list(run(opened, ONE))[-1].score
    told = list(run(opened, replace(ONE, instruction="say it twice")))[-1].score
    more = Passage("b.py", ("def total(a, b):\n    return a + b\n",))
    beside = list(run(opened, replace(ONE, passages=(*ONE.passages, more))))[-1].score
    assert len({plain, told, beside}) == 3


def test_best_so_far_comes_with_what_is_known_of_it(opened: Reader) -> None:
    """Whoever has no more time takes it, and must know whether it may be written."""
    asked = request("def f(a):\n    return ", Hole(), "\n\n\nx = ", Hole(), "\n", path="a.py")
    weights = Certainty(0.0, dict.fromkeys(FEATURES, 0.0))
    steps = list(run(replace(opened, certainty=weights), asked, rows=12))
    known = [step for step in steps[:-1] if any(step.candidates)]
    assert known and not any(steps[0].candidates)
    for step in steps[:-1]:
        for draft, own in zip(step.drafts, step.candidates, strict=True):
            assert len(own) <= 1
            for one in own:
                assert one.draft == draft and one.faults is not None
                assert one.certainty in ((0.0,) if one.breaks else (0.5, 0.05))
    complete = [step.candidates[0][0].faults for step in known]
    assert all(after <= before for before, after in pairwise(complete))
