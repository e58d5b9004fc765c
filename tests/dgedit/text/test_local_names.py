"""Where a name is bound, in several languages, by one rule."""

from __future__ import annotations

import re

import pytest
from tree_sitter import Parser

from dgedit.text.languages import grammar_of
from dgedit.text.local_names import bound

CASES = [
    ("python", "def f(<a>, b):\n    return @a"),
    ("python", "def f(a: int, <b>: int = 2):\n    return @b"),
    ("python", "def f(a, *<rest>, **more):\n    return @rest"),
    ("python", "b = 1\ndef f(<b>):\n    def g(c):\n        return g(b=1, c=@b)"),
    ("python", "<X> = 1\ndef f():\n    return @X\ndef g():\n    X = 2"),
    ("python", "for x, (<y>, z) in q:\n    print(@y)"),
    ("python", "with open(p) as h, q as <z>:\n    @z"),
    ("python", "import os.path, re as <r>\n@r"),
    ("python", "from a import b as c, <d>\n@d"),
    ("python", "y = 1\nz = [y for <y> in q if @y]"),
    ("python", "def f(x):\n    return lambda <x>: @x"),
    ("python", "if (<n> := 1):\n    @n"),
    ("python", "ä = 'ä'; <x> = 1\nü = 'ü', @x"),
    ("javascript", "const a = 1;\nfunction f({b, c: [<d>]}, ...e) { return @d + e }"),
    ("javascript", "const f = (h, <i>) => { return @i }"),
    ("javascript", "for (const <k> of ks) { print(@k) }"),
    ("go", "package m\nfunc f(a int) {\n for i, <v> := range xs {\n  g(@v)\n }\n}"),
    ("go", "package m\nfunc f(a int, <b> string) {\n g(@b)\n}"),
    ("rust", "fn f(a: i32, mut <b>: &str) { h(@b) }"),
    ("rust", "fn f() { let (c, <d>) = g(); let e = @d; }"),
    ("rust", "fn f() { xs.map(|<q>| @q) }"),
    ("java", "class A { int f(int a) { int <b> = 2; return @b; } }"),
    ("java", "class A { int f(int a) { for (int <c> : d) { g(@c); } return a; } }"),
]


@pytest.mark.parametrize(("language", "marked"), CASES)
def test_name_leads_to_where_it_is_bound(language: str, marked: str) -> None:
    plain = re.sub("[<@]|(?<=\\w)>", "", marked)
    name, place = wanted(marked)
    row, column = position(marked, "@")
    assert found(language, plain, name, row, column) == place


@pytest.mark.parametrize("text", ["print(@x)", "f(x=1)\n@x", "x += 1\n@x", "a.x = 1\n@x"])
def test_what_is_not_bound_leads_nowhere(text: str) -> None:
    row, column = position(text, "@")
    assert found("python", text.replace("@", ""), "x", row, column) is None


def found(language: str, text: str, name: str, row: int, column: int) -> tuple[int, int] | None:
    tree = Parser(grammar_of(language)).parse(text.encode())
    return bound(tree, text.split("\n"), name, row, column)


def wanted(marked: str) -> tuple[str, tuple[int, int]]:
    match = re.search(r"<(\w+)>", marked)
    assert match
    return match[1], position(marked, match[0])


def position(marked: str, sign: str) -> tuple[int, int]:
    """The row and column of a sign, when the marks before it are taken out."""
    before = re.sub("[<@]|(?<=\\w)>", "", marked[: marked.index(sign)])
    return before.count("\n"), len(before) - before.rfind("\n") - 1
