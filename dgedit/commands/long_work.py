"""Let a long piece of work be stopped in good order, and other programs come first meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NICE = 10


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl+C ask for an end, which the next step sees, and a second one end all."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def polite() -> Iterator[None]:
    """Let other programs come first, as long as this takes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(own, _NICE))
    try:
        yield
    finally:
        with suppress(OSError):  # only root may take it back
            os.setpriority(os.PRIO_PROCESS, 0, own)
