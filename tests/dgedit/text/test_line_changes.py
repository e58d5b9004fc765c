"""Lines that differ from an older text are marked, gone to and put back one by one."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text import line_changes as line_changes_module
from dgedit.text.line_changes import (
    ChangedLines,
    LineMark,
    change_at,
    line_changes,
    marks,
    next_change,
    taken_back,
)

LINES = st.lists(st.sampled_from(["", "a", "b", "c", "  x", "long one"]), min_size=1, max_size=12)
SIGNS = " +~_^"
"""A sign for each mark."""


def put_back(change: ChangedLines, lines: list[str], eol: str) -> str:
    """The text after a change is taken back."""
    text = eol.join(lines)
    (top, left), (bottom, right), new = taken_back(change, lines, eol)
    start, end = (
        sum(len(line) + len(eol) for line in lines[:row]) + column
        for row, column in ((top, left), (bottom, right))
    )
    return text[:start] + new + text[end:]


def signs(old: str, new: str) -> str:
    """The marks of the letters of a text, each a line."""
    return "".join(SIGNS[mark] for mark in marks(line_changes(old, new), len(new)))


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("abc", "abc", "   "),
        ("abc", "abxc", "  + "),
        ("abc", "xabc", "+   "),
        ("abc", "abcxy", "   ++"),
        ("abc", "axc", " ~ "),
        ("abc", "axyc", " ~~ "),
        ("abcd", "axd", " ~ "),
        ("abc", "ac", "_ "),
        ("abc", "bc", "^ "),
        ("abc", "ab", " _"),
        ("abc", "x", "~"),
        ("abcdef", "aXcdfg", " ~ _ +"),
    ],
)
def test_marks_say_what_became_of_the_lines(old: str, new: str, shown: str) -> None:
    assert signs(old, new) == shown


@given(LINES, LINES, st.sampled_from([(64, 8), (1, 1), (2, 2), (3, 1)]))
def test_changes_are_in_order_and_all_that_differs(
    old: list[str], new: list[str], sizes: tuple[int, int]
) -> None:
    with patch.multiple(line_changes_module, _WINDOW=sizes[0], _SURE=sizes[1]):
        found = line_changes(old, new)
    rebuilt, done = [], 0
    for change in found:
        assert change.start < change.stop or change.old
        rebuilt += [*new[done : change.start], *change.old]
        done = change.stop
    assert rebuilt + new[done:] == old
    assert all(one.stop < two.start for one, two in pairwise(found))  # else they would be one
    assert bool(found) == (old != new)
    marked = marks(found, len(new))
    assert len(marked) == len(new)
    for change in found:
        assert len(change.rows) >= 1
        assert all(0 <= row < len(new) and marked[row] for row in change.rows)


@given(LINES, LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_any_change_is_taken_back_alone(
    old: list[str], new: list[str], eol: str, data: st.DataObject
) -> None:
    found = line_changes(old, new)
    if not found:
        return
    one = data.draw(st.sampled_from(found))
    assert put_back(one, new, eol).split(eol) == [*new[: one.start], *one.old, *new[one.stop :]]


@given(LINES, LINES)
def test_all_changes_taken_back_are_the_old_text(old: list[str], new: list[str]) -> None:
    lines = list(new)
    for _ in range(len(new) + len(old) + 1):
        if not (found := line_changes(old, lines)):
            break
        lines = put_back(found[0], lines, "\n").split("\n")
    assert lines == old


@given(LINES, LINES, st.integers(0, 12), st.sampled_from([1, -1]))
def test_going_on_visits_every_change(old: list[str], new: list[str], row: int, by: int) -> None:
    found = line_changes(old, new)
    places = {change.rows.start for change in found}
    seen, row = set(), min(row, len(new) - 1)
    for _ in range(2 * len(found)):
        change = next_change(found, row, by)
        assert change is not None
        row = change.rows.start
        seen.add(row)
    assert seen == places
    assert next_change([], row, by) is None


def test_lines_far_apart_are_told_one_by_one() -> None:
    old = [f"line {i % 700}" for i in range(5000)]
    new = [*old[:10], "x", *old[10:1000], *old[1003:3000], "y", *old[3001:], "z"]
    found = [(one.start, one.stop, len(one.old)) for one in line_changes(old, new)]
    assert found == [(10, 11, 0), (1001, 1001, 3), (2998, 2999, 1), (4998, 4999, 0)]


def test_change_at_a_line_is_the_one_whose_mark_is_there() -> None:
    found = line_changes("abcdef", "aXcdfg")
    rows = [change_at(found, row) for row in range(6)]
    assert rows == [None, found[0], None, found[1], None, found[2]]
    assert [change.mark for change in found] == [
        LineMark.CHANGED,
        LineMark.REMOVED_BELOW,
        LineMark.ADDED,
    ]
