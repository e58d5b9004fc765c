"""Measure the machine's memory, how much of it is free, and how much of that we may take.

Linux says it in files. A control group, as every container has one, may leave less than what is
free. Also gives freed memory back to the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

_MEMORY = Path("/proc/meminfo")
_GROUPS = Path("/proc/self/cgroup")
_CONTROLS = Path("/sys/fs/cgroup")


def total() -> int | None:
    """Return the bytes that the machine has; None where unknown."""
    return _said("MemTotal")


def free() -> int | None:
    """Return the bytes that are free, or would be if they were needed; None where unknown."""
    return _said("MemAvailable")


def left() -> int | None:
    """Return the bytes that our control groups let us take; None where none has a limit."""
    found = []
    for folder, most, used, cache in _groups():
        with contextlib.suppress(OSError, ValueError):  # "max", or no file: no limit
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            kept = int((folder / used).read_text()) - int(stat.get(cache, 0))
            found.append(max(0, int((folder / most).read_text()) - kept))
    return min(found, default=None)


def least() -> int | None:
    """Return the bytes that we may take: what is `free` or what is `left`, whichever is less; None
    where both are unknown.
    """
    said = [one for one in (free(), left()) if one is not None]
    return min(said, default=None)


def give_back() -> None:
    """Give freed memory back to the system, where the C library can: glibc keeps it, in pieces that
    the next request's other sizes do not fit, so that an engine grows with each request.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _said(key: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMORY.read_text().splitlines():
            name, _, size = line.partition(":")
            if name == key:
                return 1024 * int(size.split()[0])
    return None


def _groups() -> Iterator[tuple[Path, str, str, str]]:
    """Yield the folders of our control groups for memory, with the names of the files in them."""
    with contextlib.suppress(OSError):
        for line in _GROUPS.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                top, names = _CONTROLS, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in kinds.split(","):
                top = _CONTROLS / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            own = top / path.lstrip("/")
            inner = own.relative_to(top).parts
            for depth in range(len(inner) + 1):
                yield top.joinpath(*inner[:depth]), *names
