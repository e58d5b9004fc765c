"""Real engine processes with a backend that knows its lines, in folders of their own.

What the request's instruction says, the backend does: see `Moody`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgedit.engines.warm import client as daemon
from dgedit.engines.warm import sockets
from dgedit.engines.warm.client import Daemon
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage, Step
from scripted import PATH, Scripted

SECRET = "a text that is nobody's business"

ERRORS = {
    "value": ValueError(f"too long: {SECRET}"),
    "model": ModelError("no numbers"),
    "fail": RuntimeError(f"oh no: {SECRET}"),
    "memory": RuntimeError("CUDA out of memory"),
}

# What is run in place of `client.COMMAND`.
DRIVER = """
import sys
from pathlib import Path
from dgedit.engines import connect as backend
from dgedit.engines.warm import server
from dgedit.errors import EngineError
from dgedit.models.names import OURS
from warm import Moody
def open_here(name, device, adapter, verifier, drafter):
    if name not in OURS and not Path(name).is_dir():
        raise EngineError(f"no such model: {name}")
    if "broken" in name:
        raise EngineError(f"{name} is broken")
    return Moody(name=Path(name).name + (f"+{Path(adapter).name}" if adapter else ""))
backend.open_here = open_here
sys.exit(server.start(sys.argv[1]))
"""
COMMAND = (sys.executable, "-c", DRIVER)

# The command line, which starts such engines.
CLIENT = f"""
import sys
from dgedit import cli
from dgedit.engines.warm import client as daemon
daemon.COMMAND = (sys.executable, "-c", {DRIVER!r})
cli.main()
"""


class Moody(Scripted):
    """Answers at once, but "slow" takes 0.2 s a step and "crawl" 30 of these for the first; fails
    after a step as `ERRORS` says; "die" ends the process there.
    """

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        words = request.instruction
        self.pause = 0.2 if "slow" in words else 0.0
        for step in super().infill(request):
            for _ in range(30 if "crawl" in words and step.index == 1 else 0):
                yield step
                time.sleep(0.2)
            yield step
            for word, error in ERRORS.items():
                if word in words:
                    raise error
            if "die" in words:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Warm:
    """The folders of one test."""

    run: Path
    """Where sockets are."""
    model: Path
    """A model's folder."""

    def open(self, name: str = "") -> Daemon:
        """Reach the engine of the model, or of another one."""
        model = self.model.with_name(name) if name else self.model
        model.mkdir(exist_ok=True)
        if not (model / "weights").exists():
            (model / "weights").touch()
        return Daemon.open(str(model), None)

    def pids(self) -> list[int]:
        """The engines that run."""
        return [one["pid"] for one in daemon.statuses()]

    def log(self) -> str:
        """What the engine of the model has written."""
        return daemon.log_path(sockets.EngineKey.of(str(self.model), None)).read_text()

    def logged(self, words: str) -> str:
        """The log, as soon as it has these words."""
        deadline = time.monotonic() + 90
        while words not in (said := self.log()):
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return said


@contextmanager
def warm_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    """Folders in which engines may be started; none of them is left."""
    top = Path(tempfile.mkdtemp(prefix="dg"))
    made = Warm(top / "run", top / "model")
    made.run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(made.run))
    monkeypatch.setenv("XDG_STATE_HOME", str(top / "state"))
    monkeypatch.setenv("DGEDIT_ENGINE", "warm")
    monkeypatch.setenv("PYTHONPATH", PATH)
    monkeypatch.setattr(daemon, "COMMAND", COMMAND)
    try:
        yield made
    finally:
        monkeypatch.undo()
        for path in made.run.glob("dgedit/*.sock"):
            daemon.stop(path)
        shutil.rmtree(top)


def request(instruction: str = "", *, holes: int = 1) -> InfillRequest:
    """A request for some holes."""
    parts = tuple(one for n in range(holes) for one in (f"{SECRET} {n} ", Hole()))
    return InfillRequest((Passage("secret.py", parts),), instruction)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
