"""A command takes its input and gives its output, or is ended with all that it began."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dgedit.errors import InputError
from dgedit.files.shell import piped


async def run(folder: Path, command: str, data: bytes = b"", patience: float = 20) -> bytes:
    return await piped(command, data, folder, patience=patience, most=100_000)


async def test_data_goes_through_in_the_folder(tmp_path: Path) -> None:
    assert await run(tmp_path, "sort -u", b"b\na\nb\n") == b"a\nb\n"
    assert await run(tmp_path, "pwd -P") == os.path.realpath(tmp_path).encode() + b"\n"
    large = os.urandom(90_000)
    assert await run(tmp_path, "cat", large) == large
    assert await run(tmp_path, "head -c 1; exit 0", b"x" * 5_000_000) == b"x"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo one >&2; echo two >&2; exit 3", "exit code 3: one two"),
        ("exit 4", "the command failed, exit code 4"),
        ("kill -9 $$", "the command failed, ended by signal 9"),
        ("nothing-of-that-name", "exit code 127: .*not found"),
        ("yes", "prints more than"),
        ("yes >&2", "prints more than"),
        ("sleep 50", "took more than 0.5 s"),
        ("sleep 50 & exit 0", "took more than 0.5 s"),
    ],
)
async def test_failure_is_one_line(tmp_path: Path, command: str, words: str) -> None:
    quick = "sleep" in command
    with pytest.raises(InputError, match=words) as raised:
        await run(tmp_path, command, patience=0.5 if quick else 20)
    assert "\n" not in str(raised.value)


async def test_folder_that_is_gone_is_one_line_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be run: No such file"):
        await run(tmp_path / "gone", "cat")
    with pytest.raises(InputError, match="cannot be run"):
        await run(tmp_path, "cat\0")


async def test_what_is_cancelled_is_ended_with_its_children(tmp_path: Path) -> None:
    held = tmp_path / "pid"
    task = asyncio.ensure_future(run(tmp_path, f"sleep 60 & echo $! > {held}; wait"))
    async with asyncio.timeout(10):
        while not (held.exists() and held.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while _runs(int(held.read_text())):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
