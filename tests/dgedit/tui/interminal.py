"""The editor as a process in a pseudo-terminal: keys go in, what it draws is drained."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from scripted import PATH

# The program with a backend that is there at once.
DRIVER = """
import sys
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
backend.connect = lambda *which, **more: Scripted()
cli.main()
"""
RESTORED = b"\x1b[?1049l"
"""What a terminal is sent to show again what was there before."""


class InTerminal:
    """An editor; `with` ends it whatever happens."""

    def __init__(
        self,
        folder: Path,
        args: Iterable[str],
        *,
        driver: str = DRIVER,
        stdin: bytes | None = None,
        stdout: bool | int = False,
        rows: int = 24,
        inside: Path | None = None,
        term: str = "xterm-256color",
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        state = folder / "state"
        self.process = subprocess.Popen(
            [sys.executable, "-c", driver, *args],
            cwd=inside or folder,
            env=os.environ
            | {"PYTHONPATH": PATH, "XDG_STATE_HOME": str(state), "TERM": term, "COLORTERM": ""}
            | {"XDG_CONFIG_HOME": str(folder / "config"), "TEXTUAL_ANIMATIONS": "none"},
            stdin=slave if stdin is None else subprocess.PIPE,
            stdout={True: subprocess.PIPE, False: slave}.get(stdout, stdout),
            stderr=slave,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.screen = bytearray()
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        if stdin is not None:
            assert self.process.stdin
            self.process.stdin.write(stdin)
            self.process.stdin.close()

    def __enter__(self) -> InTerminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.hang_up()
        if self.process.stdout:
            self.process.stdout.close()

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self.master, keys)

    def wait_for(self, words: bytes, seconds: float = 90) -> None:
        """Wait until the screen was sent something."""
        deadline = time.monotonic() + seconds
        while words not in self.screen:
            assert time.monotonic() < deadline, bytes(self.screen[-3000:])
            assert self.process.poll() is None or words in self.screen, bytes(self.screen[-3000:])
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = 90) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(seconds)

    def hang_up(self) -> None:
        """The terminal goes away."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.screen += data


def _take_terminal() -> None:
    """Make standard error our terminal, as a login does."""
    os.setsid()
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)
