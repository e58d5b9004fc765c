"""The editor as users have it: in a terminal, with the embedded model, on a file that others wrote.

In tmux, which draws what the editor sends and says what is on the screen. Skipped without it.
"""

from __future__ import annotations

import bisect
import heapq
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")


class InTmux:
    """A terminal of 100 by 30 cells, and what is run in it."""

    def __init__(self, socket: Path, folder: Path) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        self._do("new-session", "-d", "-x", "100", "-y", "30", "-c", str(folder), "sh")

    def press(self, *keys: str) -> None:
        """Press keys, named as tmux does; a text that is no name is typed."""
        self._do("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._do("send-keys", "-l", text)

    def screen(self) -> str:
        """What is to be seen."""
        return self._do("capture-pane", "-p")

    def wait_for(self, words: str, seconds: float = 60) -> str:
        """Wait until an expression is on the screen; the screen."""
        deadline = time.monotonic() + seconds
        while not re.search(words, screen := self.screen()):
            assert time.monotonic() < deadline, f"{words} is not in:\n{screen}"
            time.sleep(0.1)
        return screen

    def end(self) -> None:
        """Nothing is left running."""
        self._do("kill-server")

    def _do(self, *command: str) -> str:
        done = subprocess.run(
            [*self._tmux, *command],
            env=dict(os.environ),  # without the size that readline adds where Python cannot see it
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InTmux]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # The name of a socket must be short.
    with tempfile.TemporaryDirectory() as short:
        terminal = InTmux(Path(short) / "tmux", tmp_path)
        try:
            yield terminal
        finally:
            terminal.end()


def begin(terminal: InTmux, *files: str) -> None:
    """Edit files."""
    terminal.type(f"{sys.executable} -m dgedit {' '.join(files)}; echo ended $?")
    terminal.press("Enter")
    terminal.wait_for("tiny · ")


def mask(terminal: InTmux, path: Path, text: str) -> None:
    """Find a text, and mask it where it stands first."""
    before, _, _ = path.read_text().partition(text)
    line = before.count("\n") + 1
    terminal.press("C-f")
    terminal.type(text)
    terminal.wait_for(re.escape(text) + r".*\d of \d")
    terminal.wait_for(rf"{re.escape(path.name)}:{line}:")  # what is selected is not the last text
    terminal.press("Tab", "Escape")  # back to the text, and no bar
    terminal.press("F2")
    terminal.wait_for("masked")


def saved(terminal: InTmux, path: Path, before: bytes) -> bytes:
    """Save; what is in the file once it is another than before."""
    terminal.press("C-s")
    deadline = time.monotonic() + 90
    while (data := path.read_bytes()) == before:
        assert time.monotonic() < deadline, terminal.screen()
        time.sleep(0.05)
    return data


def copied(folder: Path, module: object) -> tuple[Path, bytes]:
    """A copy of a module's source, and what is in it."""
    source = Path(str(module.__file__))  # type: ignore[attr-defined]
    path = folder / source.name
    shutil.copyfile(source, path)
    return path, path.read_bytes()


def outside(data: bytes, *holes: bytes) -> re.Pattern[bytes]:
    """Anything in the holes' places, and every byte outside of them."""
    parts, rest = [], data
    for hole in holes:
        before, rest = rest.split(hole, 1)
        parts.append(re.escape(before))
    return re.compile(b"(.*)".join([*parts, re.escape(rest)]), re.DOTALL)


def test_two_places_are_masked_filled_accepted_undone_and_saved(
    terminal: InTmux, tmp_path: Path
) -> None:
    path, data = copied(tmp_path, bisect)
    begin(terminal, path.name)
    holes = b"key is None", b"a.insert(lo, x)"
    for hole in holes:
        mask(terminal, path, hole.decode())
    terminal.wait_for("▌[^▌]*▌")  # the words for the first mask may still stand for the second
    terminal.press("F5")
    terminal.wait_for("Enter accept")
    assert path.read_bytes() == data
    terminal.press("Enter")
    terminal.wait_for("F2 mask")
    filled = saved(terminal, path, data)
    assert outside(data, *holes).fullmatch(filled)
    terminal.press("C-z")
    assert saved(terminal, path, filled) == data
    terminal.wait_for("Enter accept")  # the drafts are back
    terminal.press("Escape")
    terminal.wait_for("rejected")
    terminal.press("C-q")
    terminal.wait_for("ended 0")
    assert "▌" not in terminal.screen()


@pytest.mark.slow
def test_three_places_in_two_files_with_another_candidate_and_half_of_one(
    terminal: InTmux, tmp_path: Path
) -> None:
    (one, first), (two, second) = copied(tmp_path, bisect), copied(tmp_path, heapq)
    begin(terminal, one.name, two.name)
    mask(terminal, one, "key is None")
    terminal.press("C-NPage")
    terminal.wait_for(re.escape(two.name) + ":")
    for text in ("heap.append(item)", "lastelt = heap.pop()"):
        mask(terminal, two, text)
    terminal.press("F5")
    terminal.wait_for("candidate 1 of")
    terminal.press("M-n")
    terminal.wait_for("candidate 2 of")
    holes = b"heap.append(item)", b"lastelt = heap.pop()"
    terminal.press("M-w")
    part = saved(terminal, two, second)
    assert outside(second, *holes).fullmatch(part)
    terminal.press("Enter")
    terminal.wait_for("F2 mask")
    filled = saved(terminal, two, part)
    assert outside(second, *holes).fullmatch(filled)
    terminal.press("C-z", "C-z")
    assert saved(terminal, two, filled) == second
    terminal.press("C-PPage")
    terminal.wait_for(re.escape(one.name) + ":")
    filled = saved(terminal, one, first)
    assert outside(first, b"key is None").fullmatch(filled)
    terminal.press("C-q")
    terminal.wait_for("An infill is open")  # what was undone is back
    terminal.press("d")
    terminal.wait_for("ended 0")
