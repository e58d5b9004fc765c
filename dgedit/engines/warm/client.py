"""A `Backend` that talks to a warm engine over a unix socket, and starts the engine if need be.

One connection for each request: closing the iterator hangs up, which cancels. Problems between two
requests (the engine has ended, was replaced, or is of another version) are solved silently; a
problem during one is an error in one line.

Light: filling through a warm engine loads no machine learning library.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dgedit
from dgedit import config
from dgedit.engines.warm import sockets, wire
from dgedit.engines.warm.sockets import Connection, EngineKey, Unavailable
from dgedit.errors import EngineError
from dgedit.files.paths import our_folder
from dgedit_engine.types import Ability, InfillRequest, Step

Message = dict[str, Any]

COMMAND = (sys.executable, "-P", "-m", "dgedit.engines.warm.server")
"""The command that starts an engine; its options follow as JSON."""

_TRIES = 5
_STOPPING = 5.0  # seconds for a process to end
_PATIENCE = 20.0  # seconds for a running engine to answer


class Daemon:
    """A model kept open by another process."""

    def __init__(
        self,
        model: str,
        device: str | None,
        adapter: str | None = None,
        verifier: str | None = None,
        drafter: str | None = None,
    ) -> None:
        """Take models as `store.resolve` returns them, and an adapter's folder."""
        self.place = EngineKey.of(model, device, adapter, verifier, drafter)
        self._asker = os.urandom(8).hex()
        self._said: Mapping[str, str] = {}
        self._ability = Ability()

    @classmethod
    def open(
        cls,
        model: str,
        device: str | None,
        adapter: str | None = None,
        verifier: str | None = None,
        drafter: str | None = None,
    ) -> Daemon:
        """Connect to the engine, started if need be, and wait until its model is open.

        Raises Unavailable if no warm engine is possible, EngineError if the model cannot be opened.
        """
        daemon = cls(model, device, adapter, verifier, drafter)
        daemon._connected().close()
        return daemon

    @property
    def name(self) -> str:
        """The model's name."""
        return self._said.get("name", "")

    @property
    def device(self) -> str:
        """The device that it runs on."""
        return self._said.get("device", "")

    @property
    def ability(self) -> Ability:
        """The model's abilities."""
        return self._ability

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Refine the request's holes; closing the iterator cancels within a step."""
        message = {"do": "infill", "request": wire.request_to_json(request), "asker": self._asker}
        for _ in range(_TRIES):
            with contextlib.closing(self._connected()) as lines:
                with contextlib.suppress(OSError):  # if it has ended, receiving will tell
                    lines.send(message)
                first, begun = _after_waiting(lines)
                if first is None and begun:
                    raise EngineError(f"the engine ended before the infill did ({self._why})")
                if first is not None and "again" not in first:
                    yield from self._steps(lines, first)
                    return
        raise EngineError(f"the engine ends again and again ({self._why})")

    def _steps(self, lines: Connection, message: Message | None) -> Iterator[Step]:
        """Yield the steps from this message on."""
        while message is not None:
            if "error" in message:
                raise wire.ERRORS.get(str(message.get("kind")), RuntimeError)(message["error"])
            try:
                step = wire.step_from_json(message["step"])
            except (KeyError, TypeError, ValueError):
                raise EngineError("the engine said what is no step") from None
            yield step
            if step.last:
                return
            message = _receive(lines)
        raise EngineError(f"the engine ended before the infill did ({self._why})")

    def _connected(self) -> Connection:
        """Return a connection to an engine of our version with its model open."""
        for _ in range(_TRIES):
            lines = self._reach()
            if lines is None:
                continue
            try:
                if self._greeted(lines):
                    return lines
            except BaseException:
                lines.close()
                raise
            lines.close()
        raise Unavailable(f"the engine does not start ({self._why})")

    def _reach(self) -> Connection | None:
        """Connect to the engine; start it if need be, under a lock, so that it starts once."""
        path = self.place.socket
        if (lines := sockets.dial(path)) is not None:
            return lines
        with locked(path):
            if (lines := sockets.dial(path)) is None:
                _start(self.place)
                lines = sockets.dial(path)
            return lines

    def _greeted(self, lines: Connection) -> bool:
        """Say whether it is the engine we want.

        One of another version, or with older files of the model, is told to end; this waits until
        it has.
        """
        hello = {"dgedit": dgedit.__version__, "wire": wire.VERSION, "stamp": self.place.stamp}
        with contextlib.suppress(OSError):  # if it has ended, receiving will tell
            lines.send({"do": "hello"})
        try:
            answer = _receive(lines, _PATIENCE)
        except TimeoutError:
            raise Unavailable("the engine does not answer; dgedit engine stop ends it") from None
        if answer is None:
            return False
        if answer.get("hello") != hello:
            with contextlib.suppress(OSError):
                lines.send({"do": "retire"})
            while answer is not None:
                answer = _receive(lines)
            return False
        answer = _receive(lines)
        if answer is None:
            raise Unavailable(f"the engine ended while it opened the model ({self._why})")
        if "error" in answer:
            raise EngineError(answer["error"])
        try:
            ready = dict(answer["ready"])
            self._said = {name: wire.text_in(ready, name) for name in ("name", "device")}
            self._ability = wire.ability_from_json(ready["ability"])
        except (KeyError, TypeError, ValueError):
            raise EngineError("the engine said what is no greeting") from None
        return True

    @property
    def _why(self) -> str:
        return f"see {log_path(self.place)}"


