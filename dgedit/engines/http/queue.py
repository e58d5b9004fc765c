"""Who goes when: one after the other, and no more often than is fair.

Knows threads and addresses; nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

_WAITING = 8  # at once, of which one has its turn
_LOOK = 0.25  # seconds between looks whether one that waits is still there
_RATE, _BURST = 20.0, 60.0  # requests a second from one address, and as many at once
_ADDRESSES = 1024  # that are remembered


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


class Rates:
    """How much each address may still ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that it has to wait; 0 when it may ask now, which then counts."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(address, (_BURST, now))
            left = min(_BURST, left + (now - then) * _RATE)
            may = left >= 1
            self._left[address] = (left - may, now)
            if len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)
        return 0.0 if may else (1 - left) / _RATE
