"""A hole stays on its text whatever changes, and everything that was taken comes back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dgedit.files.document import Document, Span
from dgedit.text.edits import Change, Part
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole, Place, collide
from dgedit.tui.editor.transaction import History, Transaction
from dgedit_engine.types import Draft

from ...text.test_edits import TEXTS, changes


def after_each(hole: tuple[int, int], change: Change) -> tuple[int, int] | None:
    """Where a hole is after one replacement after the other, the last first."""
    first, last = hole
    for part in reversed(change.parts):
        start, end, length = part.start, part.end, len(part.text)
        by = length - (end - start)
        if end <= first:
            first, last = first + by, last + by
        elif start < last:
            if start <= first and last <= end:
                return None
            if start < first:
                first, last = start + length, last + by
            else:
                last = start if last < end else last + by
    return first, last


@given(st.data())
def test_hole_is_where_its_parts_one_by_one_would_put_it(data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    change = data.draw(changes(text))
    assume(all(one.end < two.start for one, two in pairwise(change.parts)))
    place = st.integers(0, len(text))
    start, end = sorted((data.draw(place), data.draw(place)))
    editor = opened(text, (start, end))
    (hole,) = editor.holes
    transaction = Transaction.of(editor.buffer, change)
    transaction.do(editor)
    expected = after_each((start, end), change)
    assert [(one.start, one.end) for one in editor.holes] == ([expected] if expected else [])
    cut = any(start < part.end and part.start < end for part in change.parts)
    assert (editor.holes == [hole]) is not cut
    transaction.undo(editor)
    assert editor.text == text and editor.holes == [hole] and hole.span == Span(start, end)


@pytest.mark.parametrize("point", [0, 2])
def test_empty_hole_beside_one_that_loses_all_its_text_stays(point: int) -> None:
    spans = [Span(*one) for one in sorted([(point, point), (0, 2)])]
    editor = opened("b c", *((one.start, one.end) for one in spans))
    change = Change((Part(0, 1, ""), Part(1, 2, "")), (0, 0))
    transaction = Transaction.of(editor.buffer, change)
    transaction.do(editor)
    assert [hole.span for hole in editor.holes] == [Span(0, 0)] * 2
    transaction.undo(editor)
    assert [hole.span for hole in editor.holes] == spans


@given(st.data())
def test_holes_that_came_since_give_way_to_those_that_an_undo_puts_back(
    data: st.DataObject,
) -> None:
    text = data.draw(TEXTS)
    change = data.draw(changes(text))
    place = st.integers(0, 30)
    spans = data.draw(st.lists(st.tuples(place, place).map(sorted), max_size=3))
    editor = opened(text, *spans)
    before = {hole: hole.span for hole in editor.holes}
    transaction = Transaction.of(editor.buffer, change)
    transaction.do(editor)
    for start, end in data.draw(st.lists(st.tuples(place, place).map(sorted), max_size=3)):
        size = len(editor.text)
        editor.open_holes([OpenHole(min(start, size), min(end, size))])
    taken = [before[hole] for hole in transaction.holes_before]
    transaction.undo(editor)
    assert {hole: hole.span for hole in editor.holes if hole in before} == before
    every = [hole.span for hole in editor.holes]
    assert all(one.end <= two.start for one, two in pairwise(every))
    assert not any(
        collide(one.span, span) for one in editor.holes if one not in before for span in taken
    )


def opened(text: str, *spans: tuple[int, int]) -> Editor:
    editor = Editor(Path("a.txt"), Document.from_text(text))
    editor.touch = lambda how: None  # type: ignore[method-assign]
    size = len(text)
    editor.open_holes([OpenHole(min(start, size), min(end, size)) for start, end in spans])
    return editor


@pytest.mark.parametrize("left", [True, False])
def test_only_the_last_results_are_kept(left: bool) -> None:
    editor = opened("x" * 60, *((i, i + 1) for i in range(0, 60, 2)))
    history = editor.history
    assert isinstance(history, History)
    for i in range(30):
        editor.open_result = lambda i=i: i  # type: ignore[misc]
        if left:
            editor.leave(i, editor.holes[:1])
            continue
        hole = editor.holes[i]
        hole.draft = Draft((), (), ())
        change = Change((Part(hole.start, hole.end, "y"),), (0, 0))
        one = Transaction.of(editor.buffer, change, goes={hole: Place(hole.span)})
        one.do(editor)
        history.record(one)
    results = [edit.result for edits in history.undo_stack for edit in edits]
    assert results == [None] * 10 + list(range(10, 30))
