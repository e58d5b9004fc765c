"""The texts of a vocabulary in Gemma's way, and what may stand for a text that is half a token."""

from __future__ import annotations

import pytest

from dgedit_engine.prompt.tokenizer import Tokenizer
from small_base import BYTES, SPECIAL, tokenizer


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer()


def texts(words: Tokenizer, tokens: list[int]) -> list[str]:
    return ["".join(piece.text for piece in words.pieces([token])) for token in tokens]


def test_every_token_has_its_text_but_for_bytes(words: Tokenizer) -> None:
    found = {token: text for text, token in words.texts()}
    own = [token for token in range(len(words)) if token >= len(SPECIAL) and token in found]
    assert texts(words, own) == [found[token] for token in own]
    assert " return" in found.values() and "\t\t" in found.values()
    assert words.byte_tokens() == [words.id(name) for name in BYTES]
    assert sorted([*found, *words.byte_tokens()]) == list(range(len(words)))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("ret", {"r", "re", "ret", "retu", "retur", "return", "retr", "retry"}),
        (" r", {" ", " r", " re", " ret", " retu", " retur", " return"}),
        ("(", {"("}),
        ("日本", {"日", "日本"}),
        ("\t\t", {"\t", "\t\t"}),
        ("a日", {"a"}),
        ("語", set()),
        ("a語", set()),  # the rest of which would be bytes
        ("<e", {"<"}),  # and no mark
    ],
)
def test_what_may_stand_for_the_beginning_of_a_token(
    words: Tokenizer, text: str, right: set[str]
) -> None:
    found = words.beginning(text)
    assert len(found) == len(set(found))
    assert set(texts(words, found)) == right
    assert not {*words.byte_tokens(), *range(len(SPECIAL))} & set(found)


def test_whatever_is_taken_the_rest_can_be_said(words: Tokenizer) -> None:
    waiting, seen = [" return", "selfitems", "日本total"], set()
    while waiting:
        left = waiting.pop()
        tokens = words.beginning(left)
        assert tokens, left
        for text in texts(words, tokens):
            assert text.startswith(left) or left.startswith(text)
            if (rest := left[len(text) :]) and rest not in seen:
                seen.add(rest)
                waiting.append(rest)


def test_texts_side_by_side_read_as_alone(words: Tokenizer) -> None:
    many = ["", "def f():\n", "日本語😀", "\r\n\t"]
    assert words.encode_all(many) == [words.encode(one) for one in many]
    assert words.encode_all([]) == []
