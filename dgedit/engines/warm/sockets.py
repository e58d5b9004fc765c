"""Private unix sockets for warm engines, and messages on them: one JSON object a line.

Decides where the sockets are, what they are called, and checks who is at the other end. Knows
nothing of the messages' content.
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
"""The most bytes of a line."""

BACKLOG = 64
"""The most clients that may wait to be accepted."""

_SUFFIX = ".sock"
# The most bytes of a socket's path on Linux, without the final zero byte.
_ADDRESS = 107
_DIGITS = 16
_PATIENCE = 20.0  # seconds to be accepted


class Unavailable(EngineError):
    """A warm engine is not possible here, for a reason that has nothing to do with the model."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """The identity of a warm engine: a model, a device, an adapter, a verifier and a drafter."""

    model: str
    """The model's folder or file with links resolved, or the name of one of ours."""
    device: str
    """The device asked for; empty if the engine chooses."""
    adapter: str = ""
    """The adapter's folder with links resolved; empty for none."""
    verifier: str = ""
    """The verifier's place, as the model's; empty for none."""
    drafter: str = ""
    """The drafter's, likewise."""

    @classmethod
    def of(
        cls,
        model: str,
        device: str | None,
        adapter: str | None = None,
        verifier: str | None = None,
        drafter: str | None = None,
    ) -> EngineKey:
        """Make a place of what `store.resolve`, `store.adapter_of`, `verifier_of` and `drafter_of`
        return.
        """
        changes = os.path.realpath(adapter) if adapter else ""
        others = (_whole(one) if one else "" for one in (verifier, drafter))
        return cls(_whole(model), device or "", changes, *others)

    @property
    def socket(self) -> Path:
        """The path of its socket; each installation of dgedit has its own. Raises Unavailable."""
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        home = os.path.dirname(dgedit.__file__)
        own = (self.model, self.device, self.adapter, self.verifier, self.drafter)
        parts = [home, *own, seen]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return folder() / (digest[:_DIGITS] + _SUFFIX)

    @property
    def stamp(self) -> str:
        """A hash of the state of the files of the models, the adapter and the engine's code.

        Not just the latest change, as some files have times in the future, and a file may be
        replaced by an older one.
        """
        every = (self.model, self.verifier, self.drafter)
        places = [one for one in every if one and one not in OURS]
        own = [file for one in places for file in (one, *_inside(one))]
        changes = _below(self.adapter) if self.adapter else ()
        files = sorted((*own, *changes, *_code()))  # our own models are in the code's folders
        return hashlib.sha256(repr([*map(_state, files)]).encode()).hexdigest()[:_DIGITS]


def _whole(model: str) -> str:
    """Return a model's path with links resolved, or the name of one of ours."""
    if model in OURS:
        return model
    path = os.path.abspath(model)
    if os.path.isdir(path):
        return os.path.realpath(path)
    above, name = os.path.split(path)  # keep the file's own name, which shows its format
    return os.path.join(os.path.realpath(above), name)


class Connection:
    """A connection on which messages are sent and received."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. Raises OSError if the other end has closed, ValueError for one that is
        too long.
        """
        line = json.dumps(message).encode() + b"\n"
        if len(line) > LONGEST:
            raise ValueError(f"a message of {len(line)} bytes; {LONGEST} is the most")
        self._socket.sendall(line)

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None if the other end has closed.

        Raises ValueError for an invalid message, TimeoutError if none comes within `timeout`
        seconds.
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
        """Say whether the other end has hung up."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    @property
    def pid(self) -> int:
        """The process that was listening when we connected."""
        return peer(self._socket)[0]

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._socket.close()


def folder() -> Path:
    """Return the folder for sockets, created if need be.

    Raises Unavailable if the folder is not private, or the system cannot tell who is at the other
    end of a socket.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        raise Unavailable("warm engines need Linux")
    return _private(where())


def where() -> Path:
    """Return the path of that folder: `$XDG_RUNTIME_DIR/dgedit`, or else one in the folder for
    temporary files. Raises Unavailable if every path is too long for a socket.
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
    """Return the existing sockets, whether or not anybody listens. Raises Unavailable."""
    return sorted(folder().glob(f"*{_SUFFIX}"))


def listen(path: Path) -> socket.socket:
    """Listen at a path, replacing a socket that was there. The caller must hold `client.locked`."""
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
    """Connect to our own process that listens at a path; None if none does. Raises Unavailable."""
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
    """Return the user id of the process at the other end."""
    return peer(connection)[1]


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process number and the user id of the other end."""
    kind = struct.Struct("3i")
    pid, user, _ = kind.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, kind.size)
    )
    return pid, user


def _private(place: Path) -> Path:
    """Create the folder, and check that nobody else can enter it. Raises Unavailable."""
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
    """Return the files of a folder; none if it is not a folder."""
    try:
        with os.scandir(place) as entries:
            return [entry.path for entry in entries if entry.is_file()]
    except OSError:
        return []


def _code() -> Iterator[str]:
    """Yield every file of the engine and its kernels, except Python's bytecode."""
    for package in ("dgedit_engine", "dgedit_kernels"):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield from _below(place)


def _below(place: str) -> Iterator[str]:
    """Yield every file below a folder."""
    for folder, below, names in os.walk(place):
        below[:] = [name for name in below if name != "__pycache__"]
        yield from (os.path.join(folder, name) for name in names)


def _state(path: str) -> tuple[str, int, int]:
    """Return a file's path, size in bytes and time of change."""
    try:
        info = os.stat(path)
    except OSError:  # gone: opening it will report that
        return path, 0, 0
    return path, info.st_size, info.st_mtime_ns
