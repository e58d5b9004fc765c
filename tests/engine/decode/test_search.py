"""The search for one hole's text: what is offered, judged, shown, and given up."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from dgedit_engine.decode import pool as pools
from dgedit_engine.decode import search as module
from dgedit_engine.decode.canvas_drafts import CanvasDrafts
from dgedit_engine.decode.cuts import cuts
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row
from dgedit_engine.decode.joint import Scored
from dgedit_engine.decode.pool import Pool, Reader, begin
from dgedit_engine.decode.search import search
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.fork import Fork
from dgedit_engine.model.head import Head
from dgedit_engine.types import Draft, Hole, InfillRequest, Phase
from small_base import CONFIG, leaning, model, plainly, reader, request, tokenizer

Shown = list[tuple[Draft, Phase]]
ASKED = {
    "within a line": request("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n"),
    "in a word": request("def f(a):\n    tot", Hole(), "\n    return total\n"),
    "in brackets": request("x = f(", Hole(), ")\n"),
    "lines": request("def f(a):\n", Hole(), "    return total\n"),
    "the whole file": request(Hole()),
    "at the end": request("x = 1\n", Hole()),
    "at the start": request(Hole(), "\nx = 1\n"),
    "before white space": request("x = ", Hole(), "\n  \n"),
    "other scripts": request("x = '日本語", Hole(), "😀語'\n"),
    "tabs": request("if a:\n\t\t", Hole(), "\n\treturn b\n"),
    "line ends": request("def f(a):\r\n    ", Hole(), "\r\n    return total\r\n"),
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for one in (module, pools):
        monkeypatch.setattr(one, "LONGEST", 24)
    monkeypatch.setattr(module, "_ROUND", 8)


@pytest.fixture(scope="module", params=["cpu", "device", "shortlist"])
def opened(request: pytest.FixtureRequest) -> Reader:
    made = model(bias=leaning(tokenizer()))
    if request.param == "shortlist":
        made.head = Head(made.embedding[:380], torch.arange(380), made.config.vocab)
    device = DeviceCache(made.config, device="cpu", dtype=torch.float32)
    cache = KVCache(made.config, dtype=torch.float32)
    return reader(made, device if request.param == "device" else cache)


def run(
    opened: Reader, asked: InfillRequest, *, rows: int = 4, seed: int = 0, heat: float = 0.8
) -> tuple[Pool, Shown]:
    pool = begin(opened, asked, 0, ())
    generator = torch.Generator().manual_seed(seed)
    settings = Decoding(candidates=rows, heat=heat)
    return pool, list(search(pool, asked, settings, generator))


@pytest.mark.parametrize("name", ASKED)
def test_candidates_are_ends_of_drafts_the_best_first(opened: Reader, name: str) -> None:
    pool, shown = run(opened, ASKED[name], rows=6)
    texts = [one.text for one in pool.best]
    assert texts and len(set(texts)) == len(texts)
    worth = [one.joint for one in pool.best]
    assert worth == sorted(worth, reverse=True)
    newline = "\r\n" if name == "line ends" else "\n"
    for one in pool.best:
        assert one.text.strip() and "\ufffd" not in one.text
        assert one.draft.text == one.text.replace("\n", newline)
        more = ("", "\n", "x", pool.around.place.behind)
        places = [cuts(one.text + each, pool.around.place) for each in more]
        end = replace(pool.around.place, behind="")
        assert len(one.text) in sum(places, cuts(one.text, end, ended=True))
    assert any(phase == "draft" for _, phase in shown) and shown[-1][0] == pool.best[0].draft


@pytest.mark.parametrize("name", ASKED)
def test_what_is_shown_never_gets_worse(opened: Reader, name: str) -> None:
    pool, shown = run(opened, ASKED[name], rows=6, seed=1)
    worth = {one.draft: one.joint for one in pool.best}
    found = [worth[draft] for draft, phase in shown if phase == "refine"]
    assert found == sorted(found) and (not pool.best or found[-1] == pool.best[0].joint)
    phases = [phase for _, phase in shown]
    assert phases == sorted(phases)  # drafts, then what is refined


def test_same_seed_finds_the_same_and_another_does_not(opened: Reader) -> None:
    asked = replace(ASKED["lines"], seed=1)
    runs = [run(opened, asked, rows=6, seed=seed)[0].best for seed in (3, 3, *range(4, 10))]
    texts = [[each.text for each in best] for best in runs]
    assert runs[0] == runs[1] and any(each != texts[0] for each in texts[2:])


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What drafts were asked for."""
    seen: list[dict[str, Any]] = []
    drafted = module.drafted

    def watched(*given: Any, **options: Any) -> Iterator[list[Row]]:
        seen.append({"ids": given[2], **options})
        return drafted(*given, **options)

    monkeypatch.setattr(module, "drafted", watched)
    return seen


