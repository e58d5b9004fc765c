"""Run a test program that a model wrote part of, isolated, and say whether it passed.

It runs in a process and a session of its own, in an empty folder that is removed afterwards, with
limits of time, memory, file sizes and open files; `confined.py`, which starts it, says what else it
may not do. It passed if it ran to its end: the verdict carries a number drawn for this run, so that
neither an early exit nor anything it prints can stand for it.

This protects against mistakes and careless programs, which is what a model that fills holes writes:
endless loops, heaps of memory, deleted files, started processes, downloads, `sys.exit(0)`. It is no
jail for a program made to break out. Such a one can read the verdict's number from the frames that
called it, and files that we can read, though it has nowhere to send them. Where the kernel offers
neither seccomp nor Landlock (anything but Linux) Python's audit hook stands alone, and audit hooks
are not meant to hold an adversary. Run programs of adversaries in a virtual machine.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_CONFINED = Path(__file__).with_name("confined.py")
_OUTPUT = 64 * 1024  # bytes that a program may print
_START = 30.0  # seconds that Python may take to start, on a busy machine


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a program in the sandbox."""

    passed: bool
    """Whether it ran to its end without an error."""
    reason: str
    """`passed`; `failed` or `failed: AssertionError`; `time`; `memory`; `output`;
    `forbidden: os.fork`.
    """


def run(program: str, *, seconds: float = 10, megabytes: int = 512) -> Outcome:
    """Run the program within the limits: seconds of wall time, megabytes of address space. Leaves
    no process and no file behind. Raises ValueError for unusable limits.
    """
    if seconds <= 0 or megabytes < 64:
        raise ValueError(f"seconds {seconds} must be positive, megabytes {megabytes} at least 64")
    nonce = secrets.token_hex(16)
    limits = {"nonce": nonce, "seconds": seconds, "megabytes": megabytes}
    folder = os.path.realpath(tempfile.mkdtemp(prefix="dgedit-"))
    try:
        with tempfile.TemporaryFile() as source:
            head = json.dumps(limits).encode()
            source.write(head + b"\n" + program.encode("utf-8", "surrogatepass"))
            source.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CONFINED)],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        output, ended = _watch(process, seconds)
    finally:
        _remove(folder)
    return _outcome(output, nonce, ended, process.returncode)


def _watch(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, str]:
    """Return what the program printed, and why reading ended: `closed`, `time` or `output`.

    Its time begins with the first line, which `confined.py` prints when all is set up. A verdict
    needs the program's output: once that is closed there is nothing to wait for.
    """
    assert process.stdout is not None
    deadline = time.monotonic() + _START
    output, ended = b"", "closed"
    try:
        while len(output) <= _OUTPUT:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                ended = "time"
                break
            if not (piece := os.read(process.stdout.fileno(), _OUTPUT)):
                break
            if not output:
                deadline = time.monotonic() + seconds
            output += piece
        else:
            ended = "output"
    finally:
        _end(process)
    return output, ended


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program and all it may have started, and wait for it."""
    # Not yet waited for, it keeps its number: no other group can be meant.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _remove(folder: str) -> None:
    """Remove the folder, what was made unreadable in it too."""
    for place, names, _ in os.walk(folder):
        for name in names:
            if not os.path.islink(path := os.path.join(place, name)):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _outcome(output: bytes, nonce: str, ended: str, code: int) -> Outcome:
    """Return the outcome: by the verdict, which is the last line, else by how the process ended."""
    if ended in ("time", "output"):
        return Outcome(False, ended)
    lines = output.decode("utf-8", "replace").rstrip("\n").rsplit("\n", 1)
    verdict = lines[-1].removeprefix(nonce + " ")
    if verdict != lines[-1]:
        return Outcome(verdict == "passed", verdict)
    if code == -signal.SIGXCPU:
        return Outcome(False, "time")
    if code == -signal.SIGSYS:
        return Outcome(False, "forbidden: a system call")
    return Outcome(False, "failed")
