"""The queue of those who ask: one after the other.

Knows threads; nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

_WAITING = 8  # at once, of which one has its turn
_LOOK = 0.25  # seconds between looks whether one that waits is still there


class Busy(Exception):
    """Too many wait already."""


class Gone(Exception):
    """Nobody waits for the answer any more."""


class Turns:
    """Lets one go after the other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextlib.contextmanager
    def taken(self, gone: Callable[[], bool]) -> Iterator[None]:
        """Wait for one's turn, and have it. Raises Busy where too many wait, and Gone."""
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