def test_seed_0_has_the_likeliest_drafts_and_others_draw(
    opened: Reader, asked_for: list[dict[str, Any]]
) -> None:
    for seed in (0, 5):
        asked = request("x = ", Hole(), "\n\ny = 1\n", seed=seed)
        run(opened, asked, seed=seed)
    assert [one["generator"] is None for one in asked_for] == [True, False]


def test_shortlist_admits_the_text_s_own_tokens_and_keeps_them() -> None:
    made = model(bias=leaning(tokenizer()))
    made.head = Head(made.embedding[:380], torch.arange(380), made.config.vocab)
    opened = reader(made)
    own = opened.tokenizer.encode("日本")
    assert min(own) >= 380
    pool, _ = run(opened, request("日本 = 1\nx = ", Hole(), "\n日本\n"))
    assert (made.head.places(torch.tensor(own)) >= 0).all()
    beside = pool.tokens - set(range(380))
    assert {
        token for token in range(380, 512) if int(made.places(torch.tensor(token))) >= 0
    } == beside
    run(opened, request("x = ", Hole(), "\n"))
    assert (made.head.places(torch.tensor(own)) == -1).all()


def test_shortlist_that_has_all_finds_what_the_whole_does() -> None:
    found = []
    for listed in (False, True):
        made = model(bias=leaning(tokenizer()))
        if listed:
            made.head = Head(made.embedding, torch.arange(512), 512)
        pool, _ = run(reader(made), ASKED["lines"])
        found.append([(one.text, round(one.joint, 2)) for one in pool.best])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "strength", "offered"),
    [
        ("return a", 0.5, True),
        ("return a", 0.99, True),
        ("return a", 1.0, False),
        ("", 0.5, False),
        (" \n\t", 0.5, False),
        ("日本😀語▁x", 0.5, True),
        ("a\n\n\n", 0.5, True),  # as it is, whatever drafts may be
        ("x1" * 300, 0.5, False),  # longer than what is read together
    ],
)
def test_present_text_is_a_candidate_where_it_may_stay(
    opened: Reader, text: str, strength: float, offered: bool
) -> None:
    asked = request("def f(a):\n    ", Hole(text), "\n\nb = 1\n", strength=strength)
    pool, shown = run(opened, asked)
    assert any(one.draft.text == text for one in pool.best) == offered
    if offered:
        assert shown[0][0].text == text and shown[0][1] == "draft"


def test_present_text_keeps_its_line_ends(opened: Reader) -> None:
    text = "a = 1\r\n    b = 2"
    asked = request("def f(a):\r\n    ", Hole(text), "\r\n\r\nb = 1\r\n", strength=0.3)
    pool, _ = run(opened, asked)
    assert text in [one.draft.text for one in pool.best]


def test_good_present_text_is_not_replaced(opened: Reader) -> None:
    best = run(opened, ASKED["within a line"], rows=8)[0].best[0]
    before, _, behind = ASKED["within a line"].passages[0].parts
    assert isinstance(before, str) and isinstance(behind, str)
    asked = request(before, Hole(best.text), behind, strength=0.5)
    pool, _ = run(opened, asked, rows=2, seed=9)
    assert pool.best[0].joint >= best.joint - 1e-3


