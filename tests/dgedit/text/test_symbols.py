"""Definitions of a name, and what a place is in."""

from __future__ import annotations

import pytest
from tree_sitter import Parser

from dgedit.text.languages import grammar_of, names_of
from dgedit.text.symbols import around, defined

TEXTS = {
    "python": "class A:\n    async def get(self):\n        get(1)\n\n\ndef other(): ...\n",
    "javascript": "class A {\n  get() {\n    return get(1)\n  }\n}\nconst other = () => 1\n",
    "rust": "impl A {\n  fn get() {\n    get(1)\n  }\n}\nfn other() {}\nstruct A {}\n",
    "go": "package a\nfunc (a A) get() {\n\tget(1)\n}\nfunc other() {}\ntype (\n\tA struct{}\n)\n",
    "java": "class A {\n  int get() {\n    return get(1);\n  }\n  int other() { return 1; }\n}\n",
}


@pytest.mark.parametrize("language", TEXTS)
def test_definitions_of_a_name(language: str) -> None:
    text = TEXTS[language]
    lines = text.split("\n")
    for name, rows in (("get", 1), ("other", 1), ("A", 1), ("ge", 0), ("a.get", 0)):
        found = defined(text, language, name)
        assert len(found) == rows, (name, found)
        for one in found:
            assert lines[one.row][one.column :].startswith(name)


def test_text_of_a_language_without_names_has_no_definitions() -> None:
    assert defined("def one(): ...", None, "one") == defined("one", "html", "one") == []


@pytest.mark.parametrize("language", TEXTS)
def test_place_is_in_the_innermost_symbol(language: str) -> None:
    text = TEXTS[language]
    grammar = grammar_of(language)
    assert grammar is not None
    tree, lines = Parser(grammar).parse(text.encode()), text.split("\n")
    assert around(tree, lines, language, 2, 3) == ("get" if language == "go" else "A.get")
    assert around(tree, lines, language, len(lines) - 1, 0) == ""


def test_place_deep_in_a_long_text_is_found_by_its_row() -> None:
    text = "class A:\n    def a(self):\n        é = 1\n" + "        b = 1\n" * 300 + "c = 1\n"
    grammar = grammar_of("python")
    assert grammar is not None
    tree, lines = Parser(grammar).parse(text.encode()), text.split("\n")
    assert around(tree, lines, "python", 200, 10) == "A.a"
    assert around(tree, lines, "python", 303, 1) == ""


def test_names_of_files_are_globs() -> None:
    assert names_of("python") == ["*.py", "*.pyi"]
