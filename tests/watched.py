"""`dgedit watch` as a process in a folder, with a scripted backend that notes what it is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from scripted import PATH

DRIVER = """
import sys
from pathlib import Path
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
asked = Path(sys.argv.pop(1))
def note(index):
    if index == 1:
        with asked.open("a") as file:
            file.write("x")
made = dict(texts={texts}, pause={pause}, during=note, **{judged})
backend.connect = lambda *which, **more: Scripted(**made)
cli.main()
"""


class Watched:
    """The process, once it watches; `with` ends it whatever happens."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        texts: tuple[str, ...] = ("filled",),
        pause: float = 0.0,
        beside: Path | None = None,
        **judged: object,
    ) -> None:
        """`judged` is what else the backend is made of."""
        self._asked = (beside or folder.parent) / f"{folder.name}-asked"
        driver = DRIVER.replace("{texts}", repr(texts)).replace("{pause}", repr(pause))
        driver = driver.replace("{judged}", repr(judged))
        self.process = subprocess.Popen(
            [sys.executable, "-c", driver, str(self._asked), "watch", "--debounce", "80", *args],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.out = bytearray()
        self.err = bytearray()
        self._readers = [
            threading.Thread(target=_drain, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Watched:
        self.wait_for(lambda: b"\n" in self.err.partition(b"watching")[2])
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    @property
    def asked(self) -> int:
        """How often the backend was."""
        return self._asked.stat().st_size if self._asked.exists() else 0

    def wait_for(self, so: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + seconds
        while not so():
            said = bytes(self.out), bytes(self.err)
            assert time.monotonic() < deadline, said
            assert self.process.poll() is None, said
            time.sleep(0.01)

    def wait_for_text(self, path: Path, text: str) -> None:
        """Wait until a file has this text."""
        self.wait_for(lambda: path.exists() and path.read_text() == text)

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """End it by a signal: its code, and what it said."""
        self.process.send_signal(number)
        code = self.process.wait(10)
        for reader in self._readers:
            reader.join(10)
        return code, self.out.decode(), self.err.decode()


def _drain(stream: object, into: bytearray) -> None:
    while data := os.read(stream.fileno(), 65536):  # type: ignore[attr-defined]
        into += data
