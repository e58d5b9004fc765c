"""The program as a process: what it loads, and how it takes signals and closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

# The program with a backend that takes its time, and says when it has begun.
DRIVER = """
import sys
from pathlib import Path
from dgedit import backend, cli
from scripted import Scripted
begun = lambda index: Path("begun").touch()
slow = Scripted(("x" * 100_000,), pause=float(sys.argv.pop(1)), during=begun)
backend.connect = lambda model, device: slow
cli.main()
"""


def start(folder: Path, *args: str, pause: float = 0.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(pause), *args],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_it_quietly_and_leaves_the_file(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    process = start(tmp_path, "fill", "-w", "a.py", pause=20)
    process_begins(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (code, b"", b"")
    assert (tmp_path / "a.py").read_text() == "<FILL>"
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.py", "begun"}


@pytest.mark.parametrize("output", ["--print", "--events"])
def test_closed_pipe_ends_it_quietly(tmp_path: Path, output: str) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    process = start(tmp_path, "fill", output, "a.py")
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(10) == 141


def test_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, "0", "fill", "--print", "a.py"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == b"dgedit: cannot write the output: No space left on device\n"


def test_pipe_is_silent_on_stderr(tmp_path: Path) -> None:
    process = start(tmp_path, "pipe")
    out, err = process.communicate(b"a <FILL>\r\n", timeout=10)
    assert (process.returncode, out, err) == (0, b"a " + b"x" * 100_000 + b"\r\n", b"")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_neither_engine_nor_editor(option: str) -> None:
    code = f"""
import sys
from dgedit import cli
assert cli.run([{option!r}]) == 0
heavy = {{"torch", "textual", "rich", "numpy", "tree_sitter", "dgedit_engine.engine", "dgedit.tui"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"[]\n"


def process_begins(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline, "the program did not begin"
        time.sleep(0.02)
