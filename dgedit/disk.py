"""Files, read and replaced so that a failure at any point leaves the original byte for byte.

A file is written beside the original, synced, and renamed over it. Where that would break something
(other hard links, an owner that cannot be kept, a folder that cannot be written) the original is
written in place, with a copy made first. Links are followed, never replaced. Right before the
original goes, what is on disk is compared once more with what was read.

Knows bytes and paths, not what they mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dgedit.errors import ConflictError, InputError


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


def read(path: Path) -> tuple[bytes, Fingerprint]:
    """A regular file's bytes and fingerprint. Raises InputError when they cannot be had."""
    try:
        # Not blocking: opening a FIFO must not wait for a writer before we can refuse it.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            info = os.fstat(fd)
            _refuse_special(path, info)
            data = file.read()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {_reason(error)}") from None
    return data, _fingerprint(info, _digest(data))


def has_changed(path: Path, fingerprint: Fingerprint | None) -> bool:
    """Whether the file is no longer as it was (None: absent). Read only when its numbers differ."""
    try:
        info = os.stat(path)
    except OSError:
        return fingerprint is not None
    if fingerprint is None:
        return True
    unmoved = _fingerprint(info, fingerprint.digest) == fingerprint
    return not unmoved and not _holds(path, fingerprint)


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


def write(
    path: Path, data: bytes, *, expected: Fingerprint | None, overwrite: bool = False
) -> Fingerprint:
    """Replace the file's content, wholly or not at all.

    Raises ConflictError when the file is not as expected (None: absent), unless told to overwrite
    it, and InputError when it cannot be written.
    """
    target = Path(os.path.realpath(path))

    def check() -> None:
        if not overwrite and not _holds(target, expected):
            happened = "has changed on disk" if os.path.lexists(target) else "was removed"
            raise ConflictError(f"{path} {happened} since it was read")

    try:
        check()
        info = target.stat() if target.exists() else None
        if info is not None:
            _refuse_special(path, info)
            if not may_write(target):
                raise InputError(f"{path} is read-only")
        if info is None or _can_rename_over(target, info):
            with _beside(target, info) as fd:
                _fill(fd, data)
                if info is not None:
                    os.fchmod(fd, stat.S_IMODE(info.st_mode))
                check()
        else:
            check()
            _write_in_place(target, data)
        return _fingerprint(target.stat(), _digest(data))
    except OSError as error:
        raise InputError(f"cannot write {path}: {_reason(error)}") from None


def _holds(path: Path, expected: Fingerprint | None) -> bool:
    if expected is None:
        return not os.path.lexists(path)
    try:
        return read(path)[1].digest == expected.digest
    except InputError:
        return False


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _fingerprint(info: os.stat_result, digest: bytes) -> Fingerprint:
    return Fingerprint(
        info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_mode, digest
    )


def _refuse_special(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{path} is not a regular file")


def _can_rename_over(target: Path, info: os.stat_result) -> bool:
    """Whether a new file can have this one's owner and group, and no other name is left behind."""
    root = os.geteuid() == 0
    ours = info.st_uid == os.geteuid() and info.st_gid in {os.getegid(), *os.getgroups()}
    return info.st_nlink == 1 and (root or ours) and os.access(target.parent, os.W_OK | os.X_OK)


@contextlib.contextmanager
def _beside(target: Path, info: os.stat_result | None) -> Iterator[int]:
    """A new file that takes the target's place when the block ends well, and vanishes if not."""
    temp = target.parent / f".dgedit-{secrets.token_hex(6)}"
    mode = 0o600 if info is not None else 0o666
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            if info is not None:
                os.fchown(fd, info.st_uid, info.st_gid)
                shutil.copystat(target, temp)  # with extended attributes, and so with ACLs
            yield fd
        finally:
            os.close(fd)
        os.replace(temp, target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _write_in_place(target: Path, data: bytes) -> None:
    """Overwrite the file itself. A copy stands by until that is done, and stays if it is needed."""
    old = target.read_bytes()
    backup = _backup(target, old)
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    except BaseException:
        backup.unlink()
        raise
    try:
        _fill(fd, data)
    except BaseException as error:
        try:
            _fill(fd, old)
        except OSError:
            reason = _reason(error)
            raise InputError(
                f"cannot write {target}: {reason}; its content is in {backup}"
            ) from None
        backup.unlink()
        raise
    finally:
        os.close(fd)
    backup.unlink()


def _backup(target: Path, data: bytes) -> Path:
    folder = target.parent if os.access(target.parent, os.W_OK | os.X_OK) else None
    fd, name = tempfile.mkstemp(prefix=".dgedit-", suffix=".backup", dir=folder)
    try:
        _fill(fd, data)
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(fd)
    return Path(name)


def _fill(fd: int, data: bytes) -> None:
    """Make the data the file's whole content, on the disk and not only in its cache."""
    os.lseek(fd, 0, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.ftruncate(fd, len(data))
    _sync(fd)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:  # some file systems have no such thing
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(
        OSError
    ):  # the file is in place; only its name's durability is at stake
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(fd)
        finally:
            os.close(fd)


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
