"""A language's demand goes before what the lines of a text have, and that before what is usual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.cells import width_of
from dgedit.text.indentation import (
    dedented,
    opens_block,
    opens_inside,
    step_of,
    to_stop,
    uses_tabs,
)


@pytest.mark.parametrize(
    ("name", "text", "tabs"),
    [
        ("Makefile", "all:\n", True),
        ("Makefile", "", True),
        ("GNUmakefile", "ifdef A\n    B = c\nendif\n", True),
        ("Makefile.am", "all:\n", True),
        ("rules.mk", "", True),
        ("table.tsv", "a b\n", True),
        ("a.go", "", True),
        ("a.go", "package a\n", True),
        ("a.go", "/*\n * a\n */\n", True),
        ("a.go", "func f() {\n    g()\n}\n", False),
        ("go.mod", "module a\n", True),
        ("a.yaml", "a: |\n  all:\n\tcc\n", False),
        ("makefile.py", "", False),
        ("a.py", "", False),
        ("a.py", "if a:\n\tb\n", True),
        ("a.c", "\tb;\n", True),
        ("a.c", "a\r\tb\r", True),
        ("go", "", False),
    ],
)
def test_fault_6_indentation_is_what_the_file_demands(name: str, text: str, tabs: bool) -> None:
    assert uses_tabs(text, name) is tabs


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("", None),
        ("a\nb\n", None),
        ("a:\n  b:\n    c\n", 2),
        ("a\r    b\r        c\r    d\r", 4),
        ("def f(\n        a\n    b\n    c\n\n    if d:\n        e\n", 4),
        ("a\n        b\n", 8),
        ("/*\n * a\n */\na {\n    b\n}\n", 4),
        ("a\n     b\n", None),
        ("a\n    \n  b\n", 2),
    ],
)
def test_step_is_that_of_most_lines(text: str, step: int | None) -> None:
    assert step_of(text) == step


@given(st.sampled_from([2, 3, 4, 8]), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_step_is_found_where_lines_go_in_by_one(step: int, depths: list[int]) -> None:
    depth, lines = 0, []
    for wanted in depths:
        depth = min(wanted, depth + 1)
        lines.append(" " * (step * depth) + "x")
    assert step_of("\n".join(lines)) == (step if any(line[0] == " " for line in lines) else None)


@given(st.text(" \t", min_size=1, max_size=20), st.integers(1, 9), st.integers(1, 9))
def test_backspace_goes_to_the_stop_before_or_over_a_tab(lead: str, step: int, tab: int) -> None:
    count = to_stop(lead, step, tab)
    gone, left = lead[len(lead) - count :], lead[: len(lead) - count]
    assert gone == "\t" or (gone and not gone.strip(" "))
    if " " in gone and not left.endswith("\t"):
        assert width_of(left, tab) % step == 0
    assert width_of(lead, tab) - width_of(left, tab) <= max(step, tab)


@given(st.lists(st.text(" \tif:else}({tryexp", max_size=8), max_size=6), st.sampled_from("ab"))
def test_line_is_only_ever_dedented(lines: list[str], kind: str) -> None:
    name = {"a": "a.py", "b": "a.c"}[kind]
    for typed in ("    else:", "\t\tfinally:", "      }", "  elif "):
        lead = dedented(typed, lines, name)
        assert lead is None or (typed.startswith(lead) and len(lead) < len(typed.lstrip()) + 9)
        assert lead is None or any(
            line.startswith(lead) and line[len(lead) :][:1].strip() for line in lines
        )


def test_part_goes_to_the_line_it_belongs_to() -> None:
    above = ["if a:", "    for b in c:", "        if d:", "            e", "        else:", "  f"]
    for end, typed, lead in (
        (4, "            else:", " " * 8),
        (4, "        elif ", None),
        (5, "        else:", "    "),
        (5, "        elif ", ""),
        (4, "            finally:", None),
        (4, "    }", None),
    ):
        assert dedented(typed, above[end - 1 :: -1], "a.py") == lead, typed
    assert dedented("    else:", ["if a:"], "a.md") is None
    assert dedented("    }", ["b", "f {"], "a.txt") is None


def test_case_goes_to_the_case_before_it_in_its_own_match() -> None:
    lines = ["match a:", "    case 1:", "        match b:", "            case 2:", " " * 16 + "c"]
    for end, typed, lead in (
        (1, "    case 1:", None),
        (2, "        case _:", "    "),
        (3, "            case 2:", None),
        (5, " " * 16 + "case Point(x=0):", " " * 12),
        (5, " " * 16 + "case", None),
        (5, " " * 16 + "case:", None),
    ):
        assert dedented(typed, lines[end - 1 :: -1], "a.py") == lead, typed
    assert dedented("        case 2:", ["        f()", "    case 1:", "match a:"], "a.js") is None


def test_blocks_are_opened_by_brackets_colons_and_words() -> None:
    for line, name in (
        ("if a; then", "a.sh"),
        ("case $a in", "a.sh"),
        ("for a in b; do", "a.zsh"),
        ("local function a()", "a.lua"),
        ("a.each do |b|", "a.rb"),
        ("{", "a.json"),
    ):
        assert opens_block(line, name), line
    for line, name in (
        ("if a then b end", "a.lua"),
        ("ends = 1", "a.rb"),
        ("# do", "a.sh"),
        ("do", "a.c"),
        ("(", "a.txt"),
        ("", "a.py"),
    ):
        assert not opens_block(line, name), line
    assert opens_inside("a { ", "\t} b", "a.c")
    assert not opens_inside("a {", "x}", "a.c") and not opens_inside("a (", "}", "a.c")