def test_drafts_that_cannot_come_first_are_given_up(opened: Reader) -> None:
    pool = begin(opened, ASKED["at the end"], 0, ())
    words = opened.tokenizer
    assert pool.judge(dict.fromkeys(("a\n", "b\n", "b\nb\n"), 0.0))
    assert not pool.judge({"a\n": 0.0})
    best, after = pool.best[0], max(-module._USUAL, *(one.after for one in pool.best))

    def given_up(text: str, own: float, *, over: bool = False) -> bool:
        row = Row(ids=words.encode(text), own=[own], over=over)
        module._give_up(pool, [row])
        return row.over

    for one in pool.best:  # what it has written is judged already
        begun = [each for each in pool.best if (one.text + "x").startswith(each.text)]
        own = max(begun, key=lambda each: len(each.text)).own
        assert given_up(one.text + "x", -99.0) == (own + after <= best.joint)
    # a long first line may yet be it
    assert not given_up("total", best.joint - after + 0.1)
    assert given_up("total", best.joint - after - 0.1)
    assert given_up("total", 0.0, over=True)


def test_only_the_likeliest_go_on(opened: Reader) -> None:
    pool = begin(opened, ASKED["at the end"], 0, ())
    ids = opened.tokenizer.encode("total")
    rows = [Row(ids=ids, own=[-0.01 * (place * 7 % 10)]) for place in range(10)]
    module._give_up(pool, rows)
    assert not any(row.over for row in rows)  # nothing is better yet
    pool.judge({"a\n": 0.0})
    module._give_up(pool, rows)
    going = sorted(-row.own[0] for row in rows if not row.over)
    assert going == pytest.approx([0.0, 0.01, 0.02, 0.03])


def test_endings_are_worth_no_more_than_their_tokens_say() -> None:
    opened = reader()
    for name, asked in ASKED.items():
        pool = begin(opened, asked, 0, ())
        row = Row(ids=opened.tokenizer.encode(pool.around.forced + "total + a\nb"))
        row.own = plainly(opened.model, pool.around.ids, row.ids)
        endings = dict(module._endings(pool, row))
        pool.judge(dict.fromkeys(endings, 0.0))
        worth = {one.text: one.own for one in pool.best}
        for text, most in endings.items():
            assert worth[text] <= most + 1e-2, name


