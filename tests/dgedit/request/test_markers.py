"""Markers are found; spans become a passage."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit.errors import InputError
from dgedit.files.document import Document, Span
from dgedit.request.markers import instruction_of, marked, passage, position
from dgedit.request.ranges import spans_of
from dgedit_engine.types import MOST_JUDGED, Hole

TEXT = "one\ntwo\r\nthree\rfour\x0cstill four\u2028and still\nfünf 😀"


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


def test_passage_has_all_of_its_file_for_judging() -> None:
    text = "".join(f"line {number}\n" for number in range(6000))
    start = text.index("line 3000")
    one = passage(Document.from_text(text), [Span(start, start + 9)])
    excerpt = "".join(part.text if isinstance(part, Hole) else part for part in one.parts)
    assert one.above + excerpt + one.below == text
    assert one.above.endswith("\n") and one.below.startswith("line") and len(excerpt) < 40_000


def test_file_too_large_to_be_judged_sends_its_excerpt_alone() -> None:
    text = "x = 1\n" * (MOST_JUDGED // 6 + 1)
    one = passage(Document.from_text(text), [Span(60_000, 60_005)])
    assert (one.above, one.below) == ("", "")
