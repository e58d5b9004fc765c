"""Which names a filled hole leaves unbound, and that such infills come later."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgedit_engine.decode import search as module
from dgedit_engine.decode.certainty import FEATURES, Certainty
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row
from dgedit_engine.decode.pool import begin
from dgedit_engine.decode.search import search
from dgedit_engine.decode.unbound import names_around, names_of
from dgedit_engine.model.cache import KVCache
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Hole, InfillRequest, Passage
from small_base import CONFIG, leaning, model, reader, request, tokenizer


def unbound(marked: str, text: str, path: str = "a.py") -> int | None:
    before, _, behind = marked.partition("<FILL>")
    names = names_around(path, before, behind)
    return names.unbound(text) if names else None


@pytest.mark.parametrize(
    ("marked", "text", "count"),
    [
        ("def f(a):\n    <FILL>\n    return b\n", "b = a", 0),
        ("def f(a):\n    <FILL>\n    return b\n", "a += 1", 1),
        ("def f(a):\n    <FILL>\n    return b + c\n", "pass", 2),
        ("def f(a):\n    return <FILL>\n", "a + len(a)", 0),
        ("def f(a):\n    return <FILL>\n", "c.a(b=1)", 1),
        ("def f(a):\n    return <FILL>\n\n\nc = 1\n", "c", 0),
        ("import c\n\ndef f(a):\n    return <FILL>\n", "c", 0),
        ("def f(a):\n    return <FILL>\n\n\ndef g():\n    global c\n    c = 1\n", "c", 0),
        ("def f(a):\n    return <FILL>\n\n\ndef g():\n    c = 1\n", "c", 1),
        ("def f(a):\n    return [<FILL>]\n", "b for b in a if b", 0),
        ("def f(a):\n    return [<FILL>]\n", "b for a in a if b", 1),
        ("class A:\n    x = 1\n\n    def f(self):\n        return <FILL>\n", "x", 1),
        ("class A:\n    x = 1\n    y = <FILL>\n", "x", 0),
        ("def f():\n    with open() as a:\n        <FILL>\n    return a\n", "def b(): a", 0),
        ("<FILL>\n\n\ndef f():\n    return a\n", "import a", 0),
        ("<FILL>\n\n\ndef f():\n    return a\n", "import b", 1),
        ("@a\ndef f():\n    return <FILL>\n", "1", 1),
        ("x = 1\nif x:\n    <FILL>\nelse:\n    b = 2\nprint(b)\n", "b = 1", 0),
        ('def f():\n    """Say\n\nwhat.\n    """\n    return <FILL>\n', "b", 1),
        ("def f():\r\n    return <FILL>\r\n", "b", 1),
        ("spark.a()\n\n\ndef f():\n    return <FILL>\n", "spark", 0),  # something gives it
        ("def f():\n    return <FILL>\n", "__file__, super", 0),
    ],
)
def test_names_are_counted(marked: str, text: str, count: int) -> None:
    assert unbound(marked, text) == count


@pytest.mark.parametrize(
    ("marked", "text", "path"),
    [
        ("from os import *\n\ndef f():\n    return <FILL>\n", "b", "a.py"),
        ("def f():\n    return <FILL>\n", "b", "a.js"),
        ("def f():\n" + "    pass\n" * 10_000 + "    return <FILL>\n", "b", "a.py"),
    ],
)
def test_nothing_is_said_where_it_cannot_be_told(marked: str, text: str, path: str) -> None:
    assert unbound(marked, text, path) is None


@pytest.mark.parametrize("text", ["b)", "\0", "b\n  c\n", "(" * 300])
def test_text_that_does_not_parse_binds_nothing(text: str) -> None:
    assert unbound("def f():\n    return <FILL>\n", text) == 0
    assert unbound("def f():\n    <FILL>\n    return c\n", text) == 1
    assert unbound("def f():\n    return g(<FILL>\n", "b") == 1


def test_every_word_of_a_broken_or_large_rest_is_known() -> None:
    for rest in ("class c:\n  1 1\n", "c = 1\n" + "d = 2\n" * 50_000):
        for name, count in (("c", 0), ("b", 1)):
            assert unbound(f"{rest}\n\n\ndef f():\n    return <FILL>\n", name) == count


def test_our_own_files_read_no_name_that_nothing_binds() -> None:
    folder = Path(module.__file__).parent
    for file in sorted(folder.glob("*.py"))[:12]:
        text = file.read_text()
        for node in ast.parse(text).body:
            lines = text.splitlines(keepends=True)
            before, own = lines[: node.lineno - 1], lines[node.lineno - 1 : node.end_lineno]
            names = names_around("a.py", "".join(before), "".join(lines[node.end_lineno :]))
            assert names and names.unbound("".join(own)) == 0, (file.name, node.lineno)


def test_names_of_a_request_are_those_with_the_holes_before_filled() -> None:
    parts = ("def f():\n    ", Hole(), "\n    return ", Hole(), "\n")
    asked = InfillRequest((Passage("a.py", parts, above="c = 1\n\n\n", below="d = 1\n"),))
    assert names_of(asked, 0, ()) is None  # the other one may bind what this one does not
    names = names_of(asked, 1, ("b = 1",))
    assert names and [names.unbound(text) for text in ("b", "c", "d", "e")] == [0, 0, 0, 1]
    twice = replace(asked, passages=(replace(asked.passages[0], path="b.py"), *asked.passages))
    names = names_of(twice, 3, ("", "", "e = 1"))
    assert names and [names.unbound(text) for text in ("e", "b")] == [0, 1]


def test_candidate_that_leaves_a_name_unbound_comes_later_and_is_never_sure() -> None:
    made = reader(model(bias=leaning(tokenizer())), KVCache(CONFIG, dtype=torch.float32))
    sure = Certainty(9.0, dict.fromkeys(FEATURES, 0.0))
    pool = begin(
        replace(made, certainty=sure),
        request("def f(a):\n    return ", Hole(), "\n", path="a.py"),
        0,
        (),
    )
    pool.judge({"a": 0.0, "zz": 0.0})
    one, two = pool.best
    assert (one.text, one.unbound, two.unbound) == ("a", 0, 1)
    assert two.joint == pytest.approx(two.own + two.after - 4.0)
    found = [replace(two, after=two.after + 100), one]
    first, second = (pool.certainty(found, at) for at in (0, 1))
    assert first == 0.05 and second is not None and second > 0.9


def test_names_python_has_are_known() -> None:
    assert all(unbound("<FILL>", name) == 0 for name in dir(builtins) if name.isidentifier())


@pytest.mark.parametrize(
    ("marked", "starts"),
    [
        ("def f(a):\n<FILL>\n    return b\n", ["    b ="]),
        ("def f(a):\n    <FILL>\n    return c + b\n", ["c =", "b ="]),
        ("def f(a):\n    <FILL>\n    return b(a)\n", ["def b("]),
        ("def f(a):\n    <FILL>\n    return math.sqrt(a)\n", ["import math"]),
        ("def f(a):\n    x = 1\n<FILL>\n        print(b)\n", ["    for b in"]),
        ("def f(a):\n    for x in a:\n<FILL>\n            g = x, b, c\n", ["        for b, c in"]),
        ("def f(a):\n<FILL>\n        return c\n    return b(a)\n", ["    def b(", "    for c in"]),
        ("class A:\n\tdef f(a):\n<FILL>\n\t\treturn b\n", ["\t\tb ="]),
        ("import os\n<FILL>\n\n\ndef f():\n    return b\n", ["b ="]),
        ("def f(a):\n    return <FILL>\n", []),
        ("def f(a):\n    return <FILL>, b\n", []),
        ("def f(a):\n<FILL>\n    return a\n", []),
    ],
)
def test_statements_that_bind_what_is_missing(marked: str, starts: list[str]) -> None:
    before, _, behind = marked.partition("<FILL>")
    names = names_around("a.py", before, behind)
    assert names and names.bindings(Surroundings(before, behind)) == starts


@pytest.mark.parametrize(
    ("marked", "text", "starts"),
    [
        ("def f(a):\n<FILL>\n    return c + b\n", "    c = 1\n", ["    b ="]),
        ("def f(a):\n    <FILL>\n    return c + b\n", "c = 1\n", ["    b ="]),
        ("def f(a):\n<FILL>\n    return c + b\n", "    for c in a:\n        pass\n", ["    b ="]),
        ("def f(a):\n<FILL>\n    return c + b\n", "    b = c = 1\n", []),
    ],
)
def test_further_statements_bind_what_is_still_missing(
    marked: str, text: str, starts: list[str]
) -> None:
    before, _, behind = marked.partition("<FILL>")
    names = names_around("a.py", before, behind)
    assert names and names.bindings(Surroundings(before, behind), text) == starts


def test_drafts_begin_with_what_binds_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = reader(model(bias=leaning(tokenizer())), KVCache(CONFIG, dtype=torch.float32))
    asked = request("def f(a):\n    ", Hole(), "\n    return total\n", path="a.py")
    forced: list[str] = []
    drafted = module.drafted

    def watched(*given: Any, **options: Any) -> Iterator[list[Row]]:
        forced.append(options["forced"])
        for written in drafted(*given, **options):
            assert all(options["forced"].endswith(row.left) for row in written)
            yield written

    monkeypatch.setattr(module, "drafted", watched)
    pool = begin(opened, asked, 0, ())
    for _ in search(pool, asked, Decoding(candidates=4), torch.Generator()):
        pass
    assert forced == ["", "total ="]
    named = begin(opened, replace(asked, exact=True), 0, ())
    for _ in search(named, replace(asked, exact=True), Decoding(candidates=1), torch.Generator()):
        pass
    assert forced[2:] == [""]  # no more than what was asked for
