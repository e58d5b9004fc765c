"""Files of languages whose grammars are an extra, in their colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit.text.languages import known, names_of, query_of
from dgedit.tui.editor import highlighting
from dgedit.tui.editor.highlighting import Parse, syntax_of


@pytest.mark.parametrize(
    ("name", "text", "word", "kind"),
    [
        ("a.ts", "const x: number = 1;", "number", "type"),
        ("a.ts", "const x: number = 1;", "const", "keyword"),
        ("a.tsx", "const x: A = <a b='c'/>;", "'c'", "string"),
        ("a.c", "int main(void) { return 0; }", "return", "keyword"),
        ("a.h", '#include "a.h"', '"a.h"', "string"),
        ("a.cpp", "class A { int x = 1; };", "class", "keyword"),
        ("a.cpp", "int x = 1; // c", "// c", "comment"),
        ("a.rb", "def f; 'x'; end", "def", "keyword"),
        ("a.php", "<?php echo 'x'; ?>", "echo", "keyword"),
        ("a.lua", "local x = 'a'", "local", "keyword"),
        ("a.swift", "func f() -> Int { 1 }", "func", "keyword"),
        ("a.scala", "def f(x: Int): Int = 1", "def", "keyword"),
        ("Dockerfile", "FROM x AS y", "FROM", "keyword"),
        ("Makefile", "ifdef X", "ifdef", "conditional"),
    ],
)
def test_words_have_their_kind(name: str, text: str, word: str, kind: str) -> None:
    syntax = syntax_of(Path(name))
    assert syntax is not None
    parse = Parse(syntax, text.split("\n"))
    assert parse.step(5)
    start = text.index(word)
    kinds = [
        one.split(".")[0]
        for begin, end, one in parse.highlights(0)
        if (begin, end or len(text)) == (start, start + len(word))
    ]
    assert kind in kinds


def test_every_language_that_is_known_has_colours() -> None:
    assert {"typescript", "tsx", "c", "cpp", "ruby"} <= set(known())
    names = [names_of(name)[0].removeprefix("*") for name in known()]
    assert not [name for name in names if syntax_of(Path(name)) is None]


def test_a_query_for_another_grammar_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "query_of", lambda name: "(no_such_node) @keyword")
    assert highlighting._load_syntax.__wrapped__("lua") is None


def test_no_query_where_a_package_is_missing() -> None:
    assert query_of("no_such_language") == ""
