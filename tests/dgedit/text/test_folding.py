"""What can be folded in a text: by its grammar, or by its indentation."""

from __future__ import annotations

import random

import pytest
from tree_sitter import Parser, Tree

from dgedit.text.folding import Fold, all_folds, fold_mark, folds_at, levels
from dgedit.text.languages import grammar_of

PYTHON = '''\
@decorated
def one(a,
        b):
    """More
    lines.
    """
    if a:
        x = [
            1,
        ]
    elif b:
        pass
        more
    else:
        foo(1, {
            2: 3,
        })

class Two:

    def three(self): return 1
'''
SCRIPT = """\
/* a
 b */
export function f(a) {
  if (a) {
    b();
  } else {
    c();
  }
  const g = (x) => {
    return 1;
  };
}
"""
MARKDOWN = "# A\n\ntext\n\n## B\n\n```py\nx\ny\n```\n\n# C\nend of it\n"
SHELL = "f() {\n  if a; then\n    b\n  else\n    c\n  fi\n}\n"


def parsed(language: str | None, text: str) -> Tree | None:
    grammar = grammar_of(language) if language else None
    if language and grammar is None:
        pytest.skip(f"no grammar for {language}")
    return Parser(grammar).parse(text.encode()) if grammar else None


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("python", PYTHON, "1-16 3-5 6-9 7-8 10-12 13-16 14-15 18-20"),
        ("javascript", SCRIPT, "0-1 2-10 3-4 5-6 8-9"),
        ("markdown", MARKDOWN, "0-9 4-9 6-9 11-12"),
        ("bash", SHELL, "0-5 1-2 3-4"),
        ("json", '{\n  "a": [\n    1\n  ],\n  "b": {}\n}\n', "0-4 1-2"),
        ("yaml", "a:\n  b: 1\n  c:\n    - 2\nd: 3\n", "0-3 2-3"),
        ("toml", "[a]\nb = 1\n\n[c]\nd = 2\n", "0-1 3-4"),
        ("html", "<div>\n <p>\n  a\n </p>\n</div>\n", "0-3 1-2"),
        ("rust", "pub fn f() {\n    match a {\n        _ => 1,\n    }\n}\n", "0-3 1-2"),
        ("go", "func f() {\n\tif a {\n\t\tb\n\t} else {\n\t\tc\n\t}\n}\n", "0-5 1-2 3-4"),
        ("css", "a {\n  b: c;\n}\n", "0-1"),
        (None, "a\n  b\n\tc\n\n  d\n\ne\n  f", "0-4 1-2 6-7"),
        (None, "", ""),
        (None, "  a\n b\nc\n\n", ""),
        ("python", "def f(:\n  [\n", ""),
        ("python", "x = [\n1,\n2], [\n3]  # end\n", "0-1 2-3"),
    ],
)
def test_parts_are_folded_under_their_first_line(
    language: str | None, text: str, found: str
) -> None:
    lines, tree = text.split("\n"), parsed(language, text)
    expected = [Fold(*map(int, one.split("-"))) for one in found.split()]
    assert all_folds(lines, tree) == expected
    for row in range(len(lines)):
        around = [one for one in expected if one.head <= row <= one.last]
        assert folds_at(lines, row, tree) == sorted(around, reverse=True), row


def test_folds_are_in_order_and_in_each_other_whatever_the_text_is() -> None:
    dice = random.Random(0)
    pieces = PYTHON.split("\n")
    for _ in range(60):
        lines = dice.choices(pieces, k=dice.randrange(30)) or [""]
        for tree in (parsed("python", "\n".join(lines)), None):
            folds = all_folds(lines, tree)
            assert len({one.head for one in folds}) == len(folds) and folds == sorted(folds)
            for head, last in folds:
                assert 0 <= head < last < len(lines) and lines[last].strip()
                assert not any(head < one.head <= last < one.last for one in folds)
            for row in range(len(lines)):
                assert set(folds_at(lines, row, tree)) <= set(folds)


def test_levels_count_from_the_outside() -> None:
    folds = [Fold(0, 9), Fold(1, 4), Fold(2, 3), Fold(5, 6), Fold(10, 11)]
    assert [level for level, _ in levels(folds)] == [1, 2, 3, 2, 1]


def test_mark_says_how_many() -> None:
    assert [fold_mark(count) for count in (0, 1, 2, 1234)] == [
        *("", " ⋯ 1 line", " ⋯ 2 lines", " ⋯ 1,234 lines")
    ]