def test_candidate_that_cannot_be_among_the_best_is_not_read(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scored = pools.scored

    def watched(*given: Any) -> Iterator[Scored]:
        read.extend(given[4])
        return scored(*given)

    monkeypatch.setattr(pools, "scored", watched)
    monkeypatch.setattr(pools, "_RANKED", 2)
    pool = begin(opened, ASKED["at the end"], 0, ())
    pool.judge({"a\n": 0.0, "b\n": -0.5, "total\n": -0.6, "x\n": -99.0})
    assert read[:2] == ["a\n", "b\n"] and "x\n" not in read
    least = pool.best[1].joint
    pool.judge({"y\n": least - 1.1, "z\n": least - 0.9})
    assert read[-1] == "z\n" and "y\n" not in read
    assert pool.seen >= {"x\n", "y\n", "z\n"}
    assert not pool.judge({"y\n": 0.0}) and "y\n" not in read


def test_line_longer_than_some_rounds_is_found(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROUND", 4)
    text = opened.tokenizer.encode(" self.items(a + b + total + a + b + total)\n")

    def drafted(*given: Any, **options: Any) -> Iterator[list[Row]]:
        rows = [Row()]
        for token in text:
            rows[0].ids.append(token)
            rows[0].own.append(-0.1)
            yield rows

    assert begin(opened, ASKED["before white space"], 0, ()).around.forced == " "
    monkeypatch.setattr(module, "drafted", drafted)
    pool, _ = run(opened, ASKED["before white space"])
    assert [one.text for one in pool.best] == ["self.items(a + b + total + a + b + total)"]


def test_row_whose_beginning_is_not_said_is_no_candidate(opened: Reader) -> None:
    pool = begin(opened, ASKED["in a word"], 0, ())
    assert pool.around.forced == "tot"
    ids = opened.tokenizer.encode("total\n")
    assert [text for text, _ in module._endings(pool, Row(left="t", ids=ids))] == []
    assert [text for text, _ in module._endings(pool, Row(ids=ids))] == ["al"]


def test_candidates_do_not_leave_their_block(opened: Reader) -> None:
    pool = begin(opened, request("def f():\n    ", Hole(), "\n\n\nx\n"), 0, ())
    row = Row(ids=opened.tokenizer.encode("a\n    b\nc\nd\n"))
    assert [text for text, _ in module._endings(pool, row)] == ["a", "a\n    b"]


def test_half_a_character_is_neither_shown_nor_a_candidate(opened: Reader) -> None:
    pool = begin(opened, request("x = ", Hole(), "\n"), 0, ())
    smile = opened.tokenizer.encode("😀")
    row = Row(ids=[*opened.tokenizer.encode(" a"), *smile[:2]], own=[-1.0] * 3)
    assert pool.around.forced == " "
    assert pool.shown(row).pieces == ("a",)
    row.ids += smile[2:]
    row.own += [-1.0] * 2
    assert pool.shown(row).pieces == ("a", "😀")
    broken = [*opened.tokenizer.encode(" a"), *smile[:2], *opened.tokenizer.encode("\nb\n")]
    assert [text for text, _ in module._endings(pool, Row(ids=broken))] == []


def test_draft_that_is_over_is_shown_up_to_where_it_may_end(opened: Reader) -> None:
    pool = begin(opened, request("x = f(", Hole(), ")\n"), 0, ())
    ids = opened.tokenizer.encode("(a, b)\nc")
    row = Row(ids=ids, own=[-0.5] * len(ids))
    assert pool.shown(row).text == "a, b)\nc"
    row.over = True
    assert pool.shown(row).text == "a, b)"
    assert not any(pool.shown(row).settled)


def test_canvases_are_candidates_where_a_model_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = Draft(("total",), (0.5,), (False,))

    def refined(*given: Any, **options: Any) -> Iterator[CanvasDrafts]:
        assert given[3] == given[4].ids and options["greedy"]
        yield CanvasDrafts([], draft)
        yield CanvasDrafts(["    total = a\n"], draft)

    monkeypatch.setattr(module, "refined", refined)
    asked = ASKED["at the end"]
    runs: dict[tuple[bool, bool], tuple[Pool, Shown]] = {}
    for has, wanted in ((False, True), (True, False), (True, True)):
        made = model(replace(CONFIG, conditioned=has), bias=leaning(tokenizer()))
        made.requires_grad_(False)
        assert made.canvas == has
        pool = begin(reader(made), asked, 0, ())
        generator = torch.Generator().manual_seed(0)
        shown = list(search(pool, asked, Decoding(candidates=4, canvas=wanted), generator))
        runs[has, wanted] = pool, shown
    assert runs[False, True][1] == runs[True, False][1]
    pool, shown = runs[True, True]
    assert shown[:2] == [(draft, "draft")] * 2
    assert shown[2] == (next(one.draft for one in pool.best if "total = a" in one.text), "refine")
    assert pool.best[0].joint >= runs[True, False][0].best[0].joint


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_memory_of_drafts_is_free_when_a_search_ends(opened: Reader, steps: int) -> None:
    """Drafts knew what wrote them, which knew them: their keys stayed until Python looked for such
    circles, 10 MB and more a request of nano.
    """
    pool = begin(opened, ASKED["lines"], 0, ())
    gc.collect()
    gc.disable()
    try:
        under_way = search(pool, ASKED["lines"], Decoding(candidates=4), torch.Generator())
        taken = [one for one, _ in zip(under_way, range(steps), strict=False)]
        held = [one for one in gc.get_objects() if type(one) is module.Drafts]
        assert taken and bool(held) is (steps < 1000)
        del held
        under_way.close()
        assert not [one for one in gc.get_objects() if type(one) in (module.Drafts, Fork)]
    finally:
        gc.enable()
