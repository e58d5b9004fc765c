"""Lines made comments are nothing but comments, and made lines again they are what they were."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dgedit.text.comments import comment_marks, toggle_comment

BLOCKS = {name: comment_marks(name) for name in ("a.css", "a.html", "a.xml", "a.md", "a.vue")}
PIECES = st.sampled_from(
    ["a", "/*", "*/", "*", "/", "\\", "<!--", "-->", "--", "-", ">", "!", " ", "\t", "{}", "é"]
)
LINES = st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=5)


def toggled(text: str, marks: tuple[str, str]) -> str:
    change = toggle_comment(text, (0, len(text)), marks)
    assert change is not None
    return change.apply(text)


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("a.py", "#"),
        ("src/Makefile", "#"),
        ("a.RS", "//"),
        ("a.html", "<!--"),
        ("a.sql", "--"),
        ("Makefile.am", "#"),
        ("go.mod", "//"),
        ("a.json", None),
        ("py", None),
    ],
)
def test_comments_by_name(name: str, marks: str | None) -> None:
    found = comment_marks(name)
    assert (found and found[0]) == marks


@pytest.mark.parametrize("name", BLOCKS)
@given(lines=LINES)
@example(["a { }", "/* one */", "b { } /* two */", "/* three", "*/", "/* a */ b { } /* c */"])
@example(["/*/", "*\\/", "/\\*", "*/*", "**/"])
@example(["<p>a--b</p>", "<!-- one -->", "--->", "-\\-", "<!-- a --> b <!-- c -->"])
def test_fault_7_lines_are_one_comment_each_and_come_back(name: str, lines: list[str]) -> None:
    marks = BLOCKS[name]
    assert marks is not None
    begin, end = marks
    text = "\n".join(lines)
    alone = re.compile(rf"{re.escape(begin)}(?:(?!{re.escape(end)}).)*{re.escape(end)}")
    full = [line.strip(" \t") for line in lines if line.strip()]
    assume(full and not all(alone.fullmatch(line) for line in full))
    commented = toggled(text, marks)
    for line in commented.split("\n"):
        assert not line.strip() or alone.fullmatch(line.strip(" \t")), line
        if name == "a.xml" and line.strip():
            assert "--" not in line.strip(" \t")[4:-3]
    assert toggled(commented, marks) == text


def test_fault_7_style_sheet_with_comments_in_it_is_a_comment_and_comes_back() -> None:
    text = "a { b: c }\n/* one\n   two */\n\n  d { } /* three */\n"
    commented = toggled(text, ("/*", "*/"))
    assert commented == (
        "/* a { b: c } */\n/* /\\* one */\n/*    two *\\/ */\n\n/*   d { } /\\* three *\\/ */\n"
    )
    assert toggled(commented, ("/*", "*/")) == text


def test_fault_7_line_of_two_comments_and_code_between_them_is_no_comment() -> None:
    line = "/* a */ b { } /* c */"
    assert toggled(line, ("/*", "*/")) == r"/* /\* a *\/ b { } /\* c *\/ */"
