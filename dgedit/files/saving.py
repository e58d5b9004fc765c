"""Replace files so that a failure at any point leaves the original byte for byte.

A file is written beside the original, synced, and renamed over it. Where that would change more
than the content (other hard links, an owner or attribute that cannot be kept) or is impossible (a
folder that cannot be written, a mounted file), the original is overwritten in place, after a copy
was made. Links are followed, never replaced. Right before the original is replaced, the content on
disk is compared once more with what was read; other dgedit processes wait meanwhile.

Knows bytes and paths, not what they mean. Unchanged content need not be in memory: see `Kept`.
`docs/files.md` says what is done in which order, and why.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgedit.errors import ConflictError, InputError
from dgedit.files import disk
from dgedit.files.disk import Fingerprint

# Seconds to wait for another writer of the same file.
_PATIENCE = 2.0
# Errors of a file system that does not support an operation.
_UNKNOWN = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
# Errors that mean the file cannot be replaced or imitated, but can perhaps be overwritten in place.
_BETTER_IN_PLACE = _UNKNOWN | {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV}


@dataclass(frozen=True, slots=True)
class Kept:
    """A range of the original's bytes that stays, copied without going through memory at once."""

    start: int
    """The first byte."""
    end: int
    """The byte after the last one."""


def write(
    path: Path,
    data: bytes | Sequence[bytes | Kept],
    *,
    expected: Fingerprint | None,
    overwrite: bool = False,
) -> Fingerprint:
    """Replace the file's content, wholly or not at all, and return its new fingerprint.

    Raises ConflictError if the file is not as expected (None: absent), unless `overwrite`, and
    InputError if it cannot be written.
    """
    parts = [data] if isinstance(data, bytes) else data
    try:
        target = _resolved(path)
        save = _Save(path, target, parts, expected, overwrite)
        try:
            info = os.stat(target)
        except FileNotFoundError:
            return save.create()
        disk.refuse_special(path, info)
        if not disk.may_write(target):
            raise InputError(f"{path} is read-only")
        with _locked(path, target) as source:
            return (info.st_nlink == 1 and save.replace(source)) or save.write_in_place()
    except FileNotFoundError:
        raise InputError(f"cannot write {path}: its folder is not there") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {disk.reason(error)}") from None


@dataclass(frozen=True, slots=True)
class _Save:
    """One save of a file."""

    path: Path
    """The file's path as the user named it."""
    target: Path
    """The file itself, links resolved."""
    parts: Sequence[bytes | Kept]
    """The new content."""
    expected: Fingerprint | None
    """The state that the file must have before; None if it must not exist."""
    overwrite: bool
    """True to replace the file whatever its state."""

    def create(self) -> Fingerprint:
        """Create a file that does not exist."""
        if self.expected is not None and not self.overwrite:
            raise ConflictError(f"{self.path} was removed since it was read")
        with _beside(self.target, 0o666) as (temp, fd):
            content = _fill(fd, self.parts)
            _sync(fd)
            made = Fingerprint.of(os.fstat(fd), content)
            try:
                os.link(temp, self.target)  # unlike a rename, this never replaces a file
            except OSError:  # the name is taken, or the file system has no links
                if not self.overwrite and os.path.lexists(self.target):
                    raise self._changed() from None
                os.replace(temp, self.target)
        _sync_folder(self.target.parent)
        return made

    def replace(self, source: int) -> Fingerprint | None:
        """Replace the file, which is open as `source`, by a new one.

        Returns None, with nothing changed, if that is impossible or would change more than the
        content.
        """
        try:
            with _beside(self.target, 0o600) as (temp, fd):
                content = _fill(fd, self.parts, source)
                _resemble(fd, source)  # not before, as writing clears some mode bits
                _sync(fd)
                made = Fingerprint.of(os.fstat(fd), content)
                self._check()
                os.replace(temp, self.target)
        except OSError as error:
            if error.errno in _BETTER_IN_PLACE:
                return None
            raise
        _sync_folder(self.target.parent)
        return made

    def write_in_place(self) -> Fingerprint:
        """Overwrite the file itself. A copy is kept until this is done, and stays if it fails."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
        with disk.opened(self.target, flags) as fd, contextlib.ExitStack() as end:
            name = _copied(fd, self.target)
            end.callback(_discard, name)
            copy = end.enter_context(disk.opened(name))
            self._check()
            try:
                content = _fill(fd, self.parts, copy)
                _sync(fd)
                return Fingerprint.of(os.fstat(fd), content)
            except BaseException as error:
                try:
                    _fill(fd, [Kept(0, os.fstat(copy).st_size)], copy)
                    _sync(fd)
                except BaseException:
                    end.pop_all()
                    why = f"{disk.reason(error)}; its content is in {name}"
                    raise InputError(f"cannot write {self.path}: {why}") from None
                raise

    def _check(self) -> None:
        """Raise ConflictError if the file on disk is not the expected one."""
        if self.overwrite:
            return
        try:
            with disk.opened(self.target, disk.READ | os.O_NOFOLLOW) as fd:
                content = disk.digest(disk.chunks(fd))
        except FileNotFoundError:
            raise ConflictError(f"{self.path} was removed since it was read") from None
        if self.expected is None or content != self.expected.digest:
            raise self._changed()

    def _changed(self) -> ConflictError:
        return ConflictError(f"{self.path} has changed on disk since it was read")


@contextlib.contextmanager
def _beside(target: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Create a file in the target's folder for the duration of the block, which may rename it."""
    temp = target.with_name(f"{_mark(target)}{secrets.token_hex(4)}")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield temp, fd
    finally:
        disk.close(fd)
        _discard(temp)


