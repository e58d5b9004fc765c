"""`dgedit fill --interactive`, on a terminal of its own: what keys do, and how it ends."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripted import PATH

# The program with two candidates, which say the seed, and an editor that says what it was given.
DRIVER = """
import fcntl, os, sys, termios
from dataclasses import replace
from pathlib import Path
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dgedit import cli
from dgedit.engines import connect as backend
from dgedit.tui import app
from dgedit_engine.types import Candidate, Draft
from scripted import Scripted

JUDGED = "JUDGED" in os.environ

class Two(Scripted):
    def infill(self, request):
        self.texts = (f"first of {request.seed}",)
        for step in super().infill(request):
            if step.last:
                other = Draft((f"second of {request.seed}",), (0.5,), (True,))
                both = step.drafts, (other,) * len(step.drafts)
                each = zip(*both, strict=True)
                judged = [("draft", None, 0.12), ("sample", 2, 0.9)]
                offered = tuple(
                    tuple(
                        Candidate(c, 0.0, origin, faults if JUDGED else 0, sure if JUDGED else None)
                        for c, (origin, faults, sure) in zip(one, judged)
                    )
                    for one in each
                )
                step = replace(step, candidates=offered)
            yield step

def edit(self):
    holes = [(editor.path.name, hole.start, hole.end) for e in [self] for editor in e.editors
             for hole in editor.holes]
    request, infill = self.answered
    shown = f"{infill.texts} {request.seed} {request.instruction}"
    Path("edited").write_text(f"{holes} {self.editor.selection.end} {shown}")

app.DgeditApp.run = edit
backend.connect = lambda *args, **options: Two(pause=float(os.environ["PAUSE"]))
cli.main()
"""


class Terminal:
    """A program and its terminal."""

    def __init__(self, folder: Path, *args: str, pause: float = 0.0, rows: int = 40) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (rows, 80))
        self.before = termios.tcgetattr(self.ours)
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *args],
            cwd=folder,
            env=os.environ
            | {"PYTHONPATH": PATH, "TERM": "xterm", "PAUSE": str(pause), "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, words: str, seconds: float = 30) -> str:
        """What is on it up to these words, since the last time."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 65536).decode()
        shown, _, self.seen = self.seen.partition(words)
        return shown

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        """The exit code, with the terminal as it was."""
        deadline = time.monotonic() + 90
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.ours], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.ours, 65536).decode()
                except OSError:  # nobody is on the other side
                    time.sleep(0.05)
        code = self.process.wait(1)
        assert termios.tcgetattr(self.ours) == self.before
        return code


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []
    (tmp_path / "a.py").write_bytes(b"a = <FILL>\r\n")
    (tmp_path / "b.py").write_bytes(b"b = <FILL>\nc = 2")

    def make(*args: str, pause: float = 0.0, rows: int = 40) -> Terminal:
        opened.append(Terminal(tmp_path, "fill", "-i", *args, pause=pause, rows=rows))
        return opened[-1]

    yield make
    for one in opened:
        one.process.kill()
        one.process.wait()
        os.close(one.ours)


def texts(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "a.py").read_bytes(), (folder / "b.py").read_bytes()


def test_each_file_is_asked_about_and_only_what_is_accepted_is_written(
    terminal: Open, tmp_path: Path
) -> None:
    one = terminal("a.py", "b.py")
    shown = one.until("quit ? ")
    assert "+a = first of 0" in shown and "b.py" not in shown
    assert "a.py · candidate 1 of 2 · 1 more to ask about" in shown
    one.type("n")
    assert "+b = first of 0" in one.until("quit ? ")
    one.type("y")
    assert one.end() == 0
    assert texts(tmp_path) == (b"a = <FILL>\r\n", b"b = first of 0\nc = 2")


@pytest.mark.parametrize("key", ["n", "q", "\x04"])
def test_what_is_not_accepted_is_not_written(terminal: Open, tmp_path: Path, key: str) -> None:
    one = terminal("a.py")
    one.until("quit ? ")
    one.type(key)
    assert one.end() == 1
    assert texts(tmp_path)[0] == b"a = <FILL>\r\n"


