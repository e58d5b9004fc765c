"""What a reader takes for one character is one."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.graphemes import left_end, left_of, right_of

ONES = [
    "👨‍👩‍👧",
    "🇫🇷",
    "e\u0301",
    "👍🏽",
    "\u1112\u1161\u11ab",
    "❤️",
    "1️⃣",
    "\r\n",
    "a",
    "한",
    "क्षि",
]
TEXTS = st.lists(st.sampled_from([*ONES, "🇩", "\u0301", "\u200d", "\n", " ", "\udcff"])).map(
    "".join
)


@pytest.mark.parametrize("one", ONES)
def test_one_character_is_one(one: str) -> None:
    text = f"x{one}y"
    assert right_of(text, 1) == 1 + len(one) == left_end(text, 1 + len(one))
    assert left_of(text, 1 + len(one)) == 1
    assert {left_end(text, at) for at in range(1, 1 + len(one))} == {1}


def test_ends_of_a_text() -> None:
    assert (right_of("", 0), left_of("", 0), left_end("", 0)) == (0, 0, 0)
    assert (right_of("e\u0301", 0), left_of("e\u0301", 2)) == (2, 0)


@given(TEXTS)
def test_boundaries_are_those_of_the_whole_text(text: str) -> None:
    ends = [0, *(match.end() for match in regex.finditer(r"\X", text))]
    for at in range(len(text) + 1):
        assert left_end(text, at) == max(end for end in ends if end <= at)
        assert right_of(text, at) == min((end for end in ends if end > at), default=len(text))


def test_endless_character_is_cut() -> None:
    text = "e" + "\u0301" * 100_000
    assert right_of(text, 50_000) > 50_000
    assert left_of(text, 100_001) < 100_001
