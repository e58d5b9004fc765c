"""Messages with headers, from either side, and what is no message."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from hypothesis import strategies as st

from dgedit.protocol import rpc
from dgedit.protocol.rpc import Incoming, Peer, RpcError
from fuzzed import changed, edited, inputs


def framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def read(data: bytes, **more: Any) -> tuple[list[Incoming], list[Any]]:
    """What a peer makes of bytes, and what it writes."""
    out = io.BytesIO()
    found = list(Peer(io.BytesIO(data), out, **more).incoming())
    return found, written(out.getvalue())


def written(data: bytes) -> list[Any]:
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(head.removeprefix(b"Content-Length: "))
        found.append(json.loads(data[:length]))
        data = data[length:]
    return found


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"x": "ü"}}


def test_requests_and_notifications_are_told_apart() -> None:
    note = {"jsonrpc": "2.0", "method": "note"}
    found, said = read(framed(HELLO) + framed(note) + framed(HELLO | {"id": "a"}))
    first = Incoming("hello", {"x": "ü"}, 1)
    assert found == [first, Incoming("note", None), Incoming("hello", {"x": "ü"}, "a")]
    assert said == []


@pytest.mark.parametrize(
    "header",
    [
        b"content-length:%d\n\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length: %d\r\nX-More: 1\r\n\r\n",
    ],
)
def test_header_may_have_other_fields(header: bytes) -> None:
    body = json.dumps(HELLO).encode()
    found, said = read(header % len(body) + body)
    assert [one.method for one in found] == ["hello"] and not said


@pytest.mark.parametrize(
    "noise",
    [
        b"Traceback: oh no\nmore\n",
        b"\x00\xff" * 9000 + b"\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: -3\r\n\r\n",
        json.dumps(HELLO).encode(),  # without a header, the next one right behind it
        b"\r\n\r\n{}\r\n",
    ],
)
def test_noise_is_told_once_and_skipped_to_the_next_header(noise: bytes) -> None:
    found, said = read(framed(HELLO) + noise + framed(HELLO) + framed(HELLO))
    assert [one.method for one in found] == ["hello"] * 3
    assert [one["error"]["code"] for one in said] == [rpc.PARSE_ERROR]
    assert said[0]["id"] is None and "\n" not in said[0]["error"]["message"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{", rpc.PARSE_ERROR),
        (b"\xff\xfe", rpc.PARSE_ERROR),
        (b"[" * 100_000, rpc.PARSE_ERROR),
        (b"1" * 10_000, rpc.PARSE_ERROR),
        (b'{"id": 1, "method": "x", "params": [NaN]}', rpc.PARSE_ERROR),
        ([HELLO], rpc.INVALID_REQUEST),
        (7, rpc.INVALID_REQUEST),
        ({}, rpc.INVALID_REQUEST),
        (HELLO | {"method": 7}, rpc.INVALID_REQUEST),
        (HELLO | {"method": ""}, rpc.INVALID_REQUEST),
        (HELLO | {"id": 1.5}, rpc.INVALID_REQUEST),
        (HELLO | {"id": None}, rpc.INVALID_REQUEST),
        (HELLO | {"id": True}, rpc.INVALID_REQUEST),
        (HELLO | {"id": "x" * 1000}, rpc.INVALID_REQUEST),
        (HELLO | {"params": "x"}, rpc.INVALID_PARAMS),
    ],
)
def test_what_is_no_request_is_an_error_and_the_next_one_is_read(message: Any, code: int) -> None:
    found, said = read(framed(message) + framed(HELLO))
    assert [one.method for one in found] == ["hello"]
    assert [one["error"]["code"] for one in said] == [code]


def test_message_that_is_too_large_is_read_past() -> None:
    found, said = read(framed(b"x" * 1001) + framed(HELLO), longest=1000)
    assert [one.method for one in found] == ["hello"]
    assert said[0]["error"]["message"] == "a message of 1,001 bytes: at most 1,000 are read"


@pytest.mark.parametrize("data", [b"", b"Content-Le", framed(HELLO)[:-1], framed(b"x" * 99)[:50]])
def test_end_within_a_message_is_the_end(data: bytes) -> None:
    assert read(data) == ([], [])


class Pipe(io.RawIOBase):
    """A stream that takes a few bytes at a time, and then breaks."""

    def __init__(self, most: int) -> None:
        self.got, self.most = b"", most

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if len(self.got) >= self.most:
            raise BrokenPipeError
        self.got += bytes(data[:7])
        return min(7, len(data))


def test_all_is_written_in_pieces_and_a_broken_pipe_ends_it() -> None:
    pipe = Pipe(200)
    peer = Peer(io.BytesIO(framed(HELLO) * 9), pipe)  # type: ignore[arg-type]
    peer.tell("note", {"text": "x" * 20})
    assert written(pipe.got)[0]["params"] == {"text": "x" * 20}
    assert not peer.closed
    for _ in range(9):
        peer.answer(1, None)
    assert peer.closed and list(peer.incoming()) == []


def test_answers_go_to_who_asked() -> None:
    out, got = io.BytesIO(), []

    def answered(result: Any, error: RpcError | None) -> None:
        got.append((result, error and (error.code, str(error))))

    back = [
        {"id": 1, "result": 7},
        {"id": 1, "result": 8},  # once
        {"id": 2, "error": {"code": -1, "message": "no"}},
        {"id": 3, "error": "odd"},
        {"id": 9, "result": "nobody's"},
        {"id": {}, "result": "odd"},
        {"id": None, "error": {"code": -32700, "message": "ours was no JSON"}},
    ]
    peer = Peer(io.BytesIO(b"".join(map(framed, back))), out)
    assert [peer.ask("do", {}, answered) for _ in range(4)] == [1, 2, 3, 4]
    peer.cancel(4)
    assert list(peer.incoming()) == []
    assert got == [(7, None), (None, (-1, "no")), (None, (rpc.INTERNAL_ERROR, ""))]
    assert written(out.getvalue())[-1]["params"] == {"id": 4}


def test_requests_that_are_never_answered_are_forgotten() -> None:
    peer = Peer(io.BytesIO(), io.BytesIO())
    for _ in range(1000):
        peer.ask("do", {}, lambda result, error: None)
    assert len(peer._asked) <= 256


def test_threads_write_whole_messages() -> None:
    out = io.BytesIO()
    peer = Peer(io.BytesIO(), out)
    threads = [
        threading.Thread(target=lambda: [peer.tell("x", {"y": "z" * 999}) for _ in range(50)])
        for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(written(out.getvalue())) == 400


def test_any_bytes_are_messages_or_errors() -> None:
    whole = (
        framed(HELLO) + framed({"method": "note", "params": []}) + framed({"id": 1, "result": 0})
    )

    @inputs(edited(whole) | changed(HELLO).map(framed) | st.just(whole))
    def check(data: bytes) -> None:
        found, said = read(data + b"\r\n" + framed(HELLO))
        assert all(isinstance(one.method, str) for one in found)
        for one in said:
            assert -32800 < one["error"]["code"] < -32000 and len(one["error"]["message"]) < 200
        assert found or b"ength" in data  # a length that is too large swallows the next one


def test_answer_that_cannot_be_sent_is_an_error() -> None:
    out, deep = io.BytesIO(), []
    for _ in range(100_000):
        deep = [deep]
    Peer(io.BytesIO(), out).answer(1, deep)
    (said,) = written(out.getvalue())
    assert (said["id"], said["error"]["code"]) == (1, rpc.INTERNAL_ERROR)
    while deep:  # or its end would be a recursion
        deep = deep[0]
