"""The engine as a process of its own: keeps a model open between the commands that use it.

Listens on a unix socket. Each client has a thread that reads its messages and sends the results;
only the main thread works with the model, one request at a time, in order of arrival. A client has
one request at a time, so none of its requests overtakes another client's earlier one. Whether a
client has hung up is checked after each step. Ends when idle for a while, when told to, or when out
of memory: waiting clients then turn to the next engine.

Knows messages and the protocol `Backend`; neither tensors nor terminals. Logs no text of a user.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import dgedit
from dgedit import signals
from dgedit.engines.warm import sockets, wire
from dgedit.engines.warm.sockets import Connection, EngineKey
from dgedit.errors import EngineError, Exit
from dgedit.text.visible import visible
from dgedit_engine.types import Backend, InfillRequest

log = logging.getLogger("dgedit.engine")

_CLIENTS = 128  # the most clients at once
_SESSIONS = 32  # clients whose last requests are remembered
_NAME = 64  # characters of a client's name, which is kept as long as its last request
_LOG_BYTES = 1_000_000  # of the log, and as much again of the previous one
_PATIENCE = 60.0  # seconds that a client may be silent between messages
_FAREWELL = 2.0  # seconds for pending messages to be sent at the end

Message = dict[str, Any]


@dataclass(slots=True)
class _Job:
    """A request from its arrival until it is answered."""

    lines: Connection
    request: InfillRequest
    asker: str
    """The client's name, by which its next request is recognised."""
    out: SimpleQueue[Message | None] = field(default_factory=SimpleQueue)
    """Messages to be sent; None ends them."""
    unheard: bool = False
    """True if sending has failed."""

    @property
    def given_up(self) -> bool:
        """True if the client no longer waits for it."""
        return self.unheard or self.lines.gone()


