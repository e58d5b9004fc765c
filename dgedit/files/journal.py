"""Keep unsaved text where the next start finds it, and record who has which file open.

One small folder, with files for each open file of each running editor: `….text` holds unsaved text,
`….open` says that the file is open. Both name the process, so that entries of a running editor can
be told from those of one that died. No editor writes another's, and an entry is replaced
atomically. Text is exact, lone surrogates included. A folder or entry of another user is neither
read nor written, and no link among the entries is followed.

Knows texts, paths and processes; nothing of screens. Cheap because a text is written once a second
at most, and only while there is something to lose: see `tui/workspace/recovery.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, get_args

from dgedit.errors import InputError
from dgedit.files import disk
from dgedit.files.document import Document, Encoding
from dgedit.files.paths import our_folder

# Seconds after which a half-written file counts as abandoned.
_STALE = 3600

# The most bytes of an entry's first line, and of a whole entry: no text in the editor is larger.
_HEAD, _LARGEST = 1 << 16, 1 << 30

# The largest time in seconds since 1970 that can still be shown as a date.
_EVER = 2**37

# The name for a text without a file, such as one from standard input.
_NAMELESS = "-"


@dataclass(frozen=True, slots=True)
class Process:
    """An editor that runs or ran."""

    pid: int
    """Its process number."""
    host: str
    """The machine it runs on."""
    started: str
    """When it started, by the system's clock; tells apart processes with the same number."""

    @classmethod
    def ours(cls) -> Process:
        """Return the current process."""
        return cls(os.getpid(), socket.gethostname(), _start_of(os.getpid()))

    @property
    def runs(self) -> bool:
        """True if it still runs; False for one on another machine, which cannot be seen."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # another user's
        return _start_of(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Entry:
    """A text that was not saved."""

    path: str
    """The file, links resolved; - for a text without one."""
    base: str
    """The digest of the file's content when the text was read; empty if it did not exist."""
    encoding: Encoding
    """The encoding of the file."""
    bom: bytes
    """The byte order mark of the file."""
    process: Process
    """The process that wrote the entry."""
    slot: int
    """A number that tells apart one process's texts without a file."""
    written: float
    """The time when it was written, in seconds since 1970."""
    text: str
    """The text, exact."""

    @classmethod
    def of(cls, path: str, document: Document, process: Process, slot: int = 0) -> Entry:
        """Make an entry of a document as edited."""
        base = document.fingerprint.digest.hex() if document.fingerprint else ""
        coded, now = (document.encoding, document.bom), time.time()
        return cls(path, base, *coded, process, slot, now, document.text)


