"""Read files from disk, and detect whether a file has changed since it was read.

Knows bytes and paths, not what they mean. Only regular files are read: a pipe would block, a device
might never end. Replacing files is the task of `saving.py`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dgedit.errors import InputError

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Flags to open a file with: non-blocking, or opening a FIFO would wait for a writer."""

_CHUNK = 1 << 20

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The state of a file, to detect changes by."""

    dev: int
    """The device that holds it."""
    ino: int
    """Its inode number there."""
    size: int
    """Its length in bytes."""
    mtime_ns: int
    """The time of its last change, in nanoseconds since 1970."""
    mode: int
    """Its type and permissions."""
    digest: bytes
    """A hash of its content, which decides whether two states are the same."""

    @classmethod
    def of(cls, info: os.stat_result, digest: bytes) -> Fingerprint:
        """Make a fingerprint of a file's stat result and the hash of its content."""
        return cls(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_mode, digest)


def read(path: Path) -> tuple[bytes, Fingerprint]:
    """Return a regular file's bytes and fingerprint. Raises InputError if it cannot be read."""
    with reading(path), opened(path) as fd:
        info = os.fstat(fd)
        data = b"".join(chunks(fd))
    return data, Fingerprint.of(info, digest([data]))


def in_units(size: int) -> str:
    """Format a size for people: "51.7 GB"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error that occurs while a file is read into an InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None


@contextlib.contextmanager
def opened(path: Path, flags: int = READ) -> Iterator[int]:
    """Open a regular file for as long as the block runs. Raises OSError, and InputError for a
    special file.
    """
    fd = os.open(path, flags)
    try:
        refuse_special(path, os.fstat(fd))
        yield fd
    finally:
        close(fd)


def has_changed(path: Path, fingerprint: Fingerprint | None) -> bool:
    """Say whether the file differs from its fingerprint (None: absent). Its content is read only if
    its stat result differs.
    """
    try:
        info = os.stat(path)
        if fingerprint is None or Fingerprint.of(info, fingerprint.digest) == fingerprint:
            return fingerprint is None
        with opened(path) as fd:
            return digest(chunks(fd)) != fingerprint.digest
    except (OSError, InputError):
        return fingerprint is not None


def size_of(path: Path) -> int:
    """Return the file's length in bytes; 0 if it cannot be had, as reading it will say why."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def may_write(path: Path) -> bool:
    """Say whether the file may be written, or does not exist yet. No permission is changed."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return True  # if it cannot be created, saving says why
    return bool(mode & 0o222) and os.access(path, os.W_OK)


def instead_of_file(path: Path) -> str:
    """Describe what is at a path if it is not a file; empty for a file, and for nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return next((words for fits, words in _KINDS if fits(mode)), "")


def chunks(fd: int, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file in a range, as far as the file has them."""
    while end is None or start < end:
        chunk = os.pread(fd, _CHUNK if end is None else min(_CHUNK, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def digest(content: Iterable[bytes]) -> bytes:
    """Return the hash of a content that comes in chunks."""
    hashed = new_digest()
    for chunk in content:
        hashed.update(chunk)
    return hashed.digest()


def new_digest() -> hashlib.blake2b:
    """Start the hash of a content that is still to come."""
    return hashlib.blake2b(digest_size=16)


def refuse_special(path: Path, info: os.stat_result) -> None:
    """Raise InputError unless it is a regular file; IsADirectoryError for a folder."""
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{path} is not a regular file")


def close(fd: int) -> None:
    """Close a file and ignore errors: anything written to it has been synced already."""
    with contextlib.suppress(OSError):
        os.close(fd)


def reason(error: BaseException) -> str:
    """Return the system's message for an error."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
