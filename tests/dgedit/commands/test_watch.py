"""`dgedit watch`: what is asked of a model, what is written and said, and how it ends."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli, signals
from dgedit.commands import watch as watch_command
from dgedit.commands.watch import fill
from dgedit.errors import ConflictError, EngineError, Exit, UsageError
from dgedit.files.document import Document, Span
from dgedit.files.watching import Watching
from dgedit_engine.types import Infill
from scripted import Scripted

Capture = pytest.CaptureFixture[str]


def told(capsys: Capture) -> tuple[list[str], list[str]]:
    """The lines on stdout, without their seconds, and those on stderr."""
    out, err = capsys.readouterr()
    return [line.split("  ")[0] for line in out.splitlines()], err.splitlines()


def once(*args: str) -> int:
    return cli.run(["watch", "--once", *args])


# Filling a document


def asking(texts: Sequence[str], asked: list[tuple[str, list[str], str]]) -> Callable[..., Infill]:
    """Fills with these texts, and notes what it is asked."""
    left = iter(texts)

    def ask(document: Document, spans: Sequence[Span], words: str) -> Infill:
        held = [document.text[span.start : span.end] for span in spans]
        asked.append((document.text, held, words))
        return Infill(tuple(next(left) for _ in spans), 0.0, 1, 0.0, "settled")

    return ask


def test_markers_that_say_the_same_are_filled_together_and_the_others_in_order() -> None:
    text = "1 <FILL: b>\n2 <FILL>\n3 <FILL: b>\n4 <FILL>\n5 <FILL: c>\n"
    asked: list[tuple[str, list[str], str]] = []
    saved: list[str] = []

    def save(document: Document) -> Document:
        saved.append(document.text)
        return document

    ask = asking(["x\ny", "b", "no", "None", "the end"], asked)
    done = list(fill(Document.from_text(text), ask, save, marker="<FILL>"))
    first = "1 x\ny\n2 <FILL>\n3 b\n4 <FILL>\n5 <FILL: c>\n"
    second = "1 x\ny\n2 no\n3 b\n4 None\n5 <FILL: c>\n"
    third = "1 x\ny\n2 no\n3 b\n4 None\n5 the end\n"
    assert asked == [
        (text, ["<FILL: b>"] * 2, "b"),
        (first, ["<FILL>"] * 2, ""),
        (second, ["<FILL: c>"], "c"),
    ]
    assert saved == [first, second, third]
    assert [one.lines for one in done] == [(1, 4), (3, 5), (6,)]


def test_marker_that_a_model_wrote_is_not_filled_and_line_ends_stay() -> None:
    asked: list[tuple[str, list[str], str]] = []
    texts: list[str] = []

    def save(document: Document) -> Document:
        texts.append(document.text)
        return document

    ask = asking(["a\n<FILL>", "b"], asked)
    document = Document.from_text("<FILL: 1>\r\n<FILL>\r\n")
    assert [one.lines for one in fill(document, ask, save, marker="<FILL>")] == [(1,), (3,)]
    assert texts[-1] == "a\r\n<FILL>\r\nb\r\n"


def test_too_many_markers_are_filled_in_parts() -> None:
    counts = []

    def ask(document: Document, spans: Sequence[Span], words: str) -> Infill:
        counts.append(len(spans))
        if len(spans) > 3:
            raise ValueError(f"{len(spans)} holes in one request")
        return Infill(tuple("x" for _ in spans), 0.0, 1, 0.0, "settled")

    text = Document.from_text("<FILL>\n" * 11)
    assert sum(len(one.lines) for one in fill(text, ask, lambda one: one, marker="<FILL>")) == 11
    assert counts == [11, 5, 2, 2, 2, 2, 2, 1]


def test_one_marker_that_cannot_be_filled_is_an_error() -> None:
    def ask(document: Document, spans: Sequence[Span], words: str) -> Infill:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(fill(Document.from_text("<FILL>" * 4), ask, lambda one: one, marker="<FILL>"))


# Once


def test_once_fills_what_is_there(folder: Path, scripted: Scripted, capsys: Capture) -> None:
    (folder / "a.py").write_text("<FILL: one>\n<FILL>\n")
    (folder / "b.py").write_text("nothing\n")
    assert once("-m", "short") == Exit.OK
    assert told(capsys) == (["a.py:1", "a.py:2"], [])
    assert [one.instruction for one in scripted.requests] == ["short\none", "short"]
    assert (folder / "a.py").read_text() == "filled\nfilled\n"
    assert once() == Exit.OK
    assert told(capsys) == ([], [])


def test_options_reach_the_request(folder: Path, scripted: Scripted) -> None:
    (folder / "a.py").write_text("two")
    assert once("--effort", "1", "--seed", "4", "--candidates", "2", "--marker", "two") == Exit.OK
    (request,) = scripted.requests
    assert (request.effort, request.seed, request.candidates) == (1, 4, 2)
    assert (folder / "a.py").read_text() == "filled"


def test_dry_run_asks_no_model_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("dgedit.engines.connect.connect", None)
    (folder / "a\x1b.py").write_text("\n<FILL: \x1b[2J>\n<FILL>")
    assert once("--dry-run") == Exit.OK
    assert capsys.readouterr().out == "a␛.py:2  ␛[2J\na␛.py:3\n"
    assert (folder / "a\x1b.py").read_text() == "\n<FILL: \x1b[2J>\n<FILL>"


def test_file_that_changes_meanwhile_is_a_conflict_and_its_infill_stops(
    folder: Path, scripted: Scripted, capsys: Capture
) -> None:
    steps: list[int] = []

    def save_theirs(index: int) -> None:
        steps.append(index)
        if index == 1:
            (folder / "a.py").write_text("theirs <FILL>")

    scripted.during = save_theirs
    (folder / "a.py").write_text("<FILL>")
    assert once() == Exit.CONFLICT
    assert told(capsys) == ([], ["dgedit: a.py has changed on disk since it was read"])
    assert (folder / "a.py").read_text() == "theirs <FILL>"
    assert (steps, scripted.closed) == ([1], 1)


def test_once_does_not_wait_for_git(folder: Path, scripted: Scripted, capsys: Capture) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (folder / ".git" / "MERGE_HEAD").write_text("0" * 40)
    (folder / "a.py").write_text("<FILL>")
    assert once() == Exit.CONFLICT
    why = f"dgedit: a.py is not filled before a merge in {folder} is over"
    assert told(capsys) == ([], [why])
    assert (folder / "a.py").read_text() == "<FILL>"
    assert not scripted.requests


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\0<FILL>", "a.bin is not text (7 B)"), (b"<FILL>" + b"x" * 94, "too large to edit")],
)
def test_file_that_is_no_text_or_too_large_is_skipped_with_a_word(
    folder: Path,
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    data: bytes,
    why: str,
) -> None:
    monkeypatch.setattr(watch_command, "LARGEST", 100)
    (folder / "a.bin").write_bytes(data)
    (folder / "b.bin").write_bytes(data.replace(b"<FILL>", b"------"))
    (folder / "c.py").write_text("<FILL>")
    assert once() == Exit.INPUT
    out, err = told(capsys)
    assert out == ["c.py:1"]
    assert len(err) == 1
    assert why in err[0]
    assert (folder / "a.bin").read_bytes() == data


def test_file_that_cannot_be_read_is_skipped_with_a_word(
    folder: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (folder / "a.py").write_text("<FILL>")
    (folder / "b.py").write_text("<FILL>")

    def refusing(opened: Callable[..., Any]) -> Callable[..., Any]:
        def open_(path: Any, *args: Any, **more: Any) -> Any:
            if str(path).endswith("a.py"):
                raise PermissionError(13, "Permission denied")
            return opened(path, *args, **more)

        return open_

    monkeypatch.setattr(builtins, "open", refusing(open))  # root may read anything
    monkeypatch.setattr(os, "open", refusing(os.open))
    assert once() == Exit.INPUT
    assert told(capsys) == (["b.py:1"], ["dgedit: cannot read a.py: Permission denied"])


def test_read_only_file_is_left_and_the_next_is_filled(
    folder: Path, scripted: Scripted, capsys: Capture
) -> None:
    for name in ("a.py", "b.py"):
        (folder / name).write_text("<FILL>")
    (folder / "a.py").chmod(0o444)
    assert once() == Exit.INPUT
    assert told(capsys) == (["b.py:1"], ["dgedit: a.py is read-only"])
    assert (folder / "a.py").read_text() == "<FILL>"


def test_engine_that_fails_is_opened_again_for_the_next_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def fail(index: int) -> None:
        raise RuntimeError("out of memory\nand more")

    opened: list[Scripted] = []

    def connect(*args: object, **more: object) -> Scripted:
        opened.append(Scripted() if opened else Scripted(during=fail))
        return opened[-1]

    monkeypatch.setattr("dgedit.engines.connect.connect", connect)
    for name in ("a.py", "b.py", "c.py"):
        (folder / name).write_text("<FILL>")
    assert once() == Exit.ENGINE
    failed = ["dgedit: the engine failed: out of memory"]
    assert told(capsys) == (["b.py:1", "c.py:1"], failed)
    assert len(opened) == 2


def test_engine_that_is_not_there_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def connect(*args: object, **more: object) -> Scripted:
        raise EngineError("no such model: none")

    monkeypatch.setattr("dgedit.engines.connect.connect", connect)
    (folder / "a.py").write_text("<FILL>")
    assert once() == Exit.ENGINE
    assert told(capsys) == ([], ["dgedit: no such model: none"])


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--marker", ""], Exit.USAGE),
        (["--effort", "2"], Exit.USAGE),
        (["--debounce", "-1"], Exit.USAGE),
        (["nowhere"], Exit.INPUT),
    ],
)
def test_what_cannot_be_is_said_before_it_watches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, args: list[str], code: Exit
) -> None:
    monkeypatch.setattr(Watching, "saved", lambda self: iter(()))
    assert cli.run(["watch", *args]) == code
    assert len(told(capsys)[1]) == 1


# Signals


def test_signal_during_a_write_is_heeded_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals.heed()
    done = []
    try:
        with pytest.raises(SystemExit) as ended, signals.put_off():
            signal.raise_signal(signal.SIGTERM)
            done.append("written")
        assert (ended.value.code, done) == (143, ["written"])
        with pytest.raises(SystemExit), signals.put_off():
            signal.raise_signal(signal.SIGTERM)
            raise ConflictError("nothing of this is lost on whoever sent it")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.put_off():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_usage_error_names_the_empty_marker() -> None:
    with pytest.raises(UsageError, match="marker"):
        watch_command.watch([Path()], marker="")
