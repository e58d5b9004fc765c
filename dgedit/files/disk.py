"""Files on disk as they are: their bytes, and what tells one state of a file from another.

Knows bytes and paths, not what they mean. Only regular files are read: a pipe would block, a device
need not end. Replacing them is `saving.py`'s.
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
"""How a file is opened: not blocking, or a FIFO would wait for a writer before it is refused."""

_CHUNK = 1 << 20

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells one state of a file from another."""

    dev: int
    """The device that holds it."""
    ino: int
    """Its number there."""
    size: int
    """Its length in bytes."""
    mtime_ns: int
    """When it was last written."""
    mode: int
    """Its type and permissions."""
    digest: bytes
    """A hash of its content: the one that decides."""

    @classmethod
    def of(cls, info: os.stat_result, digest: bytes) -> Fingerprint:
        """That of a file with these numbers and a content with this hash."""
        return cls(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_mode, digest)


def read(path: Path) -> tuple[bytes, Fingerprint]:
    """A regular file's bytes and fingerprint. Raises InputError when they cannot be had."""
    with reading(path), opened(path) as fd:
        info = os.fstat(fd)
        data = b"".join(chunks(fd))
    return data, Fingerprint.of(info, digest([data]))


def in_units(size: int) -> str:
    """A size as it is read: "51.7 GB"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read into an InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None


@contextlib.contextmanager
def opened(path: Path, flags: int = READ) -> Iterator[int]:
    """A regular file, open for a while. Raises OSError, and InputError for one that is special."""
    fd = os.open(path, flags)
    try:
        refuse_special(path, os.fstat(fd))
        yield fd
    finally:
        close(fd)


def has_changed(path: Path, fingerprint: Fingerprint | None) -> bool:
    """Whether the file is no longer as it was (None: absent). Read only when its numbers differ."""
    try:
        info = os.stat(path)
        if fingerprint is None or Fingerprint.of(info, fingerprint.digest) == fingerprint:
            return fingerprint is None
        with opened(path) as fd:
            return digest(chunks(fd)) != fingerprint.digest
    except (OSError, InputError):
        return fingerprint is not None


def size_of(path: Path) -> int:
    """The file's length in bytes; 0 when that cannot be had, and reading it says why."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def may_write(path: Path) -> bool:
    """Whether the file may be written, or is not there yet; no permission is changed for that."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return True  # if it cannot be made, saving says why
    return bool(mode & 0o222) and os.access(path, os.W_OK)


def instead_of_file(path: Path) -> str:
    """What is at a path, in words, if it is no file; empty for a file, and for nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return next((words for fits, words in _KINDS if fits(mode)), "")


def chunks(fd: int, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a file in a range, or those of them that are there."""
    while end is None or start < end:
        chunk = os.pread(fd, _CHUNK if end is None else min(_CHUNK, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def digest(content: Iterable[bytes]) -> bytes:
    """The hash of a content that comes in chunks."""
    hashed = new_digest()
    for chunk in content:
        hashed.update(chunk)
    return hashed.digest()


def new_digest() -> hashlib.blake2b:
    """The hash of a content that is still to come."""
    return hashlib.blake2b(digest_size=16)


def refuse_special(path: Path, info: os.stat_result) -> None:
    """Raise InputError for what is no regular file, and IsADirectoryError for a folder."""
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{path} is not a regular file")


def close(fd: int) -> None:
    """Close a file of which nothing is needed any more; what was written is synced by then."""
    with contextlib.suppress(OSError):
        os.close(fd)


def reason(error: BaseException) -> str:
    """What went wrong, in the system's words."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
