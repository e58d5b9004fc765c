"""The places where a text of a reader that never ends may end."""

from __future__ import annotations

import pytest

from dgedit_engine.decode.cuts import (
    LINES,
    continues,
    cuts,
    fits,
    fitting,
    left_block,
    too_far,
    visible,
)
from dgedit_engine.prompt.plain import Surroundings

BEHIND = "\n\n\ndef g():\n"


def found(
    text: str, before: str, behind: str, *, present: str = "", ended: bool = False
) -> list[str]:
    lengths = cuts(text, Surroundings(before, behind, present), ended=ended)
    assert lengths == sorted(set(lengths)) and all(0 < one <= len(text) for one in lengths)
    return [text[:length] for length in lengths]


@pytest.mark.parametrize(
    ("behind", "right"),
    [("", False), ("\n", False), ("\r\n", False), (")", True), (" ", True), ("x\n", True)],
)
def test_line_goes_on_where_no_line_end_follows(behind: str, right: bool) -> None:
    assert continues(behind) == right


def test_rest_of_a_line_ends_before_each_line_end() -> None:
    text = "a + b\n    # more\n\nc"
    assert found(text, "    return ", BEHIND) == ["a + b", "a + b\n    # more"]


def test_indented_line_ends_as_the_rest_of_one_does() -> None:
    assert found("x = 1\n    y\n", "def f():\n    ", BEHIND) == ["x = 1", "x = 1\n    y"]


def test_whole_lines_at_the_file_s_end_take_their_line_end() -> None:
    assert found("a = 1\nb = 2\nc", "x\n", "") == ["a = 1\n", "a = 1\nb = 2\n"]
    assert found("a = 1\nb = 2", "", "", ended=True) == ["a = 1\n", "a = 1\nb = 2"]


def test_whole_line_before_a_line_end_leaves_its_own() -> None:
    assert found("a = 1\nb = 2\n", "x\n", BEHIND) == ["a = 1", "a = 1\nb = 2"]
    assert found("a = 1\nb = 2\n", "", BEHIND) == ["a = 1", "a = 1\nb = 2"]


def test_whole_lines_before_a_line_take_their_line_end() -> None:
    text = "    total = a + b\n    # so\n    return total\n"
    assert found(text, "def f():\n", "    return total\n") == [
        "    total = a + b\n",
        "    total = a + b\n    # so\n",
    ]
    assert found(text, "def f():\n", "    return a\n")[-1] == text


def test_part_of_a_line_before_the_text_that_goes_on() -> None:
    """Where a hole begins a line and the line goes on, four characters of it must be said."""
    assert found("    return total", "def f():\n", "total\n") == ["    return "]
    assert found("    return tot", "def f():\n", "total\n") == []


@pytest.mark.parametrize("newline", ["", "\n"])
def test_inside_brackets_a_text_ends_where_the_closing_one_is_said(newline: str) -> None:
    text = "a, g(b), c)" + newline
    right = ["a, g(b", "a, g(b), c"] + ([text.strip()] if newline else [])
    assert found(text, "f(", ")\n") == right


def test_places_that_agree_longest_are_taken() -> None:
    text = "a), b), c), d), e), f) + 1"
    assert found(text, "f(", ") + 1\n")[-1] == "a), b), c), d), e), f"
    assert len(found(text, "f(", ") + 1\n")) == 4


def test_whole_lines_before_an_indented_line_end_with_their_line() -> None:
    """Four blanks of indentation agree with any others."""
    text = "    try:\n            raise\n"
    assert found(text, "x\n", "            raise\n") == ["    try:\n"]


def test_line_that_goes_on_behind_a_blank_is_no_indented_one() -> None:
    assert found("total = 1\n", "a = 1\n", " = 1\n") == ["total", "total = 1\n"]
    assert found(" * a\n *\n", "/**\n", " * b\n */\n") == [" * a\n", " * a\n *\n"]


