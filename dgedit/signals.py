"""Handle signals that end the program, and protect writes from them."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heed() -> None:
    """Install handlers that raise SystemExit on a signal, except for ignored signals."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _Ended())


def look() -> None:
    """Exit now if a signal has come but its SystemExit was swallowed."""
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Ended) and handler.code is not None:
            sys.exit(handler.code)


@contextlib.contextmanager
def unheeded() -> Iterator[None]:
    """Ignore signals during a short write, so that it is whole or has not begun."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Deliver signals only after a short write, for a program that would go on after it."""
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
    """A signal handler that exits and remembers it, as an import may swallow SystemExit."""

    code: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> NoReturn:
        self.code = 128 + signum
        sys.exit(self.code)
