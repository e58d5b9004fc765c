"""The buffer gives its text back exactly, before and after any edit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dgedit.tui.buffer import Buffer, syntax_of

NASTY = "a\r\nb\n\rc\x0bd\x0ce\x85f\u2028g\n\n\r\r\nlast \udcff\x1b[0m"


@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\n", "\r", "\r\n", "a\u2028", NASTY, NASTY + "\n"]
)
def test_text_is_exact(text: str) -> None:
    assert Buffer(text).text == text


def test_lines_end_where_a_document_says() -> None:
    assert Buffer("a\x0bb\r\nc\u2028d\re\x85\n").lines == ["a\x0bb", "c\u2028d", "e\x85", ""]


def test_index_and_location_are_inverse() -> None:
    buffer = Buffer(NASTY)
    for row, line in enumerate(buffer.lines):
        for column in range(len(line) + 1):
            index = buffer.index((row, column))
            assert buffer.location(index) == (row, column)
            assert NASTY[index:].startswith(line[column:])


def test_edits_are_those_of_a_string() -> None:
    dice = random.Random(0)
    syntax = syntax_of(Path("x.py"), "")
    text = NASTY
    buffer = Buffer(text, syntax=syntax)
    said: list[tuple[int, int, int]] = []
    buffer.edited = lambda start, end, length: said.append((start, end, length))
    for _ in range(300):
        one, two = sorted(
            buffer.index(buffer.location(dice.randint(0, len(text)))) for _ in range(2)
        )
        new = dice.choice(["", "x", "\r\n", "def f():\n\tpass\n", "é\udc80", "\u2028"])
        before = text[one:two]
        result = buffer.replace_range(buffer.location(one), buffer.location(two), new)
        text = text[:one] + new + text[two:]
        assert result.replaced_text == before
        assert buffer.text == text
        assert said[-1] == (one, two, len(new))
        assert buffer.index(result.end_location) == one + len(new)
        buffer.highlights(0, buffer.line_count)


def test_highlights_after_an_edit_are_those_of_the_new_text() -> None:
    syntax = syntax_of(Path("x.py"), "")
    edited = Buffer("x = 'é'\ny = 2\n", syntax=syntax)
    assert (4, 7, "string") in edited.highlights(0, 64)[0]
    edited.replace_range((0, 4), (0, 7), "3\n\nclass A: pass")
    fresh = Buffer(edited.text, syntax=syntax)
    assert edited.highlights(0, 64) == fresh.highlights(0, 64)


def test_large_text_has_no_syntax() -> None:
    assert syntax_of(Path("x.py"), "x = 1\n") is not None
    assert syntax_of(Path("x.py"), "x = 1\n" * 10_001) is None
    assert syntax_of(Path("x.unknown"), "") is None
