"""What comes in pairs, by the file, the line and the column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.pairs import BRACKETS, Pending, holds_empty_pair, opens_pair, pairs_of

from ..tui.modelled import Typist

SIGNS = st.text(st.sampled_from("()[]{}\"'`a _\\,"), max_size=12)


@pytest.mark.parametrize(
    ("names", "quotes"),
    [
        ("a.py a.c a.java a.lua a.sql a.css Makefile a.hpp", "\"'"),
        ("a.js a.ts a.tsx a.go a.sh a.zsh", "\"'`"),
        ("a.md", '"`'),
        ("a.rs a.txt a.json a.html a.vue a.tex a.el notes", '"'),
    ],
)
def test_quotes_are_those_of_the_language(names: str, quotes: str) -> None:
    for name in names.split():
        assert pairs_of(name) == {**BRACKETS, **dict(zip(quotes, quotes, strict=True))}, name


@pytest.mark.parametrize(
    ("line", "sign", "opens"),
    [
        ("f|", "(", True),
        ("f| x", "(", True),
        ("f|x", "(", False),
        ("f|é", "(", False),
        ("f|_", "(", False),
        ("f|(x)", "(", False),
        ("f(|)", "(", True),
        ("f(|, x)", "[", True),
        ('f|"a"', "(", False),
        ("|", ")", False),
        ("x = |", '"', True),
        ("x|", '"', False),
        ("x = f|", '"', True),
        ("x = rb|", '"', True),
        ("x = df|", '"', False),
        ("x = f|", "`", False),
        ('x = "a |', '"', False),
        ('x = "a", |', '"', True),
        ('""|', '"', False),
        ("don|", "'", False),
        ("don|t", "'", False),
        ("\\|", "'", False),
        ("|", "x", False),
        ("|\u0301", "(", False),
    ],
)
def test_pair_is_put_in_where_one_is_meant(line: str, sign: str, opens: bool) -> None:
    column = line.index("|")
    line = line.replace("|", "", 1)
    assert opens_pair(line, column, sign, pairs_of("a.js"), inner=False) is opens


def test_pair_in_one_that_was_put_in_opens_before_its_end() -> None:
    assert opens_pair('f""', 2, "{", pairs_of("a.py"), inner=True)
    assert not opens_pair('f""', 2, "{", pairs_of("a.py"), inner=False)


@pytest.mark.parametrize(
    ("line", "empty"),
    [
        ("(|)", True),
        ("x['|']", True),
        ("(|]", False),
        ("|()", False),
        ("()|", False),
        ('""|"', False),
        ("'a'|'b'", False),
        ("", False),
    ],
)
def test_empty_pair_is_told_from_signs_that_meet(line: str, empty: bool) -> None:
    column = line.find("|")
    assert holds_empty_pair(line.replace("|", ""), max(column, 0), pairs_of("a.py")) is empty


@given(SIGNS, st.integers(0, 12), st.sampled_from("([{\"'`"))
def test_pair_that_is_put_in_can_be_taken_out(line: str, column: int, sign: str) -> None:
    pairs, column = pairs_of("a.js"), min(column, len(line))
    if opens_pair(line, column, sign, pairs, inner=False):
        longer = line[:column] + sign + pairs[sign] + line[column:]
        assert holds_empty_pair(longer, column + 1, pairs)


def test_what_was_put_in_is_known_by_what_follows_it() -> None:
    outer = Pending().opened(3, 1)
    inner = outer.opened(3, 2)
    assert inner.tails == (2, 1) and inner.has(3, 2) and not inner.has(4, 2)
    assert inner.closed(3, 2) == outer
    assert inner.closed(3, 1).tails == ()
    assert inner.opened(3, 5).tails == (5, 2, 1)
    assert inner.opened(4, 1).tails == (1,) and inner.closed(4, 1).tails == ()


WORDS = st.text("ab, .=", max_size=3)
BALANCED = st.recursive(
    st.one_of(WORDS, WORDS.map('"{}"'.format)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("([{"), inner).map(
            lambda one: one[0] + one[1] + BRACKETS[one[0]]
        ),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=8,
)


@given(BALANCED, st.sampled_from(["a.py", "a.js", "a.rs", "a.md", "a.txt"]))
def test_text_in_which_all_is_closed_is_what_was_typed(text: str, name: str) -> None:
    typist = Typist("", (0, 0), name, 4, "    ", Pending())
    typist.types(text)
    assert typist.text == text and typist.selection == (len(text), len(text))
