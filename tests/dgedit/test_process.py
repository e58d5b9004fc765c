"""The program as a process: what it loads, and how it takes signals and closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripted import PATH

# The program with a backend that takes its time, and says when it has begun.
DRIVER = """
import sys
from pathlib import Path
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
begun = lambda index: Path("begun").touch()
slow = Scripted(("x" * 100_000,), pause=float(sys.argv.pop(1)), during=begun)
backend.connect = lambda *which, **more: slow
cli.main()
"""


def start(folder: Path, *args: str, pause: float = 0.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(pause), *args],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_it_quietly_and_leaves_the_file(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    process = start(tmp_path, "fill", "-w", "a.py", pause=20)
    process_begins(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (code, b"", b"")
    assert (tmp_path / "a.py").read_text() == "<FILL>"
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.py", "begun"}


def run_code(folder: Path, code: str, **streams: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PATH},
        timeout=90,
        check=False,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams),
    )


def test_interrupt_that_is_swallowed_on_the_way_still_ends_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    code = """
import os, signal, sys
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
def connect(*which, **more):  # as an import of ours may, which takes any failure for a missing part
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        pass
    return Scripted()
backend.connect = connect
sys.argv[1:] = ["fill", "-w", "a.py"]
cli.main()
"""
    done = run_code(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    assert (tmp_path / "a.py").read_text() == "<FILL>"


def test_interrupt_during_the_write_comes_too_late(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    code = """
import os, signal, sys
from dgedit import cli
from dgedit.engines import connect as backend
from dgedit.files import disk
from scripted import Scripted
replace = os.replace
def interrupted(*names):
    replace(*names)
    os.kill(os.getpid(), signal.SIGINT)
os.replace = interrupted
backend.connect = lambda *which, **more: Scripted()
sys.argv[1:] = ["fill", "-w", "a.py"]
cli.main()
"""
    done = run_code(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "a.py").read_text() == "filled"


def test_interrupt_while_it_is_loaded_is_quiet(tmp_path: Path) -> None:
    code = """
import os, signal, sys, dgedit.__main__
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
dgedit.__main__.main()
"""
    done = run_code(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize(
    ("closed", "command", "code", "said"),
    [
        ("<&-", "fill --print", 0, b""),
        (">&-", "fill --print", 3, b"cannot write the output: Bad file descriptor"),
        (">&-", "fill -w", 0, b""),
        ("2>&-", "fill --print", 0, b""),
        ("<&- >&- 2>&-", "fill -w", 0, b""),
    ],
)
def test_closed_streams_do_no_harm(
    tmp_path: Path, closed: str, command: str, code: int, said: bytes
) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" 0 {command} a.py {closed}', sys.executable, DRIVER],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": PATH},
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr and b"Error" not in done.stdout + done.stderr
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {"a.py", "begun"}
    assert (tmp_path / "a.py").stat().st_size == (100_000 if "-w" in command else 6)


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
            env=os.environ | {"PYTHONPATH": PATH},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == b"dgedit: cannot write the output: No space left on device\n"


def test_pipe_is_silent_on_stderr(tmp_path: Path) -> None:
    process = start(tmp_path, "pipe")
    out, err = process.communicate(b"a <FILL>\r\n", timeout=90)
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
    deadline = time.monotonic() + 90
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline, "the program did not begin"
        time.sleep(0.02)
