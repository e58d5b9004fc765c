"""A server on loopback that answers chats as it was told to, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dgedit.engines.connect import connect
from dgedit.errors import EngineError
from dgedit_engine.types import Hole, InfillRequest, Passage, Step

Chunks = list[str | bytes | float]
"""Text for pieces of an answer, bytes to be sent as they are, and seconds to wait between."""


@dataclass
class Answer:
    """One answer."""

    chunks: Chunks = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """What is sent instead of a stream."""
    finish: str | None = "stop"
    """How the stream ends; None for one that is cut off."""
    logprob: float | None = None
    """What each piece has."""


@dataclass
class Asked:
    """What the server was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


REQUEST = InfillRequest((Passage("a.py", ("x = ", Hole("old"), "\ny = ", Hole(), "\n")),))
GOOD = Answer(["<hole 1>\n", "1", "23\n</hole 1>", "\n<hole 2>45", "</hole 2>"])


@dataclass
class FakeChat:
    """The server."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    """For one chat after the other; the last one again when they run out."""
    models: Answer = field(
        default_factory=lambda: Answer(body=b'{"data": [{"id": "gem", "max_model_len": 4096}]}')
    )
    asked: list[Asked] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a client has gone while it was answered."""

    @property
    def chats(self) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith("/chat/completions")]


@contextlib.contextmanager
def fakechat(wrap: Callable[[socket.socket], socket.socket] | None = None) -> Iterator[FakeChat]:
    """A server that runs meanwhile; `wrap` makes its connections encrypted."""
    fake = FakeChat("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append(Asked(self.path, dict(self.headers), {}))
            with contextlib.suppress(OSError):  # it is more than anybody wants
                self._send(fake.models)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.asked.append(Asked(self.path, dict(self.headers), body))
            number = min(len(fake.chats), len(fake.answers)) - 1
            with contextlib.suppress(OSError):
                self._send(fake.answers[number])
                return
            fake.hung_up.set()

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            kind = "application/json" if answer.body is not None else "text/event-stream"
            for name, value in ({"Content-Type": kind} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if answer.body is not None:
                self.wfile.write(answer.body)
                return
            for chunk in answer.chunks:
                if isinstance(chunk, float):
                    self._wait(chunk)
                else:
                    self.wfile.write(chunk if isinstance(chunk, bytes) else piece(chunk, answer))
            if answer.finish is not None:
                end = {"choices": [{"delta": {}, "finish_reason": answer.finish}]}
                self.wfile.write(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(end).encode())

        def _wait(self, seconds: float) -> None:
            """Wait, unless the client goes meanwhile."""
            until = time.monotonic() + seconds
            self.connection.settimeout(seconds)
            with contextlib.suppress(TimeoutError):
                if self.connection.recv(1) == b"":
                    raise ConnectionResetError
            assert time.monotonic() >= until - 0.1

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if wrap is not None:
        server.socket = wrap(server.socket)
    fake.url = f"{'https' if wrap else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def piece(text: str, answer: Answer) -> bytes:
    """An event with a piece of an answer."""
    choice: dict[str, Any] = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    if answer.logprob is not None:
        choice["logprobs"] = {"content": [{"token": text, "logprob": answer.logprob}]}
    return b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key but the test's, and no long wait for a busy server."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)  # as where it is not installed
    monkeypatch.setattr("dgedit.engines.remote.exchange._PAUSE", 0.001)


def steps(fake: FakeChat, request: InfillRequest = REQUEST) -> list[Step]:
    return list(connect(None, None, fake.url).infill(request))


def failure(fake: FakeChat, *answers: Answer) -> str:
    """The line that an infill ends with."""
    fake.answers = list(answers)
    with pytest.raises(EngineError) as caught:
        steps(fake)
    assert caught.value.exit == 5
    line = str(caught.value)
    assert "\n" not in line and line.isprintable() and len(line) < 500
    return line
