"""What ends the program from outside, and the moments in which it must not."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heed() -> None:
    """From now on, end at a signal by SystemExit, but not at one that is ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _Ended())


def look() -> None:
    """End now if a signal has come and was swallowed."""
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Ended) and handler.code is not None:
            sys.exit(handler.code)


@contextlib.contextmanager
def unheeded() -> Iterator[None]:
    """Ignore signals for the moment that a write takes: it is whole, or it has not begun."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Heed signals only after the moment that a write takes, for a program that would go on."""
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda signum, frame: came.append(signum))
        for number in _SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)


class _Ended:
    """Ends the program at a signal, and remembers that it did: an import may swallow an exit."""

    code: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> NoReturn:
        self.code = 128 + signum
        sys.exit(self.code)
