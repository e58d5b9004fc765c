"""A language's demand goes before what the lines of a text have, and that before what is usual."""

from __future__ import annotations

import pytest

from dgedit.text.indentation import uses_tabs


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