def _copied(fd: int, target: Path) -> Path:
    """Copy a file: beside it, or else to a folder that survives a reboot, if there is one."""
    for folder in (target.parent, Path("/var/tmp"), None):
        try:
            copy, name = tempfile.mkstemp(".backup", _mark(target), folder)
            break
        except OSError:
            if folder is None:
                raise
    try:
        _fill(copy, [Kept(0, os.fstat(fd).st_size)], fd)
        _sync(copy)
        _sync_folder(Path(name).parent)
    except BaseException:
        _discard(Path(name))
        raise
    finally:
        disk.close(copy)
    return Path(name)


def _resemble(fd: int, source: int) -> None:
    """Give a new file the owner, mode and attributes of another. Raises OSError if it cannot."""
    info = os.fstat(source)
    os.fchown(fd, info.st_uid, info.st_gid)
    new, old = _attributes(fd), _attributes(source)
    for name in new.keys() - old.keys():  # a folder's default ACL
        os.removexattr(fd, name)
    for name, value in old.items():
        if new.get(name) != value:
            os.setxattr(fd, name, value)
    os.fchmod(fd, stat.S_IMODE(info.st_mode))
    made = os.fstat(fd)
    if (made.st_mode, made.st_uid, made.st_gid) != (info.st_mode, info.st_uid, info.st_gid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def _attributes(fd: int) -> dict[str, bytes]:
    """Return the extended attributes of a file, its ACL included."""
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
    except OSError as error:
        if error.errno in _UNKNOWN:
            return {}
        raise


@contextlib.contextmanager
def _locked(path: Path, target: Path) -> Iterator[int]:
    """Open a file for reading and lock it against other processes that ask for the lock."""
    with disk.opened(target) as fd:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise InputError(f"{path} is locked by another program") from None
                time.sleep(0.01)
            except OSError:  # some file systems have no locks
                break
        yield fd


def _fill(fd: int, parts: Sequence[bytes | Kept], source: int = -1) -> bytes:
    """Write a file's whole content and return its hash; `source` is read for what is kept."""
    written, content = 0, disk.new_digest()
    os.lseek(fd, 0, os.SEEK_SET)
    for part in parts:
        for chunk in (
            disk.chunks(source, part.start, part.end) if isinstance(part, Kept) else [part]
        ):
            content.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(fd, rest) :]
            written += len(chunk)
    os.ftruncate(fd, written)
    return content.digest()


def _resolved(path: Path) -> Path:
    """Resolve links. Raises OSError for one that cannot be read, lest it be overwritten."""
    try:
        return Path(os.path.realpath(path, strict=True))
    except FileNotFoundError:
        return Path(os.path.realpath(path))


def _mark(target: Path) -> str:
    """Return the prefix of the names of files that we put beside a file."""
    return f".{target.name[:50]}.dgedit-"


def _sync(fd: int) -> None:
    """Flush what was written to the disk itself."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise


def _sync_folder(folder: Path) -> None:
    # The file is in place; only its name's durability is at stake.
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(fd)
        finally:
            disk.close(fd)


def _discard(name: Path) -> None:
    with contextlib.suppress(OSError):
        name.unlink()
