"""One number for an infill and the text behind it: that of one plain pass over the whole."""

from __future__ import annotations

import pytest
import torch

from dgedit_engine.decode import joint
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.joint import AFTER, REPEATED, Scored, head, rows, scored
from dgedit_engine.decode.pool import Reader
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.head import Head
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.types import Hole, InfillRequest
from small_base import BOS, EOS, leaning, model, plainly, reader, request, tokenizer

TEXTS = ["a + b", "total", "a", "self.items(a, b)\n    return total", "日本😀 + 'x'"]


@pytest.fixture(scope="module", params=["cpu", "device"])
def opened(request: pytest.FixtureRequest) -> Reader:
    made = model(bias=leaning(tokenizer()))
    cache = KVCache(made.config, dtype=torch.float32)
    device = DeviceCache(made.config, device="cpu", dtype=torch.float32)
    return reader(made, cache if request.param == "cpu" else device)


def place(opened: Reader, asked: InfillRequest) -> Around:
    return around(asked, 0, (), opened.tokenizer, bos=BOS, context=1024)


def judged(opened: Reader, here: Around, texts: list[str]) -> list[Scored]:
    encode(opened.model, opened.cache, here.ids)
    behind = head(here.place.behind, opened.tokenizer)
    found = scored(opened.model, opened.tokenizer, opened.cache, here, texts, behind)
    return list(found)


ASKED = {
    "within a line": request("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n"),
    "in a word": request("def f(a):\n    tot", Hole(), "\n    return total\n"),
    "in brackets": request("x = f(", Hole(), ")\n"),
    "at the end": request("x = 1\n", Hole()),
    "at the start": request(Hole(), "\nx = 1\n"),
    "before white space": request("x = ", Hole(), "\n  \n"),
    "before bytes": request("x = '", Hole(), "😀語'\n"),
}


@pytest.mark.parametrize("name", ASKED)
def test_sum_is_that_of_one_plain_pass_over_the_whole(opened: Reader, name: str) -> None:
    here = place(opened, ASKED[name])
    behind = head(here.place.behind, opened.tokenizer)
    found = judged(opened, here, TEXTS)
    assert [one.text for one in found] == TEXTS
    for one in found:
        ids = opened.tokenizer.encode(here.forced + one.text + behind)
        ids += [] if here.place.behind else [EOS]
        known = plainly(opened.model, here.ids, ids)
        assert one.own + one.after == pytest.approx(sum(known), abs=1e-2)
        assert one.own + one.after == one.joint
        assert one.own < 0 and one.after < 0


def test_shares_are_those_of_the_text_and_of_what_is_behind(opened: Reader) -> None:
    here = place(opened, request("x = 1\n", Hole(), "\ny = 2\n"))
    one = judged(opened, here, ["a"])[0]
    known = plainly(opened.model, here.ids, opened.tokenizer.encode("a\ny = 2\n"))
    assert one.own == pytest.approx(known[0], abs=1e-3)
    assert one.after == pytest.approx(sum(known[1:]), abs=1e-2)


