"""A language server that runs as a process of ours: what it is told, finds and answers.

Nothing here waits for it. What it is told waits in a queue that one thread writes from, what it
says is read by another, and an answer is a future. A server that ends, or that stops reading, is
given up; whoever started it may start another.

Follows the language server protocol, 3.17. Knows texts, paths and processes; nothing of screens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from typing import Any, BinaryIO, TypeVar, cast

from dgedit.errors import InputError
from dgedit.files import small
from dgedit.protocol.positions import ENCODINGS, PositionEncoding
from dgedit.protocol.replies import Problem, Target, hovered, path_of, problems, targets
from dgedit.protocol.rpc import METHOD_NOT_FOUND, Incoming, Peer, RpcError
from dgedit.protocol.told import Told

_WAITING = 2_000  # messages that may wait for a server to read them
_LARGEST = 8_000_000  # bytes of a file that is read for a column
_GRACE = 0.5  # seconds that a server gets to end by itself
_IDS = {"bash": "shellscript", "tsx": "typescriptreact", "make": "makefile"}
"""The protocol's names of languages that we call otherwise."""
_CAN = {
    "general": {"positionEncodings": list(ENCODINGS)},
    "textDocument": {
        "synchronization": {"didSave": True},
        "publishDiagnostics": {"versionSupport": True},
        "hover": {"contentFormat": ["plaintext", "markdown"]},
        "definition": {"linkSupport": True},
    },
    "workspace": {"configuration": True, "workspaceFolders": True},
}

T = TypeVar("T")


