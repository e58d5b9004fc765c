"""How a begun word may go on: as the nearest words do."""

from __future__ import annotations

from time import process_time

import pytest

from dgedit.text.words import begun_at, endings


@pytest.mark.parametrize(
    ("line", "begun"),
    [
        ("foo", "foo"),
        ("a.ba", "ba"),
        ("x = _é1", "_é1"),
        ("cafe\u0301", "cafe\u0301"),
        ("a ", ""),
        ("", ""),
        ("a(", ""),
        ("  " + "x" * 100_000, "x" * 200),
    ],
)
def test_begun_word_ends_at_the_column(line: str, begun: str) -> None:
    assert begun_at(line + "tail", len(line)) == begun


def test_nearest_words_come_first_each_once() -> None:
    lines = ["value far", "valley vast", "val va valid va", "values valley", "vacant"]
    assert endings("va", (2, 6), [lines]) == ["l", "lid", "st", "lley", "lues", "lue", "cant"]


def test_begun_word_itself_is_none_of_them_and_letters_count_as_typed() -> None:
    assert endings("na", (0, 2), [["name", "Name NAME _name xname"]]) == []
    assert endings("Na", (0, 2), [["Na", "name Name"]]) == ["me"]
    assert endings("a+", (0, 2), [["a+", "aab a+b"]]) == ["b"]


def test_other_texts_come_last() -> None:
    assert endings("n", (0, 1), [["n", "", "", "near"], ["next", "near"], ["n"]]) == ["ear", "ext"]


def test_search_of_a_large_text_is_bounded() -> None:
    lines = [f"line {at} of the text, with some words in it" for at in range(200_000)]
    lines[100_000] = "zz"
    lines[0] = lines[-1] = "zzz"
    lines[99_000] = "zzzz"
    begun = process_time()
    assert endings("zz", (100_000, 2), [lines]) == ["zz"]
    assert process_time() - begun < 1
