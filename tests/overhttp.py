"""A client of the HTTP form, well behaved and not."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from dgedit.engines.http.server import HttpServing
from scripted import Scripted

ASK = {"prompt": "a = ", "suffix": "\n"}


@contextlib.contextmanager
def served(backend: Scripted, **options: Any) -> Iterator[HttpServing]:
    serving = HttpServing(lambda: backend, "127.0.0.1", 0, **options)
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        yield serving
    finally:
        serving.stop()
        thread.join(10)
        assert not thread.is_alive()


def ask(
    serving: HttpServing,
    path: str = "/v1/completions",
    body: object = ASK,
    *,
    method: str = "POST",
    **headers: str,
) -> tuple[HTTPResponse, Any]:
    """What is answered; the body's JSON, or its text where it is none."""
    connection = HTTPConnection(serving.address, timeout=90)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, data if method == "POST" else None, sent)
        answer = connection.getresponse()
        raw = answer.read().decode()
    is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
    return answer, json.loads(raw) if is_json else raw


def raw(serving: HttpServing, *parts: bytes | float | None) -> bytes:
    """What is answered to bytes, with pauses between; None closes the sending side."""
    host, port = serving.address.split(":")
    with socket.create_connection((host, int(port)), timeout=90) as connection:
        for part in parts:
            if isinstance(part, float):
                time.sleep(part)
            elif part is None:
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.sendall(part)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while got := connection.recv(65536):
                answer += got
        return answer


def head(serving: HttpServing, *lines: str) -> bytes:
    return "\r\n".join(["POST /infill HTTP/1.1", *lines, "", ""]).encode()


def refused(serving: HttpServing, status: int, **given: Any) -> str:
    answer, body = ask(serving, **given)
    assert answer.status == status
    assert body["error"]["code"] == status
    assert answer.getheader("Connection") == "close"
    return str(body["error"]["message"])


def begun(serving: HttpServing) -> socket.socket:
    """A client that has asked."""
    host, port = serving.address.split(":")
    connection = socket.create_connection((host, int(port)))
    body = json.dumps({"input_prefix": "a", "input_suffix": "b"}).encode()
    connection.sendall(head(serving, "Host: localhost", f"Content-Length: {len(body)}") + body)
    return connection


def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + 90
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)
