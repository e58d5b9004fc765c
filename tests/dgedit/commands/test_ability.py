"""What `fill`, `pipe` and `watch` do where a model cannot do what it is asked."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.commands import output
from dgedit.errors import Exit
from dgedit_engine.types import Ability
from scripted import Scripted

Capture = pytest.CaptureFixture[bytes]

UNKNOWN = "nano does not know .rs files (--force fills it all the same)\n"
COMMENT = b"dgedit: nano follows no instructions: it reads the words as a comment\n"


@pytest.fixture
def nano(scripted: Scripted) -> Scripted:
    """A backend that knows Python alone and follows no instructions."""
    scripted.name = "nano"
    scripted.ability = Ability(languages=frozenset({".py"}))
    return scripted


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# Languages


def test_fill_fills_nothing_where_one_language_is_not_known(
    folder: Path, nano: Scripted, capfdbinary: Capture
) -> None:
    for name in ("a.py", "b.rs"):
        (folder / name).write_text("<FILL>\n")
    assert cli.run(["fill", "-w", "a.py", "b.rs"]) == Exit.ENGINE
    assert capfdbinary.readouterr() == (b"", f"dgedit: b.rs: {UNKNOWN}".encode())
    assert (folder / "a.py").read_text() == "<FILL>\n" and not nano.requests
    assert cli.run(["fill", "-w", "a.py", "b.rs", "--force"]) == Exit.OK
    assert (folder / "b.rs").read_text() == "filled\n"


def test_pipe_gives_the_text_back_where_the_language_is_not_known(
    nano: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, b"<FILL>\r\n")
    assert cli.run(["pipe", "--stdin-filename", "b.RS"]) == Exit.ENGINE
    assert capfdbinary.readouterr() == (b"<FILL>\r\n", f"dgedit: b.RS: {UNKNOWN}".encode())
    assert not nano.requests
    for args in ([], ["--stdin-filename", "a.py"], ["--stdin-filename", "b.rs", "--force"]):
        feed(monkeypatch, b"<FILL>\r\n")
        assert cli.run(["pipe", *args]) == Exit.OK
        assert capfdbinary.readouterr() == (b"filled\r\n", b"")


def test_watch_skips_a_file_whose_language_is_not_known(
    folder: Path, nano: Scripted, capfdbinary: Capture
) -> None:
    for name in ("a.rs", "b.py", "c"):
        (folder / name).write_text("<FILL>\n")
    assert cli.run(["watch", "--once", ".", "a.rs"]) == Exit.ENGINE  # given out twice, said once
    out, err = capfdbinary.readouterr()
    assert err.decode() == f"dgedit: a.rs: {UNKNOWN}"
    assert sorted(line.split(b":")[0] for line in out.splitlines()) == [b"b.py", b"c"]
    assert (folder / "a.rs").read_text() == "<FILL>\n"
    assert cli.run(["watch", "--once", "--force"]) == Exit.OK
    assert (folder / "a.rs").read_text() == "filled\n"


# Instructions


@pytest.mark.parametrize("args", [["a.py:1", "-m", "say"], ["a.py"]])
def test_fill_says_once_that_words_are_a_comment(
    folder: Path, nano: Scripted, capfdbinary: Capture, args: list[str]
) -> None:
    (folder / "a.py").write_text("one\n<FILL: two>\n<FILL: three>\n")
    assert cli.run(["fill", "--print", *args]) == Exit.OK
    out, err = capfdbinary.readouterr()
    assert (b"filled" in out, err) == (True, COMMENT)
    assert cli.run(["fill", "--print", "--quiet", *args]) == Exit.OK
    assert capfdbinary.readouterr().err == b""
    assert nano.requests[0].instruction


def test_fill_says_nothing_of_words_where_there_are_none(
    folder: Path, nano: Scripted, capfdbinary: Capture
) -> None:
    (folder / "a.py").write_text("<FILL>")
    assert cli.run(["fill", "a.py"]) == Exit.OK
    assert capfdbinary.readouterr().err == b""


def test_watch_says_once_that_words_are_a_comment(
    folder: Path, nano: Scripted, capfdbinary: Capture
) -> None:
    for name in ("a.py", "b.py"):
        (folder / name).write_text("<FILL: one>\n<FILL: two>\n")
    assert cli.run(["watch", "--once"]) == Exit.OK
    assert capfdbinary.readouterr().err == COMMENT
    assert (folder / "b.py").read_text() == "filled\nfilled\n"


def test_pipe_does_not_rewrite_for_a_model_that_cannot_be_told_how(
    nano: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, b"a = 1\r\n")
    assert cli.run(["pipe", "-m", "say"]) == Exit.ENGINE
    out, err = capfdbinary.readouterr()
    why = b"nano follows no instructions: it cannot rewrite a text as it is told"
    assert (out, err) == (
        b"a = 1\r\n",
        b"dgedit: " + why + b"; --range or <FILL> says what to fill\n",
    )
    assert not nano.requests


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize(
    ("text", "args"), [(b"a\n", ["--range", "1", "-m", "say"]), (b"<FILL: say>\n", [])]
)
def test_pipe_says_that_words_are_a_comment_where_that_is_not_taken_for_the_text(
    nano: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    text: bytes,
    args: list[str],
    taken: bool,
) -> None:
    monkeypatch.setattr(output, "is_taken_for_text", lambda: taken)
    feed(monkeypatch, text)
    assert cli.run(["pipe", *args]) == Exit.OK
    assert capfdbinary.readouterr() == (b"filled\n", b"" if taken else COMMENT)
    feed(monkeypatch, text)
    assert cli.run(["pipe", *args, "--quiet"]) == Exit.OK
    assert capfdbinary.readouterr().err == b""
