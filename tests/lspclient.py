"""A language client for tests: a real `dgedit lsp` at the other end, with a backend that knows its
lines, and our own side of the protocol.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dgedit.protocol.rpc import Peer, RpcError
from scripted import PATH

# The server with a scripted backend, which writes its steps and their ends to stderr.
DRIVER = """
import json, sys
from dgedit.engines import connect
from dgedit.lsp import stdio
from dgedit_engine.types import Ability
from scripted import Scripted
said = json.loads(sys.argv[1])
failing = said.pop("failing", None)
languages = said.pop("languages", None)
if limit := said.pop("limit", None):
    from dgedit.lsp import answers
    answers._TIME = limit
class Telling(Scripted):
    def infill(self, request):
        strength, effort = request.strength, request.effort
        print("asked", len(request.holes), strength, effort, file=sys.stderr, flush=True)
        try:
            yield from super().infill(request)
        finally:
            print("closed", file=sys.stderr, flush=True)
telling = lambda index: print("step", index, file=sys.stderr, flush=True)
ability = Ability(languages and frozenset(languages), instructions=True)
backend = Telling(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()},
                  during=telling, ability=ability)
def connected(*which, **more):
    if failing:
        from dgedit.errors import EngineError
        print("tried", file=sys.stderr, flush=True)
        raise EngineError(failing)
    return backend
connect.connect = connected
stdio.main()
"""

ALL: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "inlineCompletion": {},
        "codeAction": {"resolveSupport": {"properties": ["edit"]}},
    },
    "workspace": {"workspaceEdit": {"documentChanges": True}},
}
"""The capabilities of a client that shows all we have."""

URI = "file:///home/me/a.py"


class LspClient:
    """A session with a server's process."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self.process, self._errors = process, errors
        assert process.stdout is not None and process.stdin is not None
        self.peer = Peer(process.stdout, process.stdin)
        self.said: list[tuple[str, Any]] = []
        """Notifications and requests of the server, in order."""
        self.answers: dict[str, Any] = {}
        """What its requests are answered with; others are never answered."""
        self._version = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for message in self.peer.incoming():
            self.said.append((message.method, message.params))
            if message.id is not None and message.method in self.answers:
                self.peer.answer(message.id, self.answers[message.method])

    def send(self, method: str, params: Any) -> tuple[int, Future[Any]]:
        """Send a request; return its id and what will be its result."""
        future: Future[Any] = Future()

        def answered(result: Any, error: RpcError | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        return self.peer.ask(method, params, answered), future

    def request(self, method: str, params: Any = None, *, timeout: float = 30) -> Any:
        return self.send(method, params)[1].result(timeout)

    def start(self, capabilities: Any = None, **params: Any) -> Any:
        """Do the handshake; return the server's greeting."""
        given = {"capabilities": ALL if capabilities is None else capabilities}
        greeting = self.request("initialize", {"processId": os.getpid()} | given | params)
        self.peer.tell("initialized", {})
        return greeting

    def open(self, text: str, uri: str = URI, language: str = "python", version: int = 1) -> None:
        about = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.peer.tell("textDocument/didOpen", {"textDocument": about})

    def change(self, changes: list[Any], version: int, uri: str = URI) -> None:
        about = {"uri": uri, "version": version}
        said = {"textDocument": about, "contentChanges": changes}
        self.peer.tell("textDocument/didChange", said)

    def next_version(self) -> int:
        """Return a version above all that it returned before."""
        self._version += 1
        return self._version + 1

    def ask_at(
        self, line: int, character: int, kind: int = 1, uri: str = URI, **more: Any
    ) -> tuple[int, Future[Any]]:
        """Ask for an inline completion."""
        context = {"triggerKind": kind} | more.pop("context", {})
        about = {"textDocument": {"uri": uri}, "position": at(line, character)}
        return self.send("textDocument/inlineCompletion", about | {"context": context} | more)

    def offered(self, line: int, character: int, kind: int = 1, **more: Any) -> list[str]:
        """Return the texts that are offered at a place."""
        items = self.ask_at(line, character, kind, **more)[1].result(30)["items"]
        return [item["insertText"] for item in items]

    def actions(self, start: Any, end: Any, uri: str = URI, **context: Any) -> list[Any]:
        where = {"start": start, "end": end}
        about = {"textDocument": {"uri": uri}, "range": where}
        context = {"diagnostics": []} | context
        found: list[Any] = self.request("textDocument/codeAction", about | {"context": context})
        return found

    def logged(self, words: str = "") -> list[str]:
        """Return the server's log lines with these words."""
        lines = [said["message"] for name, said in self.said if name == "window/logMessage"]
        return [line for line in lines if words in line]

    def errors(self) -> list[str]:
        """Return what it wrote to stderr."""
        return self._errors.read_text().splitlines()

    def until(self, fact: Callable[[], Any], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, (self.said[-5:], self.errors()[-5:])
            time.sleep(0.01)

    def end(self) -> int:
        """Shut it down; return its exit code."""
        assert self.request("shutdown") is None
        self.peer.tell("exit", None)
        return self.process.wait(10)

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def at(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}


@contextmanager
def lsp_process(folder: Path, *command: str) -> Iterator[LspClient]:
    """Start a server with a command of Python's, and end it."""
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": PATH},
        )
    try:
        yield LspClient(process, errors)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()


@contextmanager
def lsp_scripted(folder: Path, **said: Any) -> Iterator[LspClient]:
    """Start a server whose backend is `Scripted` with these fields."""
    with lsp_process(folder, "-c", DRIVER, json.dumps(said)) as client:
        yield client