class LanguageServer:
    """One server's process, for the files of one language in one folder."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        language: str,
        found: Callable[[Path, str, list[Problem]], object],
        ended: Callable[[str], object],
    ) -> None:
        """Start it. `found` is called with a file's problems and the text that they are in, `ended`
        with the reason where it ends by itself, each in a thread of ours. Raises OSError where the
        command cannot be run.
        """
        self.encoding: PositionEncoding = "utf-16"
        """What it counts columns in."""
        self._language, self._folder = _IDS.get(language, language), folder
        self._found, self._ended = found, ended
        self._does: Mapping[str, Any] = {}
        self._told: dict[Path, Told] = {}
        self._queue: Queue[Callable[[], None] | None] = Queue(_WAITING)
        self._initialized, self._over = threading.Event(), threading.Event()
        self._process = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._pipes = cast(BinaryIO, self._process.stdout), cast(BinaryIO, self._process.stdin)
        self._peer = Peer(*self._pipes)
        for work in (self._read, self._write):
            threading.Thread(target=work, name=f"server{work.__name__}", daemon=True).start()

    @property
    def running(self) -> bool:
        """True until it has ended or was given up."""
        return not self._over.is_set()

    # What it is told

    def tell(self, path: Path, text: str) -> None:
        """Tell it what a file's text is: opened if it does not know it, else changed."""
        self._put(lambda: self._sync(path, text))

    def saved(self, path: Path) -> None:
        """Tell it that a text was saved."""
        self._put(lambda: self._notify("didSave", path) if path in self._told else None)

    def close(self, path: Path) -> None:
        """Tell it that a text is no longer being edited."""
        self._put(lambda: self._close(path))

    def stop(self) -> None:
        """Let it end by itself, else end it by a signal. Takes half a second at most."""
        if self._over.is_set():
            return
        self._over.set()
        if self._initialized.is_set():
            self._put(lambda: self._peer.ask("shutdown", None), self._leave)
        else:
            self._put(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._kill()

    # What it is asked

    def hover(self, path: Path, offset: int) -> Future[str]:
        """Ask what it says of the name at a place in the text it was told last."""
        return self._ask("hover", path, offset, hovered)

    def definition(self, path: Path, offset: int) -> Future[list[Target]]:
        """Ask where the name at a place is defined."""
        return self._ask("definition", path, offset, targets)

    def _ask(self, what: str, path: Path, offset: int, read: Callable[[Any], T]) -> Future[T]:
        answer: Future[T] = Future()

        def answered(result: Any, error: RpcError | None) -> None:
            if answer.set_running_or_notify_cancel():
                answer.set_result(read(None if error else result))

        def ask() -> None:
            told = self._told.get(path)
            if told is None or not self._does.get(f"{what}Provider"):
                answered(None, None)
                return
            where = {"textDocument": _named(path), "position": told.position(offset, self.encoding)}
            self._peer.ask(f"textDocument/{what}", where, answered)

        self._put(ask)
        return answer

    def places(self, found: Sequence[Target]) -> list[tuple[Path, tuple[int, int]]]:
        """Return the rows and columns of places; files that are not being edited are read."""
        return [(one.path, (one.row, self._column(one))) for one in found]

    def _column(self, one: Target) -> int:
        told = self._told.get(one.path)
        if told is None:
            text = None
            with suppress(InputError):
                text = small.text(one.path, most=_LARGEST, errors="replace")
            told = Told(text or "")
        return told.column(one.row, one.units, self.encoding)

    # The thread that writes

    def _put(self, *what: Callable[[], Any] | None) -> None:
        try:
            for one in what:
                self._queue.put_nowait(one)
        except Full:
            self._give_up("does not read what it is told")

    def _write(self) -> None:
        self._peer.ask("initialize", self._introduction(), self._introduced)
        while not self._initialized.wait(0.2):
            if self._over.is_set() or self._process.poll() is not None:
                return
        while (what := self._queue.get()) is not None and not self._peer.closed:
            what()

    def _introduction(self) -> dict[str, Any]:
        folder = {"uri": self._folder.as_uri(), "name": self._folder.name}
        return {
            "processId": os.getpid(),
            "clientInfo": {"name": "dgedit"},
            "rootUri": folder["uri"],
            "workspaceFolders": [folder],
            "capabilities": _CAN,
        }

    def _introduced(self, result: Any, error: RpcError | None) -> None:
        if error is not None or not isinstance(result, dict):
            self._give_up(f"does not start: {error}" if error else "does not say what it can do")
            return
        does = result.get("capabilities")
        self._does = does if isinstance(does, dict) else {}
        encoding = self._does.get("positionEncoding")
        if encoding in ENCODINGS:
            self.encoding = encoding
        self._peer.tell("initialized", {})
        self._initialized.set()

    def _sync(self, path: Path, text: str) -> None:
        old = self._told.get(path)
        if old is None:
            self._told[path] = Told(text)
            known = {"languageId": self._language, "version": 1, "text": text}
            self._peer.tell("textDocument/didOpen", {"textDocument": _named(path) | known})
        elif old.text != text:
            new = self._told[path] = Told(text, old.version + 1)
            parts = old.changes(text, self.encoding) if self._by_parts() else [{"text": text}]
            named = _named(path) | {"version": new.version}
            self._peer.tell(
                "textDocument/didChange", {"textDocument": named, "contentChanges": parts}
            )

    def _by_parts(self) -> bool:
        """Say whether it takes changes, not only whole texts."""
        sync = self._does.get("textDocumentSync")
        return (sync.get("change") if isinstance(sync, dict) else sync) == 2

    def _close(self, path: Path) -> None:
        if self._told.pop(path, None) is not None:
            self._notify("didClose", path)

    def _notify(self, what: str, path: Path) -> None:
        self._peer.tell(f"textDocument/{what}", {"textDocument": _named(path)})

    def _leave(self) -> None:
        self._peer.tell("exit", None)
        self._put(None)

    # The thread that reads

    def _read(self) -> None:
        for message in self._peer.incoming():
            if message.id is not None:
                self._answer(message)
            elif message.method == "textDocument/publishDiagnostics":
                self._take(message.params)
        code = self._process.wait()
        for pipe in self._pipes:
            with suppress(OSError):  # what was still to be written to it
                pipe.close()
        self._give_up(f"ended, exit code {code}" if code >= 0 else f"ended by signal {-code}")

    def _answer(self, asked: Incoming) -> None:
        """Answer what a server asks of an editor: it has no settings, and edits nothing."""
        assert asked.id is not None
        params = asked.params if isinstance(asked.params, dict) else {}
        match asked.method:
            case "workspace/configuration":
                items = params.get("items")
                self._peer.answer(asked.id, [None] * len(items if isinstance(items, list) else ()))
            case "workspace/applyEdit":
                self._peer.answer(asked.id, {"applied": False})
            case "client/registerCapability" | "client/unregisterCapability":
                self._peer.answer(asked.id, None)
            case "window/workDoneProgress/create" | "window/showMessageRequest":
                self._peer.answer(asked.id, None)
            case _:
                self._peer.fail(asked.id, RpcError(METHOD_NOT_FOUND, "dgedit does not do that"))

    def _take(self, said: Any) -> None:
        """Take problems of the text as it was told last; older ones are outdated."""
        if not isinstance(said, dict) or (path := path_of(said.get("uri"))) is None:
            return
        told, version = self._told.get(path), said.get("version")
        if told is not None and version in (None, told.version):
            found = problems(said.get("diagnostics"), told, self.encoding)
            self._found(path, told.text, found)

    # Its end

    def _give_up(self, why: str) -> None:
        if not self._over.is_set():
            self._over.set()
            self._kill()
            self._ended(why)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and what it started
        self._process.wait()
        self._initialized.set()
        with suppress(Full):
            self._queue.put_nowait(None)


def _named(path: Path) -> dict[str, Any]:
    return {"uri": path.as_uri()}
