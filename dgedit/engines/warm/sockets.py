"""Unix sockets that are ours alone, and messages on them: one JSON object a line.

Where the sockets of warm engines lie, what they are called, who is at the other end. Knows nothing
of what is said.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import select
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dgedit
from dgedit.errors import EngineError
from dgedit.models.names import OURS

LONGEST = 32 * 1024 * 1024
"""Bytes of a line, at most."""

BACKLOG = 64
"""Clients that may wait to be seen."""

_SUFFIX = ".sock"
# What a socket's address holds on Linux, without the zero byte at its end.
_ADDRESS = 107
_DIGITS = 16
_PATIENCE = 20.0  # seconds to be let in


class Unavailable(EngineError):
    """A warm engine cannot be had here, for a reason that is not the model's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the engine of one model on one device is to be found."""

    model: str
    """The model's folder or file, links resolved; the name of one of ours."""
    device: str
    """Where it was asked to run; empty where the engine chooses."""
    adapter: str = ""
    """The folder of the changes that it is opened with, links resolved; empty for none."""

    @classmethod
    def of(cls, model: str, device: str | None, adapter: str | None = None) -> Place:
        """The place for what `store.resolve` and `store.adapter_of` have found."""
        changes = os.path.realpath(adapter) if adapter else ""
        if model in OURS:
            return cls(model, device or "", changes)
        path = os.path.abspath(model)
        if os.path.isdir(path):
            return cls(os.path.realpath(path), device or "", changes)
        above, name = os.path.split(path)  # a file's own name says what it is
        return cls(os.path.join(os.path.realpath(above), name), device or "", changes)

    @property
    def socket(self) -> Path:
        """Its socket. Each installation of dgedit has its own. Raises Unavailable."""
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        parts = [os.path.dirname(dgedit.__file__), self.model, self.device, self.adapter, seen]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return folder() / (digest[:_DIGITS] + _SUFFIX)

    @property
    def stamp(self) -> str:
        """What tells the files of the model and its adapter and the engine's code from what they
        were: not when the last changed, as there are files from the future, and older ones that
        take another's place.
        """
        own = () if self.model in OURS else (self.model, *_inside(self.model))
        changes = _below(self.adapter) if self.adapter else ()
        files = sorted((*own, *changes, *_code()))  # what is ours lies in the code's folders
        return hashlib.sha256(repr([*map(_state, files)]).encode()).hexdigest()[:_DIGITS]


class Connection:
    """A connection on which messages are sent and received."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one. Raises OSError where nobody takes it, ValueError for one that is too long."""
        line = json.dumps(message).encode() + b"\n"
        if len(line) > LONGEST:
            raise ValueError(f"a message of {len(line)} bytes; {LONGEST} is the most")
        self._socket.sendall(line)

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next one; None when the other end has closed. Raises ValueError for what is none,
        TimeoutError where none comes in time.
        """
        self._socket.settimeout(timeout)
        try:
            line = self._reader.readline(LONGEST + 1)
        except TimeoutError:
            raise
        except OSError:
            return None
        finally:
            self._socket.settimeout(None)
        if len(line) > LONGEST:
            raise ValueError(f"a message of more than {LONGEST} bytes")
        if not line.endswith(b"\n"):
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("a message that is not JSON") from None
        if not isinstance(message, dict):
            raise ValueError("a message that is no object")
        return message

    def gone(self) -> bool:
        """Whether the other end has hung up."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    @property
    def pid(self) -> int:
        """The process that listened when we connected."""
        return peer(self._socket)[0]

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._socket.close()


def folder() -> Path:
    """The folder for sockets, made if need be. Raises Unavailable where it cannot be trusted, and
    where the system does not say who is at the other end of a socket.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        raise Unavailable("warm engines need Linux")
    return _private(where())


def where() -> Path:
    """Where that folder is to be: `$XDG_RUNTIME_DIR/dgedit`, or one in the folder for temporary
    files where that is not possible. Raises Unavailable where there is no place.
    """
    wanted = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    own = f"dgedit-{os.geteuid()}"
    places = [Path(tempfile.gettempdir()) / own, Path("/tmp") / own]
    if wanted.is_absolute() and wanted.is_dir() and os.access(wanted, os.W_OK | os.X_OK):
        places.insert(0, wanted / "dgedit")
    for place in places:
        if len(os.fsencode(place)) + 1 + _DIGITS + len(_SUFFIX) <= _ADDRESS:
            return place
    raise Unavailable(f"no folder for sockets: {places[0]} is too long a name")


def present() -> list[Path]:
    """The sockets that are there, whether or not somebody listens. Raises Unavailable."""
    return sorted(folder().glob(f"*{_SUFFIX}"))


def listen(path: Path) -> socket.socket:
    """Listen at a path, in place of what was there. For whoever holds the lock beside it."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen at {path}: {error.strerror}") from None
    return listener


def dial(path: Path, patience: float = _PATIENCE) -> Connection | None:
    """Connect to who listens at a path, which must be us; None where nobody does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(patience)
    try:
        connection.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise Unavailable(f"cannot connect to {path}: {error.strerror or error}") from None
    connection.settimeout(None)
    if user_of(connection) != os.geteuid():
        connection.close()
        raise Unavailable(f"another user listens at {path}")
    return Connection(connection)


def user_of(connection: socket.socket) -> int:
    """Whose process is at the other end."""
    return peer(connection)[1]


def peer(connection: socket.socket) -> tuple[int, int]:
    """Which process is at the other end, and whose."""
    kind = struct.Struct("3i")
    pid, user, _ = kind.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, kind.size)
    )
    return pid, user


def _private(place: Path) -> Path:
    """The folder, which nobody but us can enter."""
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise Unavailable(f"no folder for sockets: {place}: {error.strerror}") from None
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if not private or found.st_uid != os.geteuid():
        raise Unavailable(f"no folder for sockets: {place} is not ours alone")
    return place


def _inside(place: str) -> list[str]:
    """The files of a folder; none of what is no folder."""
    try:
        with os.scandir(place) as entries:
            return [entry.path for entry in entries if entry.is_file()]
    except OSError:
        return []


def _code() -> Iterator[str]:
    """Every file of the engine and its kernels, but for what Python compiles of them."""
    for package in ("dgedit_engine", "dgedit_kernels"):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield from _below(place)


def _below(place: str) -> Iterator[str]:
    """Every file in a folder and in those below it."""
    for folder, below, names in os.walk(place):
        below[:] = [name for name in below if name != "__pycache__"]
        yield from (os.path.join(folder, name) for name in names)


def _state(path: str) -> tuple[str, int, int]:
    """A file, its bytes and when it was written."""
    try:
        info = os.stat(path)
    except OSError:  # gone: whoever opens it will say so
        return path, 0, 0
    return path, info.st_size, info.st_mtime_ns
