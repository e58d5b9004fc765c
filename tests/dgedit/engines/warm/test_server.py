"""The engine's side of the socket, in this process: the queue, what is refused, when it ends."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dgedit.engines.warm import server, sockets, wire
from dgedit.engines.warm.server import Serving
from dgedit.engines.warm.sockets import Connection, EngineKey
from dgedit.errors import Exit
from dgedit_engine.types import Backend
from scripted import STEPS, Scripted
from warm import SECRET, request


@contextmanager
def served(backend: Backend, folder: Path, *, idle: float = 60.0) -> Iterator[Path]:
    """The socket of an engine that runs in a thread, and ends."""
    path = folder / "one.sock"
    one = Serving(
        sockets.listen(path), path, lambda: backend, place=EngineKey(str(folder), ""), idle=idle
    )
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield path
    finally:
        if (lines := sockets.dial(path)) is not None:
            with closing(lines):
                lines.send({"do": "retire"})
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def client(path: Path) -> Iterator[Connection]:
    lines = sockets.dial(path)
    assert lines is not None
    with closing(lines):
        yield lines


def ask(lines: Connection, asker: str = "me") -> None:
    lines.send({"do": "infill", "request": wire.request_to_json(request()), "asker": asker})


def answer(lines: Connection) -> list[dict[str, Any]]:
    """The messages up to the last step, or an error."""
    found = []
    while (message := lines.receive(10)) is not None:
        found.append(message)
        if "error" in message or "again" in message or message.get("step", {}).get("last"):
            break
    return found


def test_requests_are_answered_in_turn_and_who_waits_is_told(tmp_path: Path) -> None:
    gate = threading.Event()
    order: list[int] = []
    backend = Scripted(during=lambda index: gate.wait(10) and None)
    with served(backend, tmp_path) as path, client(path) as a, client(path) as b, client(path) as c:
        for lines in (a, b, c):
            ask(lines)
            first = lines.receive(10)
            assert first is not None
            order.append(first["waiting"])
        gate.set()
        said = [[one.get("waiting") for one in answer(lines)] for lines in (a, b, c)]
    assert order == [0, 1, 2]
    steps = [None] * STEPS
    assert said == [steps, [0, *steps], [1, 0, *steps]]


def test_steps_carry_the_engines_own_seconds(tmp_path: Path) -> None:
    with served(Scripted(pause=0.05), tmp_path) as path, client(path) as lines:
        ask(lines)
        seconds = [one["seconds"] for one in answer(lines) if "step" in one]
        lines.send({"do": "status"})
        status = lines.receive(10)
    assert seconds == sorted(seconds) and 0.05 <= seconds[0] < 0.5
    assert status is not None and status["status"]["first_step"] == seconds[0]


def test_request_that_is_given_up_in_the_queue_is_never_begun(tmp_path: Path) -> None:
    gate = threading.Event()
    backend = Scripted(during=lambda index: gate.wait(10) and None)
    with served(backend, tmp_path) as path, client(path) as a, client(path) as c:
        ask(a)
        a.receive(10)
        with client(path) as b:
            ask(b)
            b.receive(10)
        ask(c)
        c.receive(10)
        gate.set()
        answer(a)
        assert answer(c)[-1]["step"]["last"]
    # The second stream was made, and closed before its first step.
    assert (len(backend.requests), backend.closed) == (2, 2)


def test_client_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    backend = Scripted(texts=("many words " * 30_000,))
    with served(backend, tmp_path) as path, client(path) as idler, client(path) as other:
        ask(idler)
        idler.receive(10)
        ask(other)
        began = time.monotonic()
        assert answer(other)[-1]["step"]["last"]
        assert time.monotonic() - began < 8
        assert answer(idler)[-1]["step"]["last"]  # nothing was lost


def test_each_client_has_its_own_session(tmp_path: Path) -> None:
    made: list[Sessions] = []

    class Sessions(Scripted):
        def session(self) -> Scripted:
            made.append(Sessions())
            return made[-1]

    with served(Sessions(), tmp_path) as path, client(path) as lines:
        for asker in ("a", "b", "a", "a"):
            ask(lines, asker)
            answer(lines)
    assert [len(one.requests) for one in made] == [3, 1]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"{}\n",
        b'{"do": "dance"}\n',
        b'{"do": "infill"}\n',
        b'{"do": "infill", "request": {"passages": [{"path": 1, "parts": []}]}}\n',
        b"no end",
    ],
)
def test_malformed_line_closes_that_connection_alone(tmp_path: Path, line: bytes) -> None:
    with served(Scripted(), tmp_path) as path, client(path) as good:
        with socket.socket(socket.AF_UNIX) as bad:
            bad.connect(str(path))
            bad.sendall(line)
            bad.shutdown(socket.SHUT_WR)
            bad.settimeout(10)
            reply = b"".join(iter(lambda: bad.recv(4096), b""))
        assert reply == b"" if line == b"no end" else set(json.loads(reply)) == {"error", "kind"}
        ask(good)
        assert answer(good)[-1]["step"]["last"]


def test_message_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LONGEST", 1000)
    with served(Scripted(), tmp_path) as path:
        with client(path) as lines, pytest.raises(ValueError, match="1011 bytes; 1000 is the most"):
            lines.send({"do": "x" * 1000})
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))
            other.settimeout(10)
            other.sendall(b"x" * 1001)
            assert json.loads(other.recv(4096))["error"] == "a message of more than 1000 bytes"


def test_other_users_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Scripted(), tmp_path) as path:
        with monkeypatch.context() as patch, socket.socket(socket.AF_UNIX) as other:
            patch.setattr(sockets, "user_of", lambda connection: os.geteuid() + 1)
            other.connect(str(path))
            other.settimeout(10)
            assert other.recv(1) == b""
        with client(path) as lines:
            ask(lines)
            assert answer(lines)[-1]["step"]["last"]


def test_peer_is_who_connected(tmp_path: Path) -> None:
    listener = sockets.listen(tmp_path / "one.sock")
    with listener, client(tmp_path / "one.sock") as lines:
        connection, _ = listener.accept()
        with connection:
            assert sockets.peer(connection) == (os.getpid(), os.geteuid())
        assert lines.pid == os.getpid()


def test_engine_that_nobody_asks_ends_and_takes_its_socket_along(tmp_path: Path) -> None:
    path, place = tmp_path / "one.sock", EngineKey(str(tmp_path), "")
    one = Serving(sockets.listen(path), path, Scripted, place=place, idle=0.2)
    began = time.monotonic()
    assert one.run() == Exit.OK
    assert 0.2 <= time.monotonic() - began < 20
    assert not path.exists()


def test_socket_that_took_the_place_of_ours_stays(tmp_path: Path) -> None:
    path, place = tmp_path / "one.sock", EngineKey(str(tmp_path), "")
    one = Serving(sockets.listen(path), path, Scripted, place=place, idle=0.1)
    kept = path.with_suffix(".old")
    path.rename(kept)  # so that its number is not given to another
    with sockets.listen(path):
        one.run()
        assert path.exists()


def test_end_sends_those_who_wait_to_the_next_engine(tmp_path: Path) -> None:
    begun, gate = threading.Event(), threading.Event()

    def during(index: int) -> None:
        begun.set()
        gate.wait(10)

    backend = Scripted(during=during)
    with served(backend, tmp_path) as path, client(path) as a, client(path) as b:
        ask(a)
        assert begun.wait(10)
        ask(b)
        b.receive(10)
        with client(path) as c:
            c.send({"do": "retire"})
            c.send({"do": "status"})
            assert c.receive(10) is not None
        gate.set()
        assert answer(a)[-1]["step"]["last"]  # was under way
        assert answer(b)[-1] == {"again": True}


def test_log_says_where_an_error_came_from_and_not_what_it_quotes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(index: int) -> None:
        raise KeyError(SECRET)

    server.log.propagate = True
    with (
        caplog.at_level(logging.INFO, "dgedit.engine"),
        served(Scripted(during=fail), tmp_path) as path,
        client(path) as lines,
    ):
        ask(lines)
        assert answer(lines)[-1] == {"error": repr(SECRET), "kind": "failed"}
    assert "KeyError at" in caplog.text and "test_server.py" in caplog.text
    assert SECRET not in caplog.text


def test_fault_11_request_beyond_the_limits_costs_nobody_anything(tmp_path: Path) -> None:
    backend = Scripted()
    with served(backend, tmp_path) as path, client(path) as bad, client(path) as good:
        harm = wire.request_to_json(request()) | {"candidates": 1_000_000_000}
        bad.send({"do": "infill", "request": harm, "asker": "me"})
        said = answer(bad)
        assert said == [{"error": "candidates must be at most 64, not 1000000000", "kind": "value"}]
        ask(good)
        assert answer(good)[-1]["step"]["last"]
    assert len(backend.requests) == 1


def test_fault_11_work_ends_within_a_step_of_a_hang_up(tmp_path: Path) -> None:
    gone, steps = threading.Event(), list[int]()

    def during(index: int) -> None:
        steps.append(index)
        assert gone.wait(10)  # in the first step, from which it comes when nobody listens

    backend = Scripted(during=during)
    with served(backend, tmp_path) as path:
        with client(path) as lines:
            ask(lines)
            assert lines.receive(10) == {"waiting": 0}
            until(lambda: steps == [1])
        gone.set()
        until(lambda: backend.closed == 1)
    assert steps == [1]


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)
