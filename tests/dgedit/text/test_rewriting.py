"""Capitals, order, line ends and indentation: each is one change that is right on a string."""

from __future__ import annotations

import pytest

from dgedit.text.edits import Change
from dgedit.text.rewriting import recased, reindented, sorted_lines, with_line_ends


def after(text: str, change: Change | None) -> str:
    assert change is not None
    assert change.invert(text).apply(change.apply(text)) == text
    return change.apply(text)


@pytest.mark.parametrize(
    ("text", "selection", "upper", "lower"),
    [
        ("One two", (0, 7), "ONE TWO", "one two"),
        ("One two", (5, 5), "One TWO", None),
        ("a = straße", (10, 4), "a = STRASSE", None),
        ("ÉcoLe", (2, 2), "ÉCOLE", "école"),
        ("a + B", (2, 2), None, None),
        ("", (0, 0), None, None),
    ],
)
def test_selection_or_word_is_recased(
    text: str, selection: tuple[int, int], upper: str | None, lower: str | None
) -> None:
    for wanted, new in ((True, upper), (False, lower)):
        change = recased(text, selection, upper=wanted)
        assert (change and after(text, change)) == new
        if change is not None and change.selection[0] != change.selection[1]:
            assert sorted(change.selection) == [min(selection), len(change.apply(text))]


def test_lines_are_sorted_and_their_ends_stay() -> None:
    text = "0\r\nb\nc\r\na\n\nZ"
    change = sorted_lines(text, (3, len(text)))
    assert after(text, change) == "0\r\n\nZ\r\na\nb\nc"
    assert change is not None and change.selection == (3, len(text))
    for line in "bcaZ":
        there = change.map(text.index(line))
        assert change.apply(text)[there] == line
    assert after("b\na\nx\n", sorted_lines("b\na\nx\n", (4, 0))) == "a\nb\nx\n"


def test_sorted_lines_stay() -> None:
    assert sorted_lines("a\nb\n", (0, 4)) is None
    assert sorted_lines("b\na\n", (0, 0)) is None
    assert sorted_lines("", (0, 0)) is None


def test_line_ends_become_one() -> None:
    text = "a\r\nb\nc\rd"
    change = with_line_ends(text, (8, 4), "\n")
    assert after(text, change) == "a\nb\nc\nd"
    assert change is not None and change.selection == (7, 3)
    assert after(text, with_line_ends(text, (0, 0), "\r\n")) == "a\r\nb\r\nc\r\nd"
    assert with_line_ends("a\nb", (0, 0), "\n") is None


@pytest.mark.parametrize(
    ("unit", "step", "old", "new"),
    [
        ("\t", 2, "a\n  b\n    c\n   d\n", "a\n\tb\n\t\tc\n\t d\n"),
        ("  ", 4, "a\r\n\tb\r\n\t\tc\r\n", "a\r\n  b\r\n    c\r\n"),
        ("    ", 4, "  \ta\n \tb  \tc\n\n", "    a\n    b  \tc\n\n"),
        ("\t", 4, "    a\n\n    \n", "\ta\n\n\t\n"),
    ],
)
def test_indentation_is_written_otherwise(unit: str, step: int, old: str, new: str) -> None:
    assert after(old, reindented(old, (0, 0), unit, step=step, tab_width=4)) == new
    again = reindented(new, (0, 0), unit, step=len(unit.expandtabs(4)), tab_width=4)
    assert again is None