def test_part_of_several_lines_ends_where_a_later_line_goes_on() -> None:
    text = "ek\n    if not there:\n        there = seek(b)\n"
    assert found(text, "    s", "there = seek(b)\n")[-2:] == [
        "ek\n    if not ",
        "ek\n    if not there:\n        ",
    ]
    # four characters of it must be said there, or all there are
    assert found("a:\n    b = 1)\n", "f(", ")\n")[-1] == "a:\n    b = 1"
    assert found("a:\n    th", "f(", "there)\n") == ["a:"]


def test_line_s_end_is_a_place_where_the_line_goes_on() -> None:
    assert found("a + b\nx", "return ", "  # sum\n") == ["a", "a +", "a + b"]
    assert found("value", "return ", ";\n") == []
    assert found("value", "return ", ";\n", ended=True) == ["value"]


def test_middle_of_a_word() -> None:
    """No text at all is no infill."""
    assert found("ue = 3\n", "val", "ue = 3\n") == ["ue = 3"]
    assert found("me_val", "na", "val = 3\n") == ["me_"]


def test_end_that_the_model_said_is_one() -> None:
    assert found("a + b  ", "return ", BEHIND, ended=True) == ["a + b"]
    assert found("a + b  ", "return ", BEHIND) == []
    assert found("", "return ", BEHIND, ended=True) == []
    assert found(" \n ", "return ", BEHIND, ended=True) == []


@pytest.mark.parametrize("before", ["x\n", "", "def f():\n    "])
@pytest.mark.parametrize("behind", ["", "\n", BEHIND, "y = 2\n"])
def test_no_text_ends_with_an_empty_line(before: str, behind: str) -> None:
    text = "a = 1\n\n    \nb = 2\n\n\n"
    for one in found(text, before, behind, ended=True):
        takes_end = not before.endswith(" ") and behind != "\n" and behind != BEHIND
        lines = (one.removesuffix("\n") if takes_end else one).split("\n")
        assert lines[0].strip() and lines[-1].strip()


def test_whole_lines_begin_with_no_empty_one() -> None:
    assert found("\na = 1\n", "x\n", BEHIND) == []
    assert found("  \na = 1\n", "", "") == []
    assert found("\n    a = 1\n", "def f():", BEHIND) == ["\n    a = 1"]  # within a line it may


@pytest.mark.parametrize(
    ("text", "before", "right"),
    [
        ("\n\n    x\n\ny", "", "    x\n\ny"),
        ("  \n\t\nx", "a\n", "x"),
        ("    x", "a\n", "    x"),
        ("\n\n", "a\n", ""),
        ("", "", ""),
        ("\n  x", "def f():", "\n  x"),
        ("\n  x", "    ", "\n  x"),
    ],
)
def test_empty_lines_at_the_start_of_whole_lines_are_left_out(
    text: str, before: str, right: str
) -> None:
    assert visible(text, Surroundings(before, "")) == right


def test_white_space_is_no_text() -> None:
    assert found("   \n\t\n", "x = ", "") == []


def test_hundreds_of_lines_are_bounded() -> None:
    text = "".join(f"x{number}\n" for number in range(300))
    assert len(found(text, "", "")) == LINES
    assert too_far(text, Surroundings("", ""))


@pytest.mark.parametrize(
    ("text", "before", "behind"),
    [
        ("a)\n", "f(", ")\n"),  # the line's rest is said
        ("a:\n    b = c)\nx", "f(", " = c)\n"),
        ("    x = 1\n\ndef g", "", "y = 2\n"),
        ("x\n" * (LINES + 1), "", ""),
        ("print(a)\nprint(a)\n", "", ""),  # a circle
        ("x = 1" + "\n" * 5, "", ""),  # nothing more
        ("x = 1\ndef g(first, second", "", "\n\ndef g(first, second):\n"),  # what stands behind
        ("x = 1\ny", "def f():\n    ", BEHIND),  # out of the block
    ],
)
def test_more_of_it_is_no_use(text: str, before: str, behind: str) -> None:
    assert too_far(text, Surroundings(before, behind))


