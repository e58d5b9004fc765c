"""A queue that lets one request run at a time, in order of arrival.

Knows threads; nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

_WAITING = 8  # the most in the queue, including the one that runs
_LOOK = 0.25  # seconds between checks whether a waiting client is still there


class Busy(Exception):
    """The queue is full."""


class Gone(Exception):
    """The client no longer waits for the answer."""


class Turns:
    """A first-in, first-out lock for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextlib.contextmanager
    def taken(self, gone: Callable[[], bool]) -> Iterator[None]:
        """Wait for the lock and hold it. Raises Busy if too many wait, Gone if `gone()` is true."""
        me = object()
        with self._changed:
            if len(self._queue) >= _WAITING:
                raise Busy
            self._queue.append(me)
        try:
            with self._changed:
                while self._queue[0] is not me:
                    self._changed.wait(_LOOK)
                    if gone():
                        raise Gone
            yield
        finally:
            with self._changed:
                self._queue.remove(me)
                self._changed.notify_all()