class Serving:
    """A model served on a socket."""

    def __init__(
        self,
        listener: socket.socket,
        path: Path,
        open_backend: Callable[[], Backend],
        *,
        place: EngineKey,
        idle: float,
    ) -> None:
        """Take a listener bound at `path`, the description of what is opened, and the seconds after
        which an idle engine ends.
        """
        self._listener, self._path, self._open = listener, path, open_backend
        self._bound = path.stat().st_ino
        self._hello = {"dgedit": dgedit.__version__, "wire": wire.VERSION, "stamp": place.stamp}
        self._model = place.model
        self._idle = idle
        self._backend: Backend | None = None
        self._sessions: OrderedDict[str, Backend] = OrderedDict()
        self._failure = ""
        self._opened = threading.Event()
        self._turn = threading.Condition()
        self._waiting: list[_Job] = []
        self._running: _Job | None = None
        self._ending = False
        self._slots = threading.Semaphore(_CLIENTS)
        self._speakers = 0
        self._began = self._active = time.monotonic()
        self._answered, self._first = 0, 0.0

    def run(self) -> Exit:
        """Open the model and answer requests until it is time to end."""
        self._listener.listen(sockets.BACKLOG)  # again, so that clients see this process as peer
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            self._open_model()
            while job := self._next():
                self._answer(job)
                self._finish()
        finally:
            self._end()
        return Exit.ENGINE if self._failure else Exit.OK

    def _open_model(self) -> None:
        """Open the model; if that fails, keep the error to tell waiting clients."""
        try:
            self._backend = self._open()
            log.info("open after %.1f s", time.monotonic() - self._began)
        except Exception as error:
            known = isinstance(error, EngineError)
            self._failure = str(error) if known else f"the engine failed: {_words(error)}"
            self._idle = min(self._idle, _FAREWELL)
            log.error("the model cannot be opened: %s", _trace(error))
        finally:
            self._active = time.monotonic()
            self._opened.set()

    def _next(self) -> _Job | None:
        """Wait for the next request; None when it is time to end."""
        with self._turn:
            while not self._ending and not self._waiting:
                left = self._active + self._idle - time.monotonic()
                if left <= 0:
                    log.info("nobody has asked for %.0f s", self._idle)
                    return None
                self._turn.wait(left)
            if self._ending:
                return None
            self._running = self._waiting.pop(0)
            return self._running

    def _answer(self, job: _Job) -> None:
        """Run a request, and queue messages with its steps or its error."""
        started, steps, outcome = time.monotonic(), 0, "cancelled"
        try:
            stream = self._session(job.asker).infill(job.request)
            try:
                while not job.given_up and (step := next(stream, None)) is not None:
                    seconds = time.monotonic() - started
                    self._first = self._first if steps else seconds
                    steps += 1
                    job.out.put({"step": wire.step_to_json(step), "seconds": seconds})
                    if step.last:
                        outcome = "done"
                        break
            finally:
                getattr(stream, "close", lambda: None)()
        except Exception as error:
            outcome = type(error).__name__
            self._fail(job, error)
        holes, seconds = len(job.request.holes), time.monotonic() - started
        log.info("%d holes: %s after %d steps, %.2f s", holes, outcome, steps, seconds)

    def _fail(self, job: _Job, error: Exception) -> None:
        """Tell a client what went wrong. If memory ran out, the process ends to free it."""
        kind = next((name for name, one in wire.ERRORS.items() if isinstance(error, one)), "failed")
        job.out.put({"error": _words(error), "kind": kind})
        if _is_out_of_memory(error):
            self._ending = True
        if kind == "failed":
            log.error("%s", _trace(error))

    def _finish(self) -> None:
        """End the running request, and tell waiting clients their position."""
        with self._turn:
            assert self._running is not None
            self._running.out.put(None)
            self._running = None
            self._answered += 1
            self._active = time.monotonic()
            for before, job in enumerate(self._waiting):
                job.out.put({"waiting": before})

    def _session(self, asker: str) -> Backend:
        """Return the client's own session of the model, which remembers its last request."""
        backend = self._backend
        assert backend is not None
        session = self._sessions.pop(asker, None)
        if session is None:
            session = backend.session() if hasattr(backend, "session") else backend
        self._sessions[asker] = session
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _accept(self) -> None:
        """Give each client a thread, for as long as the listener is open."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the listener was closed
                return
            ours = sockets.user_of(connection) == os.geteuid()
            if ours and self._slots.acquire(blocking=False):
                threading.Thread(
                    target=self._serve, args=(Connection(connection),), daemon=True
                ).start()
            else:
                connection.close()

    def _serve(self, lines: Connection) -> None:
        """Answer a client's messages until it hangs up or sends an invalid one."""
        with contextlib.closing(lines), contextlib.suppress(OSError):  # hung up, or silent
            try:
                while (message := lines.receive(_PATIENCE)) is not None:
                    with self._speaking():
                        self._reply(lines, message)
            except ValueError as error:
                lines.send({"error": _words(error), "kind": "value"})
            finally:
                self._slots.release()

    def _reply(self, lines: Connection, message: Message) -> None:
        match message.get("do"):
            case "hello":
                lines.send({"hello": self._hello})
                self._opened.wait()
                lines.send(self._ready())
            case "infill":
                request = wire.request_from_json(message.get("request"))
                self._relay(_Job(lines, request, str(message.get("asker", ""))[:_NAME]))
            case "status":
                lines.send({"status": self._status()})
            case "retire":
                log.info("told to end after the request under way")
                self._ending = True
                with self._turn:
                    self._turn.notify()
            case "stop":
                log.info("told to stop")
                self._unlink()
                os._exit(Exit.OK)  # at once, even when busy; the system frees all resources
            case _:
                raise ValueError("a message that means nothing")

    def _ready(self) -> Message:
        if self._backend is None:
            return {"error": self._failure, "kind": "open"}
        said = {"name": self._backend.name, "device": self._backend.device}
        return {"ready": said | {"ability": wire.ability_to_json(self._backend.ability)}}

    def _relay(self, job: _Job) -> None:
        """Queue a request, and send its messages until there are no more."""
        self._opened.wait()
        with self._turn:
            if self._backend is None or self._ending:
                job.out.put({"again": True} if self._ending else self._ready())
                job.out.put(None)
            else:
                before = len(self._waiting) + (self._running is not None)
                job.out.put({"waiting": before})
                self._waiting.append(job)
                self._turn.notify()
        while (message := job.out.get()) is not None:
            if not job.unheard:
                try:
                    job.lines.send(message)
                except OSError:
                    job.unheard = True

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Count the clients that are being answered: the process ends only after them."""
        with self._turn:
            self._speakers += 1
        try:
            yield
        finally:
            with self._turn:
                self._speakers -= 1
                self._turn.notify()

    def _status(self) -> Message:
        now = time.monotonic()
        return {
            "model": self._model,
            "name": self._backend.name if self._backend else Path(self._model).name,
            "device": self._backend.device if self._backend else "",
            "version": dgedit.__version__,
            "pid": os.getpid(),
            "state": "busy" if self._running else "ready" if self._backend else "opening",
            "seconds": round(now - self._began, 3),
            "requests": self._answered,
            "waiting": len(self._waiting),
            "memory": resident(),
            "idle": 0.0 if self._running else round(now - self._active, 3),
            "first_step": self._first,
        }

    def _end(self) -> None:
        """Stop listening, tell waiting clients to try again, and let pending messages be sent."""
        self._unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._turn:
            self._ending = True
            for job in self._waiting:
                job.out.put({"again": True})
                job.out.put(None)
            self._waiting.clear()
            self._turn.wait_for(lambda: not self._speakers, _FAREWELL)

    def _unlink(self) -> None:
        """Remove our socket, unless another engine has replaced it."""
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._bound:
                self._path.unlink()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def start(data: str) -> Exit:
    """Serve what `client._start` asks for, in a forked process that nobody waits for."""
    given = json.loads(data)
    if os.fork():
        os._exit(Exit.OK)
    os.umask(0o077)
    _log_to(RotatingFileHandler(given["log"], maxBytes=_LOG_BYTES, backupCount=1))
    listener = socket.socket(fileno=given["listener"])
    names = ("model", "device", "adapter", "verifier", "drafter")
    place = EngineKey(*(given[name] for name in names))
    signals.heed()
    threading.excepthook = lambda args: log.error("%s", _trace(args.exc_value))
    try:
        return serve(listener, Path(given["socket"]), place, idle=given["idle"])
    except Exception as error:
        log.error("%s", _trace(error))
        return Exit.BUG


def serve(listener: socket.socket, path: Path, place: EngineKey, *, idle: float) -> Exit:
    """Serve a model in this process."""
    from dgedit.engines.connect import open_here

    others = place.adapter, place.verifier, place.drafter
    said = (dgedit.__version__, place.model, place.device, *others)
    log.info("dgedit %s begins: %s %s %s %s %s", *said)
    also = (one or None for one in others)
    opening = partial(open_here, place.model, place.device or None, *also)
    return Serving(listener, path, opening, place=place, idle=idle).run()


def log_to_stderr() -> None:
    """Write the log to stderr, for an engine that runs in the foreground."""
    _log_to(logging.StreamHandler())


def _log_to(handler: logging.Handler) -> None:
    handler.setFormatter(_Visible("%(asctime)s %(process)d %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


class _Visible(logging.Formatter):
    """A formatter that makes names of models and folders safe to show on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _is_out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "allocate memory" in words


def _words(error: Exception) -> str:
    """Return an error's message in one line; its type's name if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _trace(error: BaseException | None) -> str:
    """Return where an error came from, without its message, which may quote the user's text."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    places = " < ".join(f"{one.filename}:{one.lineno}" for one in reversed(frames))
    return f"{type(error).__name__} at {places}"


if __name__ == "__main__":
    sys.exit(start(sys.argv[1]))
