"""Globs mean what git means by them, and no path stalls one."""

from __future__ import annotations

import ast
import fnmatch
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgedit.files.globs import LONGEST, compiled

ROOT = Path(__file__).parents[3]

SIGNS = ["a", "b", "*", "?", "[ab]", "[!a]", "/", "**", "/**/"]
GLOBS = st.lists(st.sampled_from(SIGNS)).map("".join)
PATHS = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


def fits(glob: str, path: str) -> bool:
    """The specification, in quadratic time: names against names, a `**` against any run of them."""
    globs, names = re.sub(r"(^|/)\*{3,}(?=/|$)", r"\1**", glob).split("/"), path.split("/")

    @cache
    def rest(at: int, to: int) -> bool:
        if at == len(globs):
            return to == len(names)
        if globs[at] != "**":
            one = re.sub(r"\*+", "*", globs[at])
            return to < len(names) and fnmatch.fnmatchcase(names[to], one) and rest(at + 1, to + 1)
        if at == len(globs) - 1:
            return at == 0 or to < len(names)
        return rest(at + 1, to) or (to < len(names) and rest(at, to + 1))

    return rest(0, 0)


@settings(max_examples=2000)
@given(GLOBS, PATHS)
def test_glob_fits_what_the_specification_says(glob: str, path: str) -> None:
    pattern = compiled(glob)
    assert pattern is not None
    assert bool(pattern.fullmatch(path)) == fits(glob, path), pattern.pattern


ODD = st.sampled_from("[]!^-:\\/*?a{}()|+.$& \n\udcff~") | st.characters()


@pytest.mark.filterwarnings("error")
@settings(max_examples=1000)
@given(st.text(ODD, max_size=12), st.text(ODD, max_size=6))
def test_any_text_is_a_glob_or_makes_no_sense(glob: str, path: str) -> None:
    pattern = compiled(glob)
    if pattern is not None and pattern.fullmatch(path):
        assert path.count("/") >= glob.replace("**", "").count("/") - 2 * glob.count("**")


@pytest.mark.parametrize(
    ("glob", "fit", "unfit"),
    [
        ("*.log", ".log a.log", "a/b.log a.logs"),
        ("[]a]", "] a", "b []a]"),
        ("[a-c-]", "a b c -", "d"),
        ("[c-a]", "", "a b c c-a"),
        ("[!a-]", "b", "a - /"),
        ("[[:digit:]x]", "1 x", "a :"),
        (r"[\]\\]", "] \\", "a"),
        (r"a\*\?", "a*?", "ab?"),
        ("x\\\\", "x\\", "x"),
        ("***/a", "a b/a", "b"),
        ("[^b]", "a", "b /"),
        ("a**b", "ab axb", "a/b"),
        ("**", "a a/b", ""),
        ("a/**", "a/b a/b/c", "a"),
        ("a/**/b", "a/b a/x/b a/x/y/b", "ab a/xb"),
        ("**/a/b", "a/b x/a/b", "xa/b a/b/c"),
        ("\n?", "\n\n", "a"),
        ("\udcff*", "\udcffa", "a"),
    ],
)
def test_glob_fits_whole_paths(glob: str, fit: str, unfit: str) -> None:
    pattern = compiled(glob)
    assert pattern is not None
    assert all(pattern.fullmatch(path) for path in fit.split(" ") if path)
    assert not any(pattern.fullmatch(path) for path in unfit.split(" ") if path)


@pytest.mark.parametrize(
    "glob",
    [
        "[",
        "a[b",
        "[]",
        "[!]",
        "[^]a",
        "[a[:alpha:]",
        "x\\",
        "[[:odd:]]",
        "a" * (LONGEST + 1),
        "[" * LONGEST,
        "[a/b]",
    ],
)
def test_glob_that_makes_no_sense_is_none(glob: str) -> None:
    assert compiled(glob) is None


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 30 + "b", "a" * 100),
        ("**/a/" * 20 + "x", "a/" * 100 + "y"),
        ("**/*a*a*a/" * 20 + "x", "aaaa/" * 100 + "y"),
        ("**/" * 60 + "*" * 60 + "x", "a/" * 200 + "y"),
        ("?*" * 60 + "x", "a" * 250),
        ("[ab]*" * 60 + "[!ab]", "ab" * 120),
        ("*a" * 2000 + "b", "a" * 4000),
    ],
)
def test_fault_9_no_path_stalls_a_glob(glob: str, path: str) -> None:
    pattern = compiled(glob)
    assert pattern is not None
    for _ in range(100):  # one that goes back does not even end once
        assert not pattern.fullmatch(path)


MAY = {
    "dgedit/commands/misuse.py": "a table of its own",
    "dgedit/commands/coercion.py": "a table of its own",
    "dgedit/files/globs.py": "the one",
    "dgedit/files/paths.py": "a folder, escaped",
    "dgedit/request/markers.py": "a marker, escaped",
    "dgedit/text/comments.py": "the marks of a language, escaped",
    "dgedit/text/edits.py": "a bracket, escaped",
    "dgedit/text/fuzzy.py": "letters, escaped, between sets that exclude them",
    "dgedit/text/indentation.py": "words of languages; a bracket, escaped",
    "dgedit/text/local_names.py": "a name, escaped",
    "dgedit/text/search.py": "an expression that a user types, under a time limit",
    "dgedit/text/symbols.py": "a name, escaped",
    "dgedit/text/words.py": "the letters of a word, escaped",
}
"""Who may make an expression of what is not in the source, and why it cannot stall."""
MAKES = r"(re|regex)\.(compile|search|match|fullmatch|sub|split|findall|finditer)"


def test_fault_9_expressions_are_made_of_patterns_in_one_way() -> None:
    found = set()
    for file in (ROOT / "dgedit").rglob("*.py"):
        name = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"fnmatch", "glob", "pathspec", "wcmatch"} & set(names), name
            if isinstance(node, ast.Call) and re.fullmatch(MAKES, ast.unparse(node.func)):
                own = all(isinstance(one, ast.Constant) for one in parts(node.args[0]))
                found |= set() if own else {name}
    assert found == set(MAY)


def parts(node: ast.expr) -> list[ast.expr]:
    """What an expression is put together of; a name in capitals is a constant of the file's."""
    if isinstance(node, ast.BinOp):
        return [*parts(node.left), *parts(node.right)]
    if isinstance(node, ast.JoinedStr):
        return [one for value in node.values for one in parts(value)]
    if isinstance(node, ast.FormattedValue):
        return parts(node.value)
    if ast.unparse(node).split(".")[0].isupper() or ast.unparse(node).endswith(".pattern"):
        return []
    return [node]