def statuses() -> list[Message]:
    """Return the status of each running engine."""
    return [one for path in sockets.present() if (one := status(path)) is not None]


def status(path: Path, patience: float = _PATIENCE) -> Message | None:
    """Return the status of the engine at a socket; None if none runs. Raises EngineError for one
    that does not answer within `patience` seconds.
    """
    if (lines := sockets.dial(path, patience)) is None:
        return None
    with contextlib.closing(lines), contextlib.suppress(OSError):
        lines.send({"do": "status"})
        try:
            answer = _receive(lines, patience)
        except TimeoutError:
            raise EngineError(f"the engine {lines.pid} does not answer") from None
        return answer and answer.get("status")
    return None


def stop(path: Path) -> int | None:
    """End the engine at a socket, even if it is busy, and wait until it has ended.

    Returns its process number; None if none ran.
    """
    if (lines := sockets.dial(path)) is None:
        return None
    pid = lines.pid
    try:
        ends = os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended since
        lines.close()
        return None
    with contextlib.closing(lines), contextlib.suppress(OSError):
        lines.send({"do": "stop"})
        try:
            while _receive(lines, _STOPPING) is not None:
                pass
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            while _receive(lines) is not None:
                pass
    select.select([ends], [], [], _STOPPING)  # it has hung up, and is about to end
    os.close(ends)
    return pid


def log_path(place: EngineKey) -> Path:
    """Return the log file of an engine."""
    return our_folder("state") / f"engine-{place.socket.stem}.log"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock for starting an engine at this socket. Raises Unavailable."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        lock = os.open(path.with_suffix(".lock"), flags, 0o600)
    except OSError as error:
        raise Unavailable(f"cannot lock {path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _start(place: EngineKey) -> None:
    """Start an engine that outlives this process, with a socket that already listens."""
    import subprocess

    path, log = place.socket, log_path(place)
    with contextlib.closing(sockets.listen(path)) as listener:
        given = {
            "listener": listener.fileno(),
            "socket": str(path),
            "log": str(log),
            "model": place.model,
            "device": place.device,
            "adapter": place.adapter,
            "verifier": place.verifier,
            "drafter": place.drafter,
            "idle": 60 * config.current().idle,
        }
        try:
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(log, "ab", opener=partial(os.open, mode=0o600)) as said:
                code = subprocess.Popen(
                    [*COMMAND, json.dumps(given)],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd="/",
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                ).wait()
        except OSError as error:
            raise Unavailable(f"cannot start an engine: {error}") from None
    if code:
        raise Unavailable(f"the engine does not start (see {log})")


def _after_waiting(lines: Connection) -> tuple[Message | None, bool]:
    """Skip messages about waiting; return the next one, and whether our turn has come."""
    begun = False
    while (message := _receive(lines)) is not None and "waiting" in message:
        begun = message["waiting"] == 0
    return message, begun


def _receive(lines: Connection, timeout: float | None = None) -> Message | None:
    try:
        return lines.receive(timeout)
    except ValueError as error:
        raise EngineError(f"the engine sent {error}") from None
