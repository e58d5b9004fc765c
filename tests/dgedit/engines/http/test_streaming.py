"""Events on a connection: sent as text stands, to clients who stay, who leave, and who are told why
no more comes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from dgedit.engines.http.server import HttpServing
from dgedit_engine.types import Draft, InfillRequest, Step
from overhttp import head, served, until
from scripted import Scripted

FIRST = b'{"index":0,"content":"one","tokens":[],"stop":false,"id_slot":0,"tokens_predicted":1}'


STEPS = 9


class Gated(Scripted):
    """Takes a step when it is let; the first word stands from the second step on."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Semaphore(0)
        self.steps: list[int] = []
        self.error: Exception | None = None

    def go(self, steps: int) -> None:
        self.gate.release(steps)

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        self.requests.append(request)
        try:
            for index in range(1, STEPS + 1):
                assert self.gate.acquire(timeout=90)
                if self.error:
                    raise self.error
                self.steps.append(index)
                last = index == STEPS
                drawn = Draft(("one", " two", " three"), (0.5,) * 3, (True, last, last))
                yield Step(index, STEPS, (drawn,), last)
        finally:
            self.closed += 1


def asks(serving: HttpServing, version: bytes = b"1.1", **more: object) -> socket.socket:
    """A client that has asked for a stream."""
    host, port = serving.address.split(":")
    client = socket.create_connection((host, int(port)), timeout=90)
    asked = {"input_prefix": "a", "input_suffix": "b", "stream": True, **more}
    body = json.dumps(asked).encode()
    lines = head(serving, "Host: localhost", f"Content-Length: {len(body)}")
    client.sendall(lines.replace(b"HTTP/1.1", b"HTTP/" + version) + body)
    return client


def reads(client: socket.socket, mark: bytes = b"") -> bytes:
    """What a client gets, up to a mark or the end."""
    said = b""
    while (not mark or mark not in said) and (got := client.recv(65536)):
        said += got
    return said


@pytest.fixture
def backend() -> Gated:
    return Gated()


@pytest.fixture
def serving(backend: Gated) -> Iterator[HttpServing]:
    with served(backend) as found:
        yield found
        backend.go(STEPS)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_text_is_sent_when_it_stands(serving: HttpServing, backend: Gated, version: bytes) -> None:
    client = asks(serving, version)
    backend.go(2)
    said = reads(client, FIRST + b"\n\n")
    lines, _, body = said.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 200 ") and b"\r\nContent-Type: text/event-stream" in lines
    assert b"Content-Length" not in lines  # the connection's end is the stream's
    assert body == b"data: " + FIRST + b"\n\n"
    assert backend.steps == [1, 2] and backend.closed == 0
    backend.go(STEPS - 2)
    *parts, last = [json.loads(one[6:]) for one in reads(client).decode().split("\n\n")[:-1]]
    assert [one["content"] for one in parts] == [" two three"]
    assert (last["content"], last["stop"], last["stop_type"]) == ("", True, "eos")
    client.close()


@pytest.mark.parametrize("reset", [False, True])
def test_client_that_leaves_a_stream_ends_it_within_a_step(
    serving: HttpServing, backend: Gated, reset: bool
) -> None:
    client = asks(serving)
    backend.go(2)
    reads(client, FIRST)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    backend.go(1)
    until(lambda: backend.closed == 1)
    assert backend.steps == [1, 2, 3]
    other = asks(serving)  # and the next one is served
    backend.go(STEPS)
    assert b'"stop":true' in reads(other)
    other.close()


def test_client_that_has_said_all_gets_the_stream(serving: HttpServing, backend: Gated) -> None:
    client = asks(serving)
    backend.go(2)
    said = reads(client, FIRST)
    client.shutdown(socket.SHUT_WR)
    backend.go(STEPS - 2)
    said += reads(client)
    events = [one for one in said.partition(b"\r\n\r\n")[2].split(b"\n\n") if one]
    assert next(one for one in events if one != b":") == b"data: " + FIRST  # a comment may come
    assert b'"stop":true' in events[-1] and said.count(b"HTTP/1.1") == 1
    client.close()


def test_failure_amid_a_stream_is_its_last_event(serving: HttpServing, backend: Gated) -> None:
    client = asks(serving)
    backend.go(2)
    reads(client, FIRST)
    backend.error = ValueError("9 holes")
    backend.go(1)
    (event,) = [one for one in reads(client).decode().split("\n\n") if one]
    error = json.loads(event.removeprefix("data: "))["error"]
    assert error == {"code": 400, "message": "9 holes", "type": "invalid_request_error"}
    client.close()


def test_failure_before_a_stream_has_a_status(serving: HttpServing, backend: Gated) -> None:
    client = asks(serving)
    backend.error = ValueError("9 holes")
    backend.go(1)
    assert reads(client).startswith(b"HTTP/1.1 400 ")
    client.close()


def test_end_of_the_server_is_told_to_a_stream(backend: Gated) -> None:
    with served(backend) as serving:
        client = asks(serving)
        backend.go(2)
        reads(client, FIRST)
        serving.ending.set()
        backend.go(1)
        assert b'"code":503' in reads(client)
    client.close()


def test_stream_ends_at_a_stop_text_without_further_steps(
    serving: HttpServing, backend: Gated
) -> None:
    client = asks(serving, stop=["ne"])
    backend.go(2)
    assert b'"stopping_word":"ne"' in reads(client)
    until(lambda: backend.closed == 1)
    assert backend.steps == [1, 2]
    client.close()


def test_client_that_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that fills its buffers is a client that has gone."""
    from dgedit.engines.http import server

    monkeypatch.setattr(server, "_PATIENCE", 0.5)
    backend = Scripted((" ".join(["x" * 8_000_000] * 3),))
    with served(backend) as serving:
        client = asks(serving)
        until(lambda: backend.closed == 1)
        until(lambda: not serving.turns._queue)
        with contextlib.suppress(OSError):
            client.close()