class Journal:
    """The entries of all editors of one user. Thread-safe; requests are served in order."""

    def __init__(self, folder: Path, process: Process | None = None) -> None:
        self.folder = folder
        self.process = process or Process.ours()
        self._lock = Lock()
        self._names: dict[Path, str] = {}

    def keep(self, document: Document, slot: int = 0) -> None:
        """Store a text in place of what this editor stored for the file. Raises OSError.

        `slot` tells apart texts that have no file.
        """
        entry = Entry.of(self._called(document.path), document, self.process, slot)
        text = _encoded(entry.text)
        head = dataclasses.asdict(entry) | {"text": None, "bom": entry.bom.hex()}
        with self._lock:
            self._write(self._file_of(entry), _line(head | {"digest": _digest(text)}) + text)

    def drop(self, path: Path | None, slot: int = 0) -> None:
        """Forget what this editor stored for a file. Raises OSError."""
        with self._lock:
            self._name(self._called(path), "text", self.process, slot).unlink(missing_ok=True)

    def open(self, path: Path) -> list[Process]:
        """Record that this editor has the file open; return the other processes that have it open.
        Raises OSError.
        """
        name = self._called(path)
        others: list[Process] = []
        self._sweep()
        for file in self._files(f"{_key(name)}-*.open"):
            head = _head(file)
            process = _process(head) if head and head.get("path") == name else None
            if process is None or (not process.runs and process.host == self.process.host):
                file.unlink(missing_ok=True)
            elif process != self.process:
                others.append(process)
        head = {"path": name, "process": dataclasses.asdict(self.process)}
        self._write(self._name(name, "open", self.process), _line(head))
        return others

    def close(self, path: Path) -> None:
        """Record that this editor no longer has the file open. Raises OSError."""
        self._name(self._called(path), "open", self.process).unlink(missing_ok=True)
        del self._names[path]

    def left(self, path: Path | None) -> list[Entry]:
        """Return the entries that editors which no longer run left for a file, latest first."""
        name = self._called(path)
        return self._left(f"{_key(name)}-*.text", lambda stored: stored == name)

    def left_below(self, folder: Path) -> list[Entry]:
        """Return such entries for all files below a folder."""
        top = os.path.join(real(folder), "")
        return self._left("*.text", lambda stored: stored.startswith(top))

    def _left(self, pattern: str, wanted: Callable[[str], bool]) -> list[Entry]:
        entries = [
            entry
            for file in self._files(pattern)
            if wanted(str((_head(file) or {}).get("path")))
            and (entry := _read(file))
            and file.name == self._file_of(entry).name
        ]
        dead = [one for one in entries if one.process != self.process and not one.process.runs]
        return sorted(dead, key=lambda one: one.written, reverse=True)

    def discard(self, entry: Entry) -> None:
        """Delete another process's entry, unless it has changed since. Raises OSError."""
        file = self._file_of(entry)
        if _read(file) == entry:
            file.unlink(missing_ok=True)

    def _called(self, path: Path | None) -> str:
        """Return a file's name in the journal: its real path when it was first seen, even if links
        have changed since.
        """
        return real(None) if path is None else self._names.setdefault(path, real(path))

    def _file_of(self, entry: Entry) -> Path:
        return self._name(entry.path, "text", entry.process, entry.slot)

    def _name(self, path: str, kind: str, who: Process, slot: int = 0) -> Path:
        mark = _key(f"{who.host}\0{who.pid}\0{who.started}\0{slot}")
        return self.folder / f"{_key(path)}-{mark}.{kind}"

    def _files(self, pattern: str) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            self._check()
            yield from sorted(self.folder.glob(pattern))

    def _sweep(self) -> None:
        """Delete half-written files of editors that were killed.

        The age is taken without its sign, as the clock may have been set back.
        """
        for file in self._files(".*"):
            with contextlib.suppress(OSError):
                if abs(time.time() - file.lstat().st_mtime) > _STALE:
                    file.unlink()

    def _check(self) -> None:
        """Raise OSError unless the folder is the user's own: another owner could put anything
        there, or a link to another folder.
        """
        if {self.folder.stat().st_uid, self.folder.lstat().st_uid} != {os.geteuid()}:
            raise PermissionError(errno.EPERM, f"{self.folder} is another user's")

    def _write(self, file: Path, data: bytes) -> None:
        """Write a file atomically, readable by the user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check()
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)
        temp = self.folder / f".{secrets.token_hex(6)}"
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(fd)
            os.replace(temp, file)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise


def state_folder() -> Path:
    """Return the journal's folder, under `$XDG_STATE_HOME` or else `~/.local/state`."""
    return our_folder("state") / "recovery"


def real(path: Path | None) -> str:
    """Return a file's name in the journal: its path with links resolved."""
    return _NAMELESS if path is None else os.path.realpath(path)


def _start_of(pid: int) -> str:
    """Return when a process started, as the boot's id and the ticks since boot.

    Empty for one that has ended, also if its parent has not collected it yet (a zombie).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # a system without /proc: the process number has to suffice
    state, *rest = stat.rpartition(b")")[2].split()
    return "" if state in (b"Z", b"X") else f"{boot}/{rest[18].decode()}"


def _key(name: str) -> str:
    return _digest(name.encode("utf-8", "surrogatepass"))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _encoded(text: str) -> bytes:
    """Encode exactly. Unlike JSON's escapes, this keeps two lone surrogates from becoming one
    character.
    """
    return text.encode("utf-8", "surrogatepass")


def _line(head: dict[str, Any]) -> bytes:
    return json.dumps(head).encode("ascii") + b"\n"


def _head(file: Path) -> dict[str, Any] | None:
    try:
        head = json.loads(_bytes(file, _HEAD).partition(b"\n")[0])
    except (OSError, InputError, ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) else None


def _bytes(file: Path, most: int) -> bytes:
    """Return the first `most` bytes of an entry.

    Raises OSError or InputError for a link, a special file, and another user's file.
    """
    with disk.opened(file, disk.READ | os.O_NOFOLLOW) as fd:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "another user's")
        return b"".join(disk.chunks(fd, 0, most))


def _process(head: dict[str, Any]) -> Process | None:
    try:
        found = Process(**head["process"])
    except (KeyError, TypeError):
        return None
    sound = type(found.pid) is int and 0 < found.pid < 2**31
    return found if sound and _are(str, found.host, found.started) else None


def _read(file: Path) -> Entry | None:
    """Return the entry in a file; None if it is not one of ours, or is damaged."""
    try:
        line, _, text = _bytes(file, _LARGEST).partition(b"\n")
        head = json.loads(line)
        if head.pop("digest") != _digest(text):
            return None
        if (process := _process(head)) is None:
            return None
        more = {"process": process, "bom": bytes.fromhex(head["bom"])}
        entry = Entry(**head | more | {"text": text.decode("utf-8", "surrogatepass")})
    except (OSError, InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    sound = _are(str, entry.path, entry.base) and entry.encoding in get_args(Encoding)
    counted = type(entry.slot) is int and type(entry.written) in (int, float)
    return entry if sound and counted and abs(entry.written) < _EVER else None


def _are(kind: type, *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)
