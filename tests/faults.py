"""Faults at system calls: the nth one of those that a save makes fails, or is the last one made."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

# Every system call of a save that can fail; `test_faults.py` holds the list to what strace sees.
CALLS = (
    *("open", "close", "pread", "write", "lseek", "ftruncate", "fsync", "stat", "lstat", "fstat"),
    *("readlink", "access", "fchown", "fchmod", "listxattr", "getxattr", "setxattr"),
    *("removexattr", "link", "replace", "unlink"),
)


class Calls:
    """Counts the calls, and does something else in the place of some."""

    def __init__(self, instead: Callable[[int, str, Callable[[], Any]], Any]) -> None:
        self.made: list[str] = []
        self.instead = instead

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            self.made.append(name)
            half = name == "write" and self.half(args)
            return self.instead(len(self.made) - 1, name, half or (lambda: real(*args, **more)))

        return call

    def half(self, args: tuple[Any, ...]) -> Callable[[], int]:
        """A write may write less than it is given, and so these do."""
        fd, data = args
        real = self.real["write"]
        return lambda: real(fd, data[: max(1, len(data) // 2)])

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        self.real = {name: getattr(os, name) for name in CALLS}
        with contextlib.ExitStack() as patches:
            for name, real in self.real.items():
                patches.enter_context(patch.object(os, name, self.wrapped(name, real)))
            lock = self.wrapped("flock", fcntl.flock)
            patches.enter_context(patch.object(fcntl, "flock", lock))
            yield


def number(act: Callable[[], object]) -> list[str]:
    """The calls that an act makes when nothing fails."""
    calls = Calls(lambda at, name, real: real())
    with calls.counted():
        act()
    return calls.made


@contextlib.contextmanager
def failing(nth: int, error: BaseException, *, from_then_on: bool = False) -> Iterator[None]:
    """The nth call fails, having done half of its work if it writes, and maybe all that follow."""

    def instead(at: int, name: str, real: Callable[[], Any]) -> Any:
        if at == nth or (from_then_on and at > nth):
            if name in ("write", "close"):
                real()
            raise error
        return real()

    with Calls(instead).counted():
        yield


def killed(act: Callable[[], object], nth: int) -> None:
    """Act in a process that ends at the nth call, half done if it writes, and not done if not."""
    if child := os.fork():
        os.waitpid(child, 0)
        return

    def instead(at: int, name: str, real: Callable[[], Any]) -> Any:
        if at == nth:
            if name == "write":
                real()
            os._exit(9)
        return real()

    try:
        with Calls(instead).counted():
            act()
    finally:
        os._exit(0)
