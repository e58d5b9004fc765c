"""Places with their lines, and what is put in the place of what was found."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.edits import Change
from dgedit.text.search import Query, SearchError, hits, parts_replaced, replacements


def replaced(template: str, line: str = "foo bar", found: str = "f(o)o") -> str:
    ((_, _, text),) = replacements([line], Query(found, regex=True), template)
    return text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (r"<\0>", "<foo>"),
        (r"\0\0", "foofoo"),
        (r"\\0", r"\0"),
        (r"\\\0", r"\foo"),
        (r"\012", "\n"),
        (r"\g<0>\1", "fooo"),
    ],
)
def test_fault_4_zero_stands_for_the_whole_match(template: str, text: str) -> None:
    assert replaced(template) == text


@pytest.mark.parametrize(
    ("template", "char"),
    [
        (r"\00", "U+0000"),
        (r"\000", "U+0000"),
        (r"\x00", "U+0000"),
        (r"\u0000", "U+0000"),
        (r"\N{NULL}", "U+0000"),
        (r"\ud800", "U+D800"),
        (r"\udcff", "U+DCFF"),
    ],
)
def test_fault_4_character_that_no_text_holds_is_refused(template: str, char: str) -> None:
    with pytest.raises(SearchError, match=rf"^replacement: {char.replace('+', '.')} has no place"):
        replaced(template)


@pytest.mark.parametrize("template", ["\\", r"\9", r"\x", r"\U00110000", r"\g<x", r"\N{no such}"])
def test_fault_4_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(SearchError, match=r"^replacement: "):
        replaced(template)


@pytest.mark.parametrize("odd", ["\0", "\udcff"])
def test_what_the_text_holds_already_may_be_put_again(odd: str) -> None:
    assert replaced(r"[\1]", f"a{odd}b", "a(.)b") == f"[{odd}]"


@given(
    st.text("ab\n A_", max_size=30),
    st.sampled_from(["a", "ab", "a b", "A", "aa"]),
    st.booleans(),
    st.booleans(),
)
def test_hits_are_what_an_expression_finds(text: str, what: str, case: bool, words: bool) -> None:
    around = r"(?<!\w)(?:{})(?!\w)" if words else "{}"
    pattern = re.compile(around.format(re.escape(what)), 0 if case else re.IGNORECASE)
    spans = [match.span() for match in pattern.finditer(text)]
    lines = text.split("\n")
    found = list(hits(text, Query(what, case=case, words=words)))
    starts = [sum(len(line) + 1 for line in lines[:row]) for row in range(len(lines))]
    assert [
        (starts[one.start[0]] + one.start[1], starts[one.end[0]] + one.end[1]) for one in found
    ] == spans
    for one in found:
        assert one.line[one.at :] == lines[one.start[0]][one.start[1] :]


def test_hit_over_lines_and_in_a_long_line() -> None:
    (one,) = hits("ab\ncd\nef", Query(r"b\nc", regex=True))
    assert (one.start, one.end, one.line, one.at) == ((0, 1), (1, 1), "ab", 1)
    (one,) = hits("\t" + "x" * 1000 + "needle" + "y" * 1000, Query("needle"))
    assert one.start == (0, 1001) and one.line[one.at :].startswith("needle")
    assert len(one.line) <= 300


@given(st.lists(st.sampled_from(["a", "b", "\n", "\r\n", "\r"]), max_size=12))
def test_parts_replaced_are_of_the_text_as_it_is_stored(pieces: list[str]) -> None:
    text = "".join(pieces)
    parts = parts_replaced(text, Query("a"), "x", "\n")
    assert Change(tuple(parts), (0, 0)).apply(text) == text.replace("a", "x")
