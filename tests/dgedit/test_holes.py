"""Targets, ranges and markers become spans; spans become a passage."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit.document import Document, Span
from dgedit.errors import InputError, UsageError
from dgedit.holes import instruction_of, marked, parse_target, passage, position, spans_of
from dgedit_engine.types import Hole

TEXT = "one\ntwo\r\nthree\rfour\x0cstill four\u2028and still\nfünf 😀"


def held(text: str, *ranges: str | None) -> list[str]:
    return [text[s.start : s.end] for s in spans_of(Document.from_text(text), ranges)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", "one"),
        ("L2", "two"),
        ("1-2", "one\ntwo"),
        ("L2-L3", "two\r\nthree"),
        ("L3-4", "three\rfour\x0cstill four\u2028and still"),
        ("5", "fünf 😀"),
        ("1:1-1:4", "one"),
        ("1:2-1:2", ""),
        ("1:4-1:4", ""),
        ("2:2-3:3", "wo\r\nth"),
        ("5:2-5:7", "ünf 😀"),
        ("L5:6-L5:7", "😀"),
    ],
)
def test_range_names_the_text(given: str, expected: str) -> None:
    assert held(TEXT, given) == [expected]


MALFORMED = """
abc 0 0-3 20-10 -3 3- 1:5 1:5-3 1:0-1:2 0:1-1:2 2:3-2:2 2:3-1:9 1-2-3 1.5 ٣ L ١-٢
"""


@pytest.mark.parametrize("given", ["", " 1", "1\n", *MALFORMED.split()])
def test_malformed_range_is_a_usage_error(given: str) -> None:
    with pytest.raises(UsageError, match="not a range"):
        held(TEXT, given)


@pytest.mark.parametrize("given", ["6", "1-6", "1:1-6:1"])
def test_range_outside_the_text_names_it_and_the_number_of_lines(given: str) -> None:
    with pytest.raises(InputError, match=rf"range {given} is outside .*which has 5 lines"):
        held(TEXT, given)


def test_range_past_the_end_of_its_line_is_an_input_error() -> None:
    with pytest.raises(InputError, match="column 6 is past the line"):
        held(TEXT, "2:1-2:6")


@pytest.mark.parametrize(("text", "count"), [("", "0 lines"), ("a\n", "1 line"), ("a\n\n", "2 l")])
def test_final_line_ending_begins_no_line(text: str, count: str) -> None:
    with pytest.raises(InputError, match=f"which has {count}"):
        held(text, "3")


@pytest.mark.parametrize(
    "ranges", [("1-2", "2"), ("1", "1"), ("1:1-1:3", "1:2-2:1"), ("1:2-1:2", "1:2-1:2")]
)
def test_overlapping_ranges_are_a_usage_error(ranges: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="overlap at line"):
        held(TEXT, *ranges)


def test_touching_ranges_come_in_order() -> None:
    assert held("abcdef\n", "1:3-1:5", "1:1-1:3") == ["ab", "cd"]


def test_no_range_names_every_marker() -> None:
    spans = spans_of(Document.from_text("<FILL>a<FILL><FILL>"), [None])
    assert spans == [Span(0, 6), Span(7, 13), Span(13, 19)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<FILL: the sum>", ["the sum"]),
        ("<FILL:the sum> + <FILL> + <FILL: b >", ["the sum", "", "b"]),
        ("<FILL:>", [""]),
        ("<FILL: str -> list[int]>", ["str -> list[int]"]),
        ("<FILL: a dict<str, int> of x => y>", ["a dict<str, int> of x => y"]),
        ("<FILL: ends in an arrow->", ["ends in an arrow-"]),
        ("<FILL: a > b", ["a"]),
        ("<FILL: two\nlines>", []),
        ("<FILL: two\rlines>", []),
        ("<FILL: <FILL: inner>", ["inner"]),
        ("<FILLED>", []),
        ("<FILL : no>", []),
    ],
)
def test_marker_says_what_is_wanted(text: str, words: list[str]) -> None:
    assert [one.words for one in marked(text)] == words


def test_marker_that_says_something_is_an_empty_hole_as_a_whole() -> None:
    document = Document.from_text("a = <FILL: b>\n")
    spans = spans_of(document, [None])
    assert spans == [Span(4, 13)]
    assert passage(document, spans).parts == ("a = ", Hole(), "\n")


def test_unclosed_markers_take_no_time() -> None:
    assert marked("<FILL: <" * 50_000 + "-" * 50_000) == []


@pytest.mark.parametrize(
    ("said", "words", "whole"),
    [
        ("", ["", ""], ""),
        ("short", ["", ""], "short"),
        ("", ["sum", "sum"], "sum"),
        ("short", ["sum"], "short\nsum"),
        ("short", ["sum", "", "mean"], "short\nhole 1: sum\nhole 3: mean"),
    ],
)
def test_holes_share_one_instruction(said: str, words: list[str], whole: str) -> None:
    assert instruction_of(said, words) == whole


def test_marker_is_taken_literally() -> None:
    assert spans_of(Document.from_text("a.*b"), [None], marker=".*") == [Span(1, 3)]


def test_marker_and_range_name_their_holes_together() -> None:
    assert held("a <FILL>\nb\n", "2", None) == ["<FILL>", "b"]


def test_text_without_a_marker_is_an_input_error() -> None:
    with pytest.raises(InputError, match="has no <FILL>"):
        held("", None)


def test_empty_marker_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        spans_of(Document.from_text("a"), [None], marker="")


def test_target_splits_into_file_and_range(folder: Path) -> None:
    (folder / "a.py").touch()
    assert parse_target("a.py:10:5-12:3") == (Path("a.py"), "10:5-12:3")
    assert parse_target("a.py:L10-L20") == (Path("a.py"), "L10-L20")
    assert parse_target("a.py:abc") == (Path("a.py"), "abc")
    assert parse_target("a.py:") == (Path("a.py"), "")
    assert parse_target("a.py") == (Path("a.py"), None)


def test_target_that_exists_is_a_file_whatever_its_colons(folder: Path) -> None:
    (folder / "a").touch()
    (folder / "a:3").touch()
    assert parse_target("a:3") == (Path("a:3"), None)
    assert parse_target("a:3:4-5") == (Path("a:3"), "4-5")
    assert parse_target("a:4") == (Path("a"), "4")


@pytest.mark.parametrize("target", ["gone.py", "gone.py:3", "gone.py:3:1-4:2", "gone.py:L3-L4"])
def test_missing_target_is_named_without_its_range(folder: Path, target: str) -> None:
    with pytest.raises(InputError, match=r"^no such file: gone\.py$"):
        parse_target(target)


def test_passage_has_text_and_holes_in_order() -> None:
    document = Document.from_text("a <FILL> b\nold\nc", Path("x.py"))
    made = passage(document, spans_of(document, [None, "2"]))
    assert made.path == "x.py"
    assert made.parts == ("a ", Hole(""), " b\n", Hole("old"), "\nc")


def test_passage_of_nothing_but_a_hole_has_one_part() -> None:
    assert passage(Document.from_text("abc"), [Span(0, 3)]).parts == (Hole("abc"),)


def test_passage_reads_as_characters_and_newlines() -> None:
    document = Document.from_bytes(b"a\r\n\xe9\rb\r\n")
    assert passage(document, [Span(3, 4)]).parts == ("a\n", Hole("\ufffd"), "\nb\n")


def test_passage_of_a_long_file_is_cut_at_line_starts() -> None:
    text = "".join(f"line {n}\r\n" for n in range(10_000))
    document = Document.from_text(text)
    before, hole, after = passage(document, spans_of(document, ["5000"])).parts
    assert hole == Hole("line 4999")
    assert isinstance(before, str) and isinstance(after, str)
    assert before.startswith("line ") and before.endswith("line 4998\n")
    assert after.startswith("\nline 5000\n") and after.endswith("\n")
    # Lines of 11 characters there, 10 once they are read.
    assert 15_980 < len(before) / 10 * 11 <= 16_000 + 4_096
    assert 7_980 < len(after) / 10 * 11 <= 8_000


def test_passage_of_one_long_line_is_cut_within_it() -> None:
    document = Document.from_text("x" * 100_000)
    before, _, after = passage(document, [Span(50_000, 50_001)]).parts
    # 50,000 less 16,000, down to a whole stride: 8 * 4,096
    assert (before, after) == ("x" * (50_000 - 32_768), "x" * 8_000)


def test_passage_begins_where_it_did_after_a_small_edit() -> None:
    text = "".join(f"line {number}\n" for number in range(9_000))
    at = text.index("line 8000")
    first, again = (
        passage(Document.from_text(text[:at] + typed + text[at:]), [Span(at, at)]).parts[0]
        for typed in ("", "typed\n")
    )
    assert isinstance(first, str) and isinstance(again, str)
    assert first[:100] == again[:100]


def test_passage_with_too_much_between_its_holes_is_an_input_error() -> None:
    document = Document.from_text("x" * 64_001)
    assert passage(document, [Span(0, 64_000)])
    with pytest.raises(InputError, match="64,001 characters"):
        passage(document, [Span(0, 1), Span(64_000, 64_001)])


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, (1, 1)), (3, (1, 4)), (4, (2, 1)), (8, (2, 5)), (9, (3, 1)), (15, (4, 1))],
)
def test_position_counts_lines_and_columns_from_1(offset: int, expected: tuple[int, int]) -> None:
    assert position(TEXT, offset) == expected
