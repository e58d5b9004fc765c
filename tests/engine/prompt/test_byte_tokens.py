"""Tokens that are runs of bytes: their texts, and where a prompt of them may end."""

from __future__ import annotations

from typing import Any

import pytest

from byte_base import SPECIAL, tokenizer
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole
from small_base import request


@pytest.fixture(scope="module", params=["smollm", "qwen2", "llama-bpe"])
def words(request: pytest.FixtureRequest) -> Tokenizer:
    return tokenizer(request.param)


def said(words: Tokenizer, ids: list[int]) -> str:
    return "".join(piece.text for piece in words.pieces(ids))


def found(words: Tokenizer, before: str, behind: str = "\n\nb = 2\n", **options: Any) -> Around:
    return around(request(before, Hole(), behind), 0, (), words, bos=0, context=1024, **options)


def own(words: Tokenizer, one: Around) -> list[int]:
    """The part of a prompt that stands before the hole."""
    joint = words.encode("\n\nb = 2\n") + words.encode("\n\n\n\n")
    assert one.ids[: 1 + len(joint)] == [0, *joint]
    return one.ids[1 + len(joint) :]


def test_every_token_has_its_text_but_for_parts_of_characters(words: Tokenizer) -> None:
    found = {token: text for text, token in words.texts()}
    for token in range(len(SPECIAL), len(words)):
        text = said(words, [token])
        assert (found.get(token) == text) == ("\ufffd" not in text)
    assert sorted([*found, *words.byte_tokens()]) == list(range(len(words)))
    assert {"    ", "\n   ", " def"} <= set(found.values())
    assert any("語" in text for text in found.values())


def test_what_may_stand_for_the_beginning_of_a_token(words: Tokenizer) -> None:
    texts = {said(words, [token]) for token in words.beginning("\n    ")}
    assert {"\n", "\n   ", "\n       "} <= texts
    assert all("\n    ".startswith(one) or one.startswith("\n    ") for one in texts)
    assert not {words.id(one) for one in SPECIAL} & set(words.beginning("<"))


@pytest.mark.parametrize(
    "before", ["def f():\n    ", "def f():\n", "x = ", "a\n\n", "\t", "if x:\n\t"]
)
@pytest.mark.parametrize("text", ["return 1", "x", "for a in b:", "(", "'a'", "  deeper"])
def test_prompt_ends_where_any_text_leaves_its_tokens(
    words: Tokenizer, before: str, text: str
) -> None:
    one = found(words, before)
    prompt = own(words, one)
    assert said(words, prompt) + one.forced == before
    whole = words.encode(before + text)
    assert whole[: len(prompt)] == prompt
    # and the draft has tokens for what is forced, in the very spelling
    left, place = one.forced, len(prompt)
    while left:
        assert whole[place] in words.beginning(left), (before, text)
        left = left[len(said(words, [whole[place]])) :]
        place += 1


@pytest.mark.parametrize(("before", "forced"), [("def f():\n    ret", "ret"), ("x = tot", "tot")])
def test_a_word_that_is_cut_is_given_back(words: Tokenizer, before: str, forced: str) -> None:
    one = found(words, before)
    assert one.forced and forced.endswith(one.forced.lstrip()) and before.endswith(one.forced)
    assert said(words, own(words, one)) + one.forced == before


def test_part_of_a_character_is_not_given_back(words: Tokenizer) -> None:
    one = found(words, before := "x = '😀")
    assert one.forced == "" and said(words, own(words, one)) == before


def test_hole_at_the_start_has_an_empty_prompt(words: Tokenizer) -> None:
    one = found(words, "")
    assert (own(words, one), one.forced) == ([], "")
