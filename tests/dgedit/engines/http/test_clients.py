"""Clients of every kind: that ask for a head alone, that have said all, that have hung up."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest

from dgedit.engines.http.server import HttpServing
from overhttp import ask, begun, head, raw, served, until
from scripted import Scripted


@pytest.mark.parametrize("path", ["/health", "/v1/health", "/v1/models"])
def test_fault_22_head_is_the_answer_without_its_body(path: str) -> None:
    with served(Scripted()) as serving:
        length = ask(serving, path, method="GET")[0].getheader("Content-Length")
        said = raw(serving, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"\r\n\r\n")
        assert f"Content-Length: {length}\r\n".encode() in said
        gone = raw(serving, b"HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert gone.startswith(b"HTTP/1.1 404 ") and gone.endswith(b"\r\n\r\n")


class Waiting(Scripted):
    """Stays in its first step until it is let go."""

    def __init__(self) -> None:
        self.began, self.gate = threading.Event(), threading.Event()
        super().__init__(during=self._during)
        self.steps: list[int] = []

    def _during(self, index: int) -> None:
        self.steps.append(index)
        self.began.set()
        assert self.gate.wait(20)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_fault_22_client_that_has_said_all_is_answered(version: str) -> None:
    backend = Waiting()
    with served(backend) as serving:
        client = begun_with(serving, version)
        assert backend.began.wait(20)
        client.shutdown(socket.SHUT_WR)
        backend.gate.set()
        said = everything(client)
    if version == "1.1":  # what is sent before an answer, and every client skips
        said = said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ") and said.count(b"HTTP/1") == 1
    assert json.loads(said.partition(b"\r\n\r\n")[2])["content"] == "filled"


def test_fault_22_client_that_has_said_all_is_answered_when_its_turn_comes() -> None:
    backend = Waiting()
    with served(backend) as serving:
        first = begun(serving)
        assert backend.began.wait(20)
        second = begun(serving)
        second.shutdown(socket.SHUT_WR)
        until(lambda: len(serving.turns._queue) == 2)
        backend.gate.set()
        assert b"HTTP/1.1 200 " in everything(first)
        assert b"HTTP/1.1 200 " in everything(second)


@pytest.mark.parametrize("reset", [False, True])
def test_client_that_has_hung_up_is_seen_between_steps(reset: bool) -> None:
    backend = Waiting()
    with served(backend) as serving:
        client = begun(serving)
        assert backend.began.wait(20)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        backend.gate.set()
        until(lambda: backend.closed == 1)
        assert len(backend.steps) < 3


def begun_with(serving: HttpServing, version: str) -> socket.socket:
    """A client of a version that has asked."""
    host, port = serving.address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=90)
    body = json.dumps({"input_prefix": "a", "input_suffix": "b"}).encode()
    lines = head(serving, "Host: localhost", f"Content-Length: {len(body)}")
    connection.sendall(lines.replace(b"HTTP/1.1", b"HTTP/" + version.encode()) + body)
    return connection


def everything(client: socket.socket) -> bytes:
    client.settimeout(20)
    said = b""
    while got := client.recv(65536):
        said += got
    client.close()
    return said
