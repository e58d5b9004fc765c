"""The editor, stopped and continued, has its terminal again, with all of the screen on it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ..interminal import DRIVER, RESTORED, InTerminal


def state(pid: int) -> str:
    """What a process does, as a letter: T when it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stopped(pid: int) -> None:
    until = time.monotonic() + 90
    while state(pid) != "T":
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_fault_21_whole_screen_is_drawn_again(tmp_path: Path, number: signal.Signals) -> None:
    lines = [f"line {at} of it" for at in range(10)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    with InTerminal(tmp_path, ["a.txt"]) as editor:
        editor.wait_for(b"scripted")
        threads = len(os.listdir(f"/proc/{editor.process.pid}/task"))
        editor.signal(number)
        stopped(editor.process.pid)
        assert (RESTORED in editor.screen) == (number == signal.SIGTSTP)
        editor.screen.clear()
        editor.signal(signal.SIGCONT)
        for words in ("ine 0 of it", *lines[1:], "a.txt:1:1", "help", "scripted"):
            editor.wait_for(words.encode())
        editor.send(b"x\x13")
        editor.wait_for(b"saved")
        # One thread reads keys: two of them would tear sequences apart.
        assert len(os.listdir(f"/proc/{editor.process.pid}/task")) <= threads
        editor.send(b"\x11")
        assert editor.end() == 0
    assert (tmp_path / "a.txt").read_text() == "x" + "\n".join(lines)


# The program, which is told to stop while it holds the lock of what is to be written.
INTERRUPTED = DRIVER.replace(
    "cli.main()",
    """
import os, signal
from textual.drivers._writer_thread import WriterThread

put = WriterThread.write

def interrupted(self, text):
    if "saved" in text and WriterThread.write is interrupted:
        WriterThread.write = put
        with self._queue.mutex:
            os.kill(os.getpid(), signal.SIGTSTP)
    put(self, text)

WriterThread.write = interrupted
cli.main()
""",
)


def test_stopped_while_it_writes_it_waits_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with InTerminal(tmp_path, ["a.txt"], driver=INTERRUPTED) as editor:
        editor.wait_for(b"scripted")
        editor.send(b"x\x13")
        stopped(editor.process.pid)
        editor.screen.clear()
        editor.signal(signal.SIGCONT)
        editor.wait_for(b"ext")
        editor.send(b"\x11")
        assert editor.end() == 0
    assert (tmp_path / "a.txt").read_text() == "xtext"


def test_continued_without_a_stop_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with InTerminal(tmp_path, ["a.txt"]) as editor:
        editor.wait_for(b"scripted")
        for _ in range(3):
            editor.signal(signal.SIGCONT)
        editor.send(b"x\x13")
        editor.wait_for(b"saved")
        editor.send(b"\x11")
        editor.signal(signal.SIGCONT)
        assert editor.end() == 0
    assert (tmp_path / "a.txt").read_text() == "xtext"
