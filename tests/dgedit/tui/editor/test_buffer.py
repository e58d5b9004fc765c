"""The buffer gives its text back exactly, before and after any edit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.document._document import Location

from dgedit.text.cells import row_count, width_of
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import syntax_of

NASTY = "a\r\nb\n\rc\x0bd\x0ce\x85f\u2028g\n\n\r\r\nlast \udcff\x1b[0m"
PIECES = ["", "", "x", "\r\n", "\r", "def f():\n\tpass\n", "é\udc80", "\u2028", "\x0c", '"""', "你"]


@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\n", "\r", "\r\n", "a\u2028", NASTY, NASTY + "\n"]
)
def test_text_is_exact(text: str) -> None:
    buffer = Buffer(text)
    buffer.replace_range((0, 0), (0, 0), "x")
    buffer.replace_range((0, 0), (0, 1), "")
    assert buffer.text == text


def test_lines_end_where_a_document_says() -> None:
    assert Buffer("a\x0bb\r\nc\u2028d\re\x85\n").lines == ["a\x0bb", "c\u2028d", "e\x85", ""]


def test_index_and_location_are_inverse() -> None:
    buffer = Buffer(NASTY)
    for row, line in enumerate(buffer.lines):
        for column in range(len(line) + 1):
            index = buffer.index((row, column))
            assert buffer.location(index) == (row, column)
            assert NASTY[index:].startswith(line[column:])


@pytest.mark.parametrize("seed", range(4))
def test_edits_are_those_of_a_string(seed: int) -> None:
    dice = random.Random(seed)
    text = NASTY * dice.choice([1, 40])
    buffer = Buffer(text, syntax=syntax_of(Path("x.py")))
    for _ in range(200):
        near = dice.randint(0, len(text))
        one, two = sorted(
            buffer.index(buffer.location(index))
            for index in (near, min(len(text), near + dice.choice([0, 0, 1, 30])))
        )
        new = dice.choice(PIECES)
        before = text[one:two]
        result = buffer.replace_range(buffer.location(one), buffer.location(two), new)
        text = text[:one] + new + text[two:]
        assert result.replaced_text == before
        assert buffer.text == text
        assert buffer.length == len(text)
        assert buffer.index(result.end_location) == one + len(new)
        assert buffer.get_text_range((0, 0), buffer.end) == text


def test_measures_after_edits_are_those_of_the_new_lines() -> None:
    dice = random.Random(0)
    buffer = Buffer(NASTY * 40)
    buffer.get_size(4), buffer.row_counts(3, 4)
    for _ in range(200):
        rows = sorted(dice.randint(0, buffer.line_count) for _ in range(2))
        row = min(rows[0] + dice.randint(0, 3), rows[1])
        buffer.replace_range((rows[0], 1), (row, 2), dice.choice(PIECES))
        assert buffer.get_size(4).width == max(width_of(line, 4) for line in buffer.lines)
        counts = buffer.row_counts(3, 4)
        every = [row_count(line, 3, 4) for line in buffer.lines]
        assert [counts[i] for i in range(len(counts))] == every
    assert buffer.get_size(8).width == max(width_of(line, 8) for line in buffer.lines)


def test_width_is_that_of_what_is_shown() -> None:
    assert Buffer("\ta\x1b你\n").get_size(4).width == 4 + 1 + cell_len("␛") + 2


@given(
    st.lists(st.sampled_from(["", "a", "bc"]), min_size=1, max_size=6).map("\n".join),
    st.tuples(st.integers(0, 6), st.integers(0, 3)),
    st.tuples(st.integers(0, 6), st.integers(0, 3)),
    st.sampled_from(["", "x", "\n", "x\ny", "\n\n"]),
)
def test_marks_stay_with_the_lines_around_an_edit(
    text: str, start: Location, end: Location, new: str
) -> None:
    buffer = Buffer(text)
    count = buffer.line_count
    buffer.marks = bytearray(range(1, count + 1))
    (top, _), (bottom, _) = sorted(buffer.location(buffer.index(at)) for at in (start, end))
    buffer.replace_range(start, end, new)
    assert len(buffer.marks) == buffer.line_count
    below = count - bottom - 1
    assert [*buffer.marks[:top]] == [*range(1, top + 1)]
    assert [*buffer.marks[len(buffer.marks) - below :]] == [*range(bottom + 2, count + 1)]
    assert set(buffer.marks) <= {0, *range(1, count + 1)}