@pytest.mark.parametrize(
    ("text", "before", "behind"),
    [
        ("", "", ""),
        ("a, b, c", "f(", ")\n"),
        ("x = 1\n    y = 2\n", "def f():\n    ", BEHIND),
        ("    x = 1\n    y = 2\n", "def f():\n", "    return x\n"),
        ("1\n", "x = ", "\ny = 2\n"),
        ("a = 1\nb = 2\n", "", ""),
    ],
)
def test_more_of_it_may_be_of_use(text: str, before: str, behind: str) -> None:
    assert not too_far(text, Surroundings(before, behind))


@pytest.mark.parametrize(
    ("text", "before", "kept"),
    [
        ("x = 1\ny", "def f():\n    ", "x = 1\n"),
        ("    x = 1\ny", "def f():\n", "    x = 1\n"),
        ("        x = 1\n    y\nz", "    for a in b:\n", "        x = 1\n    y\n"),
        ("\tx\n\t\ty\nz", "", "\tx\n\t\ty\n"),
        ("a + b\n    # so\n\ndef", "def f():\n    return ", "a + b\n    # so\n\n"),
        ("x = (\n        1,\n    )\n)", "    ", None),  # what closes a bracket belongs to it
        ("\n    x\ny", "    if a:", "\n    x\n"),
        ("\n\n    x\n    y", "", None),
        ("x\n\n\ny", "", None),
        ("", "", None),
        ("", "    ", None),
    ],
)
def test_block_is_left_by_less_indentation(text: str, before: str, kept: str | None) -> None:
    place = left_block(text, Surroundings(before, ""))
    assert (None if place is None else text[:place]) == kept


@pytest.mark.parametrize(
    ("text", "before", "behind", "kept"),
    [
        # down to the block of the next line, not to what an empty line parts from the hole
        ("        x\n    y\nz", "    if a:\n", "    b\n", "        x\n    y\n"),
        ("        x\n    y\nz", "    if a:\n", "\nc\n", "        x\n    y\n"),
        ("        x\n    y\nz", "    if a:\n", "\n\n    def g():\n", "        x\n"),
        ("        x\n    y\nz", "    if a:\n", "\n\ndef g():\n", "        x\n    y\n"),
        # the block behind may be one that the hole's lines lead to
        ("    for a in b:\n        if a:\n", "    if c:\n        d\n", "            e\n", None),
        ("class A:\n    def f():\n", "    if c:\n        d\n\n", "        e\n", None),
        ("class A:\n    def f():\n", "    if c:\n        d\n", "        e\n", ""),
        ("}\nfunction f() {\n", "if (c) {\n    d\n", "    e\n", None),
        ("function f() {\n", "/*\n * d\n */\n", "    e\n", None),
        ("f", "/*\n * d\n */\nfunction ", "() {\n    e\n", None),
    ],
)
def test_block_that_is_left_depends_on_what_stands_behind(
    text: str, before: str, behind: str, kept: str | None
) -> None:
    place = left_block(text, Surroundings(before, behind))
    assert (None if place is None else text[:place]) == kept


@pytest.mark.parametrize(
    ("text", "before", "behind", "right"),
    [
        ("    if a > 1:\n", "        b = 2\n", "        c\n", True),
        ("    if a > 1:  # why\n", "        b = 2\n", "        c\n", True),
        ("    if a > 1\n", "        b = 2\n", "        c\n", False),
        ("    d = []\n    for a in d:\n", "        b = 2\n", "        c\n", True),
        ("    for a in d:\n        a\n    d = []\n", "        b = 2\n", "        c\n", False),
        ("def f(a):", "        b = 2\n\n\n", "\n    c\n", True),
        ("@wraps(a)\ndef f(a):", "        b = 2\n\n\n", "\n    c\n", True),
        ("f(", "    ", "\n        c\n", True),
        ("a", "    f(", ",\n        c\n", True),
        ("a", "    f(", ")\n        c\n", False),
        ("a = b", "    ", "\n        .c()\n", True),
        ("- a", "", "\n  c\n", True),
        ("    return a", "def f():\n", "", True),
    ],
)
def test_last_line_leads_to_lines_further_right(
    text: str, before: str, behind: str, right: bool
) -> None:
    assert fits(text, Surroundings(before, behind)) == right