def test_candidates_do_not_see_each_other_and_keep_their_order(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place(opened, ASKED["in a word"])
    alone = [judged(opened, here, [text])[0] for text in TEXTS]
    monkeypatch.setattr(joint, "LOGITS", 7)
    for together in (640, 30, 1):
        monkeypatch.setattr(joint, "TOGETHER", together)
        for texts in (TEXTS, TEXTS[::-1]):
            found = judged(opened, here, texts)
            right = alone if texts is TEXTS else alone[::-1]
            assert [one.text for one in found] == texts
            for one, other in zip(found, right, strict=True):
                assert one.own == pytest.approx(other.own, abs=1e-3)
                assert one.after == pytest.approx(other.after, abs=1e-3)
                assert one.draft.pieces == other.draft.pieces


def test_no_more_tokens_are_read_together_than_are_planned(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint, "TOGETHER", 30)
    here = place(opened, ASKED["in a word"])
    sizes: list[int] = []
    read = joint._read
    monkeypatch.setattr(
        joint, "_read", lambda *given: sizes.append(sum(map(len, given[3]))) or read(*given)
    )
    lengths = [len(row) for row in rows(here, TEXTS, "\n", opened.tokenizer, EOS)]
    judged(opened, here, TEXTS)
    assert len(sizes) > 1 and max(sizes) <= max(30, *lengths)


@pytest.mark.parametrize("name", ASKED)
def test_pieces_join_to_the_candidate_s_text(opened: Reader, name: str) -> None:
    texts = [*TEXTS, "🇪🇪👩‍👩‍👧", "\n\n  x\t\ty", "a▁b"]
    for one in judged(opened, place(opened, ASKED[name]), texts):
        assert one.draft.text == one.text
        assert len(one.draft.pieces) == len(one.draft.confidence) == len(one.draft.settled)
        assert all(piece and "\ufffd" not in piece for piece in one.draft.pieces)
        assert all(0 <= sure <= 1 for sure in one.draft.confidence)
        assert all(one.draft.settled)
    assert one.draft.pieces == ("a▁b",)  # which the vocabulary would spell with a space


def test_character_of_several_tokens_is_one_piece_of_the_least_sure(opened: Reader) -> None:
    here = place(opened, request("x = 1\n", Hole(), "\n"))
    one = judged(opened, here, ["😀"])[0]
    known = plainly(opened.model, here.ids, opened.tokenizer.encode("😀"))
    assert one.draft.pieces == ("😀",) and len(known) == 4
    assert one.draft.confidence[0] == pytest.approx(torch.tensor(min(known)).exp().item(), rel=1e-2)
    assert one.own == pytest.approx(sum(known), abs=1e-2)


def test_what_is_forced_is_scored_and_not_shown(opened: Reader) -> None:
    here = place(opened, request("def f():\n    ret", Hole(), "\nx\n"))
    assert here.forced == "ret"
    one = judged(opened, here, ["urn a"])[0]  # one token with what is before it
    assert one.draft.pieces == ("urn", " a")
    known = plainly(opened.model, here.ids, opened.tokenizer.encode("return a\nx\n"))
    assert one.own + one.after == pytest.approx(sum(known), abs=1e-2)


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_drafts_end_lines_as_the_file_does(opened: Reader, newline: str) -> None:
    here = place(opened, request(f"x = 1{newline}", Hole(), f"{newline}y = 2{newline}"))
    one = judged(opened, here, ["a\n    b\n\nc"])[0]
    assert one.text == "a\n    b\n\nc"
    assert one.draft.text == one.text.replace("\n", newline)


def test_cache_is_left_with_the_prompt(opened: Reader) -> None:
    here = place(opened, ASKED["in a word"])
    first = judged(opened, here, TEXTS)
    assert opened.cache.ids == here.ids[:-1]
    assert [one.joint for one in judged(opened, here, TEXTS)] == [one.joint for one in first]


def test_head_of_what_is_behind_is_a_beginning_that_cuts_no_character(opened: Reader) -> None:
    words = opened.tokenizer
    assert head("", words) == ""
    assert head("\n  x", words) == "\n  x"
    long = "x1" * 200
    assert head(long, words) == long[:AFTER]
    for start in range(AFTER):
        found = head("x" * start + "😀" * 20, words)
        assert found == "x" * start + "😀" * ((AFTER - start) // 4)
    assert head("ab\ufffdcd", words) == "ab"
    assert head("a▁b", words) == "a▁b"


def test_token_that_the_head_lacks_is_no_silent_score() -> None:
    made = model()
    made.head = Head(made.embedding[:300], torch.arange(300), made.config.vocab)
    opened = reader(made)
    here = place(opened, request("\n", Hole(), "\n"))
    with pytest.raises(AssertionError, match="does not know"):
        judged(opened, here, ["z"])


def test_lines_that_stand_behind_pay_for_it(opened: Reader) -> None:
    here = place(opened, request("def f(a):\n    ", Hole(), "\n\ndef g(a):\n    return a\n"))
    texts = ["return a", "return a + 1", "return a\n    return a", "return a\n    x = 1"]
    found = judged(opened, here, texts)
    assert [one.repeats for one in found] == [True, False, True, False]
    for one in found:
        paid = REPEATED if one.repeats else 0.0
        assert one.joint == pytest.approx(one.own + one.after - paid)
