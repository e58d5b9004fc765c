"""Blanks: which character they are, and what they may become."""

from __future__ import annotations

import pytest

from dgedit.errors import UsageError
from dgedit.text.blanks import USUAL, Blanks, of_file, parsed, usual


@pytest.mark.parametrize(
    ("given", "letters"),
    [("", ""), ("1-4", "1234"), ("abca", "abc"), ("a-c1-2", "abc12"), ("-x", "-x"), ("x-", "x-")],
)
def test_alphabet_is_characters_and_ranges(given: str, letters: str) -> None:
    assert parsed("?", given) == Blanks("?", letters)


@pytest.mark.parametrize(
    ("blank", "alphabet", "words"),
    [
        ("??", "", "a blank is one character, not '??'"),
        ("", "", "a blank is one character, not ''"),
        ("\n", "", "a blank is one character"),
        (None, "1-9", "--alphabet goes with --blank"),
        (".", "9-1", "no range of characters: 9-1"),
        (".", "a\nb", "an alphabet is of characters that print"),
    ],
)
def test_unusable_blanks_are_refused(blank: str | None, alphabet: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parsed(blank, alphabet)


def test_file_kind_has_its_blank() -> None:
    assert usual("a/b.SUDOKU") == Blanks(".", "123456789") and usual("a.py") is None
    assert of_file(Blanks(USUAL), "p.faa").character == "?"
    assert of_file(Blanks(USUAL, "12"), "p.sdk") == Blanks(".", "12")
    assert of_file(Blanks("x"), "p.sdk") == Blanks("x")
    with pytest.raises(UsageError, match=r"a\.py has no blank of its kind"):
        of_file(Blanks(USUAL), "a.py")


def test_filled_blanks_are_put_among_the_bytes_that_were_there() -> None:
    blanks = Blanks("?")
    assert blanks.put("?\r\na\udcff?", "?\na\ufffd?", "1\nb\ufffd2") == "1\r\na\udcff2"
    assert blanks.put("?a", "?a", "1") is None
