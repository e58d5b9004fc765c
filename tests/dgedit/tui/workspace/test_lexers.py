"""The process that names parts of texts answers, is given up, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Timer
from time import monotonic

import pytest

from dgedit.tui.workspace import lexers as module
from dgedit.tui.workspace.lexers import Lexers


@pytest.fixture
def lexers() -> Iterator[Lexers]:
    one = Lexers()
    yield one
    one.close()


def test_same_process_answers_again(lexers: Lexers) -> None:
    assert lexers._process is None
    assert lexers.rows_of("a.kt", "val a\n", 0) == [[(0, 3, "keyword")], []]
    first = lexers._process
    assert lexers.rows_of("a.ini", "[a]", 0) == [[(0, 3, "keyword")]]
    assert lexers._process is first


def test_name_without_a_lexer_starts_nothing(lexers: Lexers) -> None:
    assert lexers.rows_of("a.txt", "val a", 0) is None and lexers._process is None


SLOW = """
import re, sys
from dgedit.text import lexing
lexing.SECONDS = 0.2
lexing.rows_of = lambda name, text, top: [[]] if text == "quick" else re.match("(a*)*b", "a" * 99)
lexing.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


def test_text_that_takes_too_long_is_given_up(
    lexers: Lexers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMAND", (module.sys.executable, "-P", "-c", SLOW))
    assert lexers.rows_of("a.kt", "slow", 0) is None
    assert lexers._process is None
    assert lexers.rows_of("a.kt", "quick", 0) == [[]]


def test_closing_ends_what_is_waited_for(lexers: Lexers, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "import sys, time; time.sleep(60)"
    monkeypatch.setattr(module, "_COMMAND", (module.sys.executable, "-P", "-c", endless))
    begun = monotonic()
    timer = Timer(0.3, lexers.close)
    timer.start()
    assert lexers.rows_of("a.kt", "val a", 0) is None
    assert monotonic() - begun < 30
    timer.join()
    assert lexers.rows_of("a.kt", "val a", 0) is None and lexers._process is None


def test_process_that_cannot_be_started_is_none(
    lexers: Lexers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMAND", ("/nowhere/python",))
    assert lexers.rows_of("a.kt", "val a", 0) is None