@pytest.mark.parametrize(
    ("text", "before", "behind", "right"),
    [
        ("a, b", "f(", ")\n", True),
        ("x = 1", "", "\ny = 2\n", True),
        ("    x = 1", "def f():\n", "    y = 2\n", False),  # lines with their ends
        ("    x = 1\n", "def f():\n", "    y = 2\n", True),
        ("x = 1\n\n", "", "y = 2\n", False),
        ("  ", "f(", ")\n", False),
    ],
)
def test_text_cut_anywhere_fits_or_not(text: str, before: str, behind: str, right: bool) -> None:
    assert fitting(text, Surroundings(before, behind)) == right


@pytest.mark.parametrize(
    ("text", "before", "present", "behind", "right"),
    [
        # a line left of the hole's first one; the last line may close a bracket
        ("    x = 1\ndef g():\n    y\n", "def f():\n", "    a\n    b\n", "    c\n", False),
        ("    x = 1\n", "def f():\n", "    a\n    b\n", "    c\n", True),
        ("def g():\n    y\n", "def f():\n", "    a\n", "    c\n", False),
        ("def g():\n    y\n", "def f():\n    x\n", "", "    c\n", False),
        ("def g():\n    y\n", "def f():\n    x\n", "", "c\n", True),
        ("        1,\n    )\n", "    x = (\n", "        a,\n    )\n", "    c\n", True),
        ("a;\n}\nfunction g() {\n  b;\n", "function f() {\n  ", "x;\n", "}\n", False),
        ("a;\n}", "function f() {\n  ", "x;\n}", "\n", True),
        # a clause between lines that stand further right
        ("    elif a:\n", "    if b:\n        x\n", "", "        y\n", True),
        ("    } else {\n", "    if (b) {\n        x\n", "", "        y\n", True),
        ("    x = 1\n", "    if b:\n        x\n", "", "        y\n", False),
        # empty lines that the hole did not begin with
        ("\n    a", "    ", "b", "\n", False),
        ("\n    a", "    ", "\n    b", "\n", True),
        ("\n    a", "def f():", "b", "\n", True),
        # the line's end that the hole had
        ("    a", "def f():\n", "    b\n", "    c\n", False),
        ("    a", "def f():\n", "    b", "\n    c\n", True),
        # what stands behind, once more
        ("    a\n    return b\n", "def f():\n", "    x\n", "    return b\n", False),
        ("    a\n    return b\n", "def f():\n", "    x\n", "    return bc\n", True),
        ("a\n    b\n    c", "    ", "x", "\n    b\n    c\n", False),
        ("if a:\n        break", "    ", "x", "\n    break\n", True),
        ("a(\n    b)\n}", "  ", "x", "\n}\n", False),
        # a marker
        ("a <FILL> b", "x = ", "y", "\n", False),
        ("a <FILL: b>", "x = ", "y", "\n", False),
        ("a <FILL> b", "x = ", "<FILL>", "\n", True),
    ],
)
def test_text_fits_its_hole(text: str, before: str, present: str, behind: str, right: bool) -> None:
    assert fits(text, Surroundings(before, behind, present)) == right


def test_clause_is_not_given_up_before_it_can_be_told() -> None:
    place = Surroundings("    if b:\n        x\n", "        y\n")
    assert not too_far("    el", place) and not too_far("    elif a:\n", place)
    assert not fits("    x = 1\n", place)  # which a clause may follow


def test_what_a_hole_holds_says_whether_its_line_goes_on() -> None:
    text, before, behind = "    return total\n", "def f():\n", "total\n"
    assert found(text, before, behind) == ["    return ", text]
    assert found(text, before, behind, present="    yield ") == ["    return "]
    assert found(text, before, behind, present="    a = 1\n") == [text]
