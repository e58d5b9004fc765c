"""Merging by lines: each side's changes are kept, disagreement is marked, nothing is left out."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.edits import Change, Part
from dgedit.text.merge import Block, Merged, blocks, line_parts, merge, split_lines

LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n", "d\n", "e\r"]), max_size=14)
TEXTS = st.builds("".join, st.tuples(LINES.map("".join), st.sampled_from(["", "x", "\udce9"])))


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        ("a\nb\nc\n", "a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n"),
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n"),
        ("a\nb\nc\n", "b\nc\n", "a\nb\nc\nd\n", "b\nc\nd\n"),
        ("a\nb\n", "a\nx\nb\n", "a\nx\nb\n", "a\nx\nb\n"),
        ("a\r\nb\nc", "a\r\nb\nc", "a\r\nb\nc\n", "a\r\nb\nc\n"),
        ("", "", "a", "a"),
    ],
)
def test_merge_takes_what_one_side_changed(base: str, mine: str, theirs: str, merged: str) -> None:
    assert merge(base, mine, theirs) == Merged(merged, ())
    assert merge(base, theirs, mine) == Merged(merged, ())


def test_merge_marks_what_both_changed() -> None:
    result = merge("a\nb\nc\n", "a\nmine\nc\n", "a\ntheirs\nc\n")
    marked = "a\n<<<<<<< mine\nmine\n=======\ntheirs\n>>>>>>> on disk\nc\n"
    assert result == Merged(marked, (1,))


def test_merge_marks_stand_on_lines_of_their_own() -> None:
    result = merge("b", "mine", "theirs", eol="\r\n")
    marked = "<<<<<<< mine\r\nmine\r\n=======\r\ntheirs\r\n>>>>>>> on disk\r\n"
    assert result == Merged(marked, (0,))


def test_merge_leaves_out_of_a_conflict_what_both_sides_share() -> None:
    result = merge("a\n", "x\n1\ny\n", "x\n2\ny\n")
    assert result.text == "x\n<<<<<<< mine\n1\n=======\n2\n>>>>>>> on disk\ny\n"


def test_merge_counts_its_conflicts() -> None:
    base = "".join(f"{i}\n" for i in range(20))
    mine, theirs = base.replace("3\n", "m\n", 1), base.replace("3\n", "t\n", 1)
    mine, theirs = mine.replace("\n15\n", "\nM\n"), theirs.replace("\n15\n", "\nT\n")
    assert merge(base, mine, theirs).conflicts == (3, 19)


@given(TEXTS, TEXTS)
def test_blocks_are_shared_in_order_and_apart(one: str, two: str) -> None:
    a, b = split_lines(one), split_lines(two)
    assert "".join(a) == one
    end = Block(0, 0, 0)
    for block in blocks(a, b):
        assert block.one >= end.one + end.size and block.two >= end.two + end.size
        assert a[block.one : block.one + block.size] == b[block.two : block.two + block.size]
        end = block
    if a == b:
        assert blocks(a, b) == ([Block(0, 0, len(a))] if a else [])


@given(TEXTS, TEXTS)
def test_merge_with_an_idle_side_gives_the_other(base: str, other: str) -> None:
    assert merge(base, base, other) == Merged(other, ())
    assert merge(base, other, base) == Merged(other, ())
    assert merge(base, other, other) == Merged(other, ())


@given(TEXTS, TEXTS, TEXTS)
def test_merge_keeps_every_line_that_either_side_added(base: str, mine: str, theirs: str) -> None:
    lines = set(split_lines(merge(base, mine, theirs).text))
    for side in (mine, theirs):
        for line in set(split_lines(side)) - set(split_lines(base)):
            assert line in lines or line + "\n" in lines


def test_merge_agrees_with_git_where_sides_are_apart(tmp_path: Path) -> None:
    base = Path(merge.__code__.co_filename).read_text()
    mine = base.replace("def merge(", "def joined(").replace("import re\n", "")
    theirs = base.replace("_ended(", "_closed(") + "# more\n"
    for name, text in (("mine", mine), ("base", base), ("theirs", theirs)):
        (tmp_path / name).write_text(text)
    command = ["git", "merge-file", "-p", "mine", "base", "theirs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert merge(base, mine, theirs) == Merged(done.stdout, ())


def test_merge_of_a_long_file_is_quick() -> None:
    lines = [f"    line {i}\n" if i % 3 else "\n" for i in range(50_000)]
    base = "".join(lines)
    mine = "".join(["# mine\n", *lines])
    theirs = "".join([*lines[:25_000], "# theirs\n", *lines[25_001:-1]])
    begun = time.process_time()
    merged = merge(base, mine, theirs)
    assert time.process_time() - begun < 3
    assert merged.text == "".join(["# mine\n", *lines[:25_000], "# theirs\n", *lines[25_001:-1]])


@given(TEXTS, TEXTS)
def test_parts_by_lines_make_one_text_of_the_other(old: str, new: str) -> None:
    change = Change(line_parts(old, new), (0, 0))
    assert change.apply(old) == new
    assert (change.parts == ()) is (old == new)


def test_parts_by_lines_go_together_as_far_as_there_are_lines() -> None:
    parts = line_parts("a\nb\nc\nd\n", "a\nB\nC\nx\nd\n")
    assert parts == (Part(2, 4, "B\n"), Part(4, 6, "C\nx\n"))
    assert line_parts("a\nb\nc\nd\n", "a\nX\nd\n") == (Part(2, 6, "X\n"),)