def test_question_names_the_doubt_about_the_candidate_that_is_shown(
    terminal: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGED", "1")
    (tmp_path / "b.py").write_text("<FILL>\n\n<FILL>\n")
    one = terminal("a.py", "b.py")
    assert "a.py · candidate 1 of 2 · 1 more to ask about · unsure (12%)\r\n" in one.until(" ? ")
    one.type("c")
    words = "a.py · candidate 2 of 2 · 1 more to ask about · breaks the syntax (2 errors)\r\n"
    assert words in one.until(" ? ")
    one.type("n")
    words = "line 1: breaks the syntax (2 errors), line 3: breaks the syntax (2 errors)\r\n"
    assert f"b.py · candidate 2 of 2 · {words}" in one.until(" ? ")
    one.type("y")  # whoever is asked may write it
    assert one.end() == 0
    assert (tmp_path / "b.py").read_text() == "second of 0\n\nsecond of 0\n"
    sure = terminal("a.py", "--caution", "0.1")
    assert sure.until(" ? ").count("unsure") == 0
    sure.type("q")
    assert sure.end() == 1


def test_quitting_writes_nothing_that_was_accepted_before(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py", "b.py")
    for key in "yq":
        one.until("quit ? ")
        one.type(key)
    assert one.end() == 1
    assert texts(tmp_path)[0] == b"a = <FILL>\r\n"


def test_candidates_come_round_and_a_re_roll_has_the_next_seed(
    terminal: Open, tmp_path: Path
) -> None:
    one = terminal("a.py", "--seed", "7")
    one.until("quit ? ")
    for key, words in [
        ("c", "+a = second of 7"),
        ("c", "+a = first of 7"),
        ("r", "+a = first of 8"),
        ("c", "+a = second of 8"),
    ]:
        one.type(key)
        assert words in one.until("quit ? ")
    one.type("Y")
    assert one.end() == 0
    assert texts(tmp_path)[0] == b"a = second of 8\r\n"


def test_another_candidate_takes_answers_back(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py", "b.py")
    for key in "ycny":
        one.until("quit ? ")
        one.type(key)
    assert one.end() == 0
    assert texts(tmp_path) == (b"a = <FILL>\r\n", b"b = second of 0\nc = 2")


def test_other_keys_ask_again_and_do_nothing(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py")
    for key in ("x", "\x1b[A", "\x1by", "é"):
        one.until("quit ? ")
        one.type(key)
        assert "+a" not in one.until("a.py · candidate")
    one.until("quit ? ")
    one.type("q")
    assert one.end() == 1


def test_diff_that_is_too_long_is_shown_by_d(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("".join(f"<FILL> {n}\n" for n in range(30)))
    one = terminal("a.py", rows=20)
    shown = one.until("quit ? ")
    assert "first of 0 29" not in shown and "more lines: d shows them" in shown
    assert "d whole diff" in shown
    one.type("d")
    shown = one.until("quit ? ")
    assert "first of 0 29" in shown and "d whole diff" not in shown
    one.type("d")  # all of it is there
    assert "+first" not in one.until("quit ? ")
    one.type("q")
    assert one.end() == 1


def test_key_that_would_do_nothing_is_not_offered(terminal: Open) -> None:
    one = terminal("a.py")
    assert one.until(" ? ").endswith("y yes  n no  c candidate  r re-roll  e edit  q quit")
    one.type("d")
    assert "+a" not in one.until("quit ? ")
    one.type("q")
    assert one.end() == 1


def test_a_accepts_this_file_and_the_rest(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py", "b.py")
    assert "n no  a all  c candidate" in one.until("quit ? ")
    one.type("a")
    assert one.end() == 0
    assert texts(tmp_path) == (b"a = first of 0\r\n", b"b = first of 0\nc = 2")
    assert "wrote a.py: 1 hole\r\nwrote b.py: 1 hole\r\n" in one.seen


def test_what_was_written_is_told(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("<FILL>\nfirst of 0\n<FILL>\n")
    one = terminal("a.py:1", "a.py:2", "a.py:3", "b.py")
    for key in "yn":
        one.until("quit ? ")
        one.type(key)
    assert one.end() == 0
    assert one.seen.endswith("n\r\nwrote a.py: 2 of 3 holes\r\n")


def test_nothing_written_is_told(terminal: Open) -> None:
    one = terminal("a.py")
    one.until("quit ? ")
    one.type("q")
    assert one.end() == 1
    assert one.seen.endswith("wrote nothing\r\n")


def test_keys_typed_ahead_are_no_answer(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py", pause=0.5)
    one.until("step 1")
    one.type("y\n")
    one.until("quit ? ")
    one.type("q")
    assert one.end() == 1
    assert texts(tmp_path)[0] == b"a = <FILL>\r\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_leaves_the_file_and_the_terminal(
    terminal: Open, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    one = terminal("a.py")
    one.until("quit ? ")
    assert termios.tcgetattr(one.ours) != one.before
    one.process.send_signal(number)
    assert one.end() == code
    assert texts(tmp_path)[0] == b"a = <FILL>\r\n"


def test_continued_it_asks_again(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py")
    one.until("quit ? ")
    termios.tcsetattr(one.ours, termios.TCSANOW, one.before)  # as a shell does meanwhile
    one.process.send_signal(signal.SIGCONT)
    one.until("quit ? ")
    one.type("y")
    assert one.end() == 0


def test_file_that_changed_meanwhile_is_not_overwritten(terminal: Open, tmp_path: Path) -> None:
    one = terminal("a.py")
    one.until("quit ? ")
    (tmp_path / "a.py").write_text("theirs")
    one.type("y")
    assert one.end() == 4
    assert texts(tmp_path)[0] == b"theirs"


def test_e_goes_on_in_the_editor_with_what_is_shown_open_in_the_holes(
    terminal: Open, tmp_path: Path
) -> None:
    one = terminal("b.py:2:5-2:6", "a.py", "b.py:1", "-m", "say")
    for key in "rce":
        one.until("quit ? ")
        one.type(key)
    assert one.end() == 0
    holes = [("b.py", 0, 10), ("b.py", 15, 16), ("a.py", 4, 10)]
    shown = f"{('second of 1',) * 3} 1 say"
    assert (tmp_path / "edited").read_text() == f"{holes} (0, 0) {shown}"
    assert texts(tmp_path) == (b"a = <FILL>\r\n", b"b = <FILL>\nc = 2")
