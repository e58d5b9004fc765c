"""Standard output takes all that is written to it, or the exit code says that it did not."""

from __future__ import annotations

import ast
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripted import PATH

ROOT = Path(__file__).parents[3]
TEXT = b"x" * 318_900 + b"<FILL>\n"
FILLED = TEXT.replace(b"<FILL>", b"filled")
DRIVER = """
import sys
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
backend.connect = lambda *which, **more: Scripted()
cli.main()
"""
Begin = partial[subprocess.Popen[bytes]]
PROGRAMS = {
    "dgedit/tui/bench.py",
    "dgedit/engines/warm/bench.py",
    "dgedit/text/lexing.py",
}
"""Programs of their own: two measure for those who work on dgedit, one colours for the editor."""


@pytest.fixture(params=[("pipe",), ("fill", "--print", "a.txt")], ids=["pipe", "fill"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    (tmp_path / "a.txt").write_bytes(TEXT)
    return [sys.executable, "-c", DRIVER, *request.param]


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Starts a process in the folder, with or without the buffer that Python has for stdout."""
    (tmp_path / "in").write_bytes(TEXT)
    with open(tmp_path / "in", "rb") as given:
        yield partial(
            subprocess.Popen,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": PATH, "PYTHONUNBUFFERED": request.param},
            stdin=given,
            stderr=subprocess.PIPE,
        )


def test_fault_3_pipe_that_does_not_block_gets_everything(command: list[str], begin: Begin) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with begin(command, stdout=write) as process:
        os.close(write)
        with open(read, "rb") as stream:
            assert stream.read() == FILLED
        assert process.stderr and process.stderr.read() == b""
        assert process.wait(20) == 0


def test_fault_3_disk_that_is_full_in_the_middle_ends_with_3(
    command: list[str], begin: Begin, tmp_path: Path
) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with (
        open(tmp_path / "out", "wb") as out,
        begin(command, stdout=out, preexec_fn=limited) as process,
    ):
        assert process.stderr
        assert process.stderr.read() == b"dgedit: cannot write the output: File too large\n"
        assert process.wait(20) == 3


def test_fault_3_reader_that_goes_after_a_line_ends_it_with_141(
    command: list[str], begin: Begin
) -> None:
    with begin(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


REMOVED = "the current folder was removed (cd somewhere else)"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("fill --print {file}", 0, "a filled"),
        ("fill {file}", 0, "+a filled"),
        ("fill -w {file}", 0, ""),
        ("fill a.txt", 3, f"dgedit: {REMOVED}: a.txt\n"),
        ("watch --once --dry-run {file}", 0, "a.txt:1"),
        ("watch --once --dry-run", 3, f"dgedit: {REMOVED}\n"),
        ("config show", 0, "model "),
        ("config path --project", 3, f"dgedit: {REMOVED}: .dgedit.toml\n"),
        ("config set --project effort 0.3", 3, f"dgedit: {REMOVED}: .dgedit.toml\n"),
        ("pipe", 0, "a filled"),
        ("model info tiny", 0, "parameters"),
        ("doctor", None, "torch "),
    ],
)
def test_fault_20_command_in_a_folder_that_was_removed_works_or_says_that(
    tmp_path: Path, command: str, code: int | None, words: str
) -> None:
    file, gone = tmp_path / "a.txt", tmp_path / "gone"
    file.write_text("a <FILL>\n")
    gone.mkdir()
    line = f'cd gone && rmdir ../gone && exec "$0" -c "$1" {command.format(file=file)} 2>&1'
    with open(file, "rb") as given:
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, DRIVER],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": PATH},
            stdin=given,
            stdout=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    out = done.stdout.decode()
    assert out == words if done.returncode == 3 else words in out, out
    assert done.returncode == code if code is not None else done.returncode in (0, 1), out
    if command.startswith("fill -w"):
        assert file.read_text() == "a filled\n"


def goes_around(tree: ast.AST) -> Iterator[int]:
    """The lines of a file that write to stdout by a way of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            said = ast.unparse(node)
            called = ast.unparse(node.func)
            to = [key for key in node.keywords if key.arg == "file"]
            if (called == "print" and not any("stderr" in ast.unparse(key) for key in to)) or (
                called in ("os.write", "os.writev", "open", "os.fdopen", "io.FileIO")
                and ("(1," in said or "stdout" in said)
            ):
                yield node.lineno
        elif isinstance(node, ast.Attribute):
            said = ast.unparse(node)
            if re.fullmatch(r"sys\.(__)?stdout(__)?\.(buffer|write|writelines)", said):
                yield node.lineno


def test_ways_around_are_seen() -> None:
    ways = ("print(1)", "print(1, file=stream)", "os.write(1, b'')", "sys.stdout.write('')")
    more = ("sys.stdout.buffer.write(b'')", "open(1, 'wb')", "os.write(sys.stdout.fileno(), b'')")
    for way in (*ways, *more):
        assert [*goes_around(ast.parse(way))], way
    for other in ("print(1, file=sys.stderr)", "os.write(fd, b'')", "sys.stdout.isatty()"):
        assert not [*goes_around(ast.parse(other))], other


def test_fault_3_nothing_is_written_to_stdout_but_by_the_one_way() -> None:
    found = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in (ROOT / "dgedit").rglob("*.py")
        if str(file.relative_to(ROOT)) not in PROGRAMS
        for line in goes_around(ast.parse(file.read_text()))
    }
    allowed = {one for one in found if one.startswith("dgedit/commands/output.py:")}
    assert allowed and not found - allowed
