"""Do what takes time beside the thread that reads messages, one job after another.

A job is a request that is being worked on. It is over when it has been answered, by whoever comes
first: its work, its client's cancellation, or a newer request. A cancellation is answered at once;
the work notices it when it next looks, which it does after each step of an engine. A thread that
is stuck until then, because a model is being opened or other clients come first, does not hold up
the next job.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dgedit.protocol.rpc import REQUEST_FAILED, SERVER_CANCELLED, Id, Peer, RpcError

_THREADS = 4  # the most threads of a lane, including those that are stuck
_WAITING = 64  # the most jobs that wait


class GivenUp(Exception):
    """Nobody waits for the job any more."""


class Job:
    """A request from its arrival until it is answered."""

    def __init__(
        self, peer: Peer, number: Id, *, key: tuple[str, str], ended: Callable[[Job], None]
    ) -> None:
        """Take the request's id; its method and its text's name; and what to call at its end."""
        self.id, self.key = number, key
        self._peer, self._ended = peer, ended
        self._lock, self._over = threading.Lock(), threading.Event()

    @property
    def over(self) -> bool:
        """True once it has been answered."""
        return self._over.is_set()

    def look(self) -> None:
        """Raise GivenUp if the job is over."""
        if self.over:
            raise GivenUp

    def answer(self, result: Any) -> None:
        """Answer it, unless that has been done."""
        if self._first():
            self._peer.answer(self.id, result)
            self._ended(self)

    def fail(self, code: int, words: str) -> None:
        """Answer it with an error, unless it has been answered."""
        if self._first():
            self._peer.fail(self.id, RpcError(code, words))
            self._ended(self)

    def _first(self) -> bool:
        with self._lock:
            first = not self._over.is_set()
            self._over.set()
        return first


Work = Callable[[Job], Any]
"""What does a job: returns its result, or raises GivenUp or an error in one line."""


class Lane:
    """Jobs that are done one after another."""

    def __init__(self, broken: Callable[[Exception], None]) -> None:
        """Take what to call with an error that is a fault of ours."""
        self._broken = broken
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Job, Work]] = deque()
        self._later: list[tuple[float, Job, Work]] = []
        self._timer: threading.Timer | None = None
        self._current: Job | None = None
        self._threads = 0

    def put(self, job: Job, work: Work, *, after: float = 0.0) -> None:
        """Do a job when its turn comes; but wait so many seconds first, in which others go on."""
        with self._lock:
            self._later = [one for one in self._later if not one[1].over]
            full = len(self._waiting) + len(self._later) >= _WAITING
            if not full and after > 0:
                self._later.append((time.monotonic() + after, job, work))
                self._wind()
            elif not full:
                self._waiting.append((job, work))
                self._go_on()
        if full:
            job.fail(SERVER_CANCELLED, "too many requests are waiting")

    def look(self) -> None:
        """Go on to the next job if the one being done is over."""
        with self._lock:
            self._go_on()

    def _wind(self) -> None:
        """Start the timer for what is to be done later, unless it runs."""
        if self._timer is None and self._later:
            soonest = min(due for due, _, _ in self._later)
            self._timer = threading.Timer(max(0.0, soonest - time.monotonic()), self._ring)
            self._timer.daemon = True
            self._timer.start()

    def _ring(self) -> None:
        with self._lock:
            now, self._timer = time.monotonic(), None
            self._waiting += [(job, work) for due, job, work in self._later if due <= now]
            self._later = [one for one in self._later if one[0] > now and not one[1].over]
            self._wind()
            self._go_on()

    def _go_on(self) -> None:
        if self._current is not None and self._current.over:
            self._current = None
        waiting = [pair for pair in self._waiting if not pair[0].over]
        self._waiting = deque(waiting)
        while self._waiting and self._current is None and self._threads < _THREADS:
            self._current, work = self._waiting.popleft()
            self._threads += 1
            threading.Thread(target=self._do, args=(self._current, work), daemon=True).start()

    def _do(self, job: Job, work: Work) -> None:
        try:
            job.look()
            job.answer(work(job))
        except GivenUp:
            pass
        except RpcError as error:
            job.fail(error.code, str(error))
        except Exception as error:
            self._fail(job, error)
        finally:
            with self._lock:
                self._threads -= 1
                if self._current is job:
                    self._current = None
                self._go_on()

    def _fail(self, job: Job, error: Exception) -> None:
        from dgedit.errors import DgeditError
        from dgedit_engine.types import ModelError

        if isinstance(error, DgeditError | ModelError | ValueError | OSError):
            job.fail(REQUEST_FAILED, " ".join(str(error).split()) or type(error).__name__)
            return
        job.fail(REQUEST_FAILED, f"dgedit failed: {type(error).__name__}")
        self._broken(error)
