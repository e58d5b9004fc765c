"""Speak JSON-RPC 2.0 with Content-Length headers, as language servers and their clients do.

A `Peer` is either side. Whatever arrives is answered with a message or an error in one line: noise
between messages is skipped up to the next header, a message that is too large is read past without
being held. Output is written whole or, when nobody reads it any more, dropped; several threads may
write.

Knows bytes and JSON; nothing of what the methods mean. Light: it is loaded before a server's first
answer.
"""

from __future__ import annotations

import json
import re
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002
REQUEST_FAILED = -32803
SERVER_CANCELLED = -32802
CONTENT_MODIFIED = -32801
REQUEST_CANCELLED = -32800

LONGEST = 32 * 1024 * 1024
"""The most bytes of a message that is read."""

_LINE = 4096  # bytes of a header's line
_CHUNK = 1 << 16
_NAME = 256  # characters of an id or a method's name
_ASKED = 256  # requests of ours that may be without an answer
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,15})[ \t]*\r?\n\Z", re.IGNORECASE)
_FIELD = re.compile(rb"[A-Za-z][A-Za-z-]*:[^\r\n{]*\r?\n\Z")

Id = int | str
Answered = Callable[[Any, "RpcError | None"], None]


class RpcError(Exception):
    """An error to answer a request with, or that one was answered with."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request or a notification from the other side."""

    method: str
    """Its name."""
    params: Any
    """Its parameters: an object or a list; None if there are none."""
    id: Id | None = None
    """What its answer must name; None for a notification, which has no answer."""


class Peer:
    """One side of a connection, which reads what the other side says and writes to it."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, *, longest: int = LONGEST) -> None:
        """Take two streams, and the most bytes of a message."""
        self._incoming, self._outgoing, self._longest = incoming, outgoing, longest
        self._writing = threading.Lock()
        self._asking = threading.Lock()
        self._asked: dict[Id, Answered] = {}
        self._last = 0
        self.closed = False
        """True if nobody reads what is written any more."""

    def incoming(self) -> Iterator[Incoming]:
        """Yield requests and notifications until the other side closes.

        What is neither is answered with an error; answers go to whoever waits for them.
        """
        while not self.closed:
            try:
                body = self._body()
            except RpcError as error:
                self.fail(None, error)
                continue
            except (OSError, ValueError):  # the stream was closed
                return
            if body is None:
                return
            try:
                message = self._message(body)
            except RpcError as error:
                self.fail(None, error)
                continue
            if message is not None:
                yield message

    def ask(self, method: str, params: Any, answered: Answered | None = None) -> int:
        """Send a request and return its id. The answer goes to `answered`, in the thread that
        iterates `incoming`, as a result and None or as None and an error.
        """
        with self._asking:
            self._last += 1
            if answered is not None:
                self._asked[self._last] = answered
                if len(self._asked) > _ASKED:  # the other side never answers
                    self._asked.pop(next(iter(self._asked)))
            number = self._last
        self._send({"id": number, "method": method, "params": params})
        return number

    def cancel(self, number: Id) -> None:
        """Tell the other side that a request's answer is no longer wanted."""
        with self._asking:
            self._asked.pop(number, None)
        self.tell("$/cancelRequest", {"id": number})

    def tell(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def answer(self, number: Id, result: Any) -> None:
        """Answer a request with a result."""
        try:
            self._send({"id": number, "result": result})
        except (ValueError, RecursionError):  # it holds what the other side sent, nested deeply
            self.fail(number, RpcError(INTERNAL_ERROR, "the answer is no JSON"))

    def fail(self, number: Id | None, error: RpcError) -> None:
        """Answer a request, or what could not be read as one, with an error."""
        self._send({"id": number, "error": {"code": error.code, "message": str(error)}})

    def _body(self) -> bytes | None:
        """Return the next message's bytes; None at the end. Raises RpcError for what is skipped."""
        length, noise = self._header()
        if length is None:
            return None
        if noise:
            self.fail(None, RpcError(PARSE_ERROR, "no header: skipped to the next one"))
        if length > self._longest:
            if not self._skip(length):
                return None
            most = f"at most {self._longest:,} are read"
            raise RpcError(INVALID_REQUEST, f"a message of {length:,} bytes: {most}")
        body = self._incoming.read(length)
        return body if len(body) == length else None

    def _header(self) -> tuple[int | None, bool]:
        """Read a header: return the length it names, None at the end, and whether something else
        preceded it.
        """
        length, noise = None, False
        while line := self._incoming.readline(_LINE):
            if found := _LENGTH.search(line):
                noise = noise or found.start() > 0
                length = int(found[1])
            elif line.strip():
                noise = noise or not _FIELD.match(line) or line[:15].lower() == b"content-length:"
            elif length is not None:
                return length, noise
        return None, noise

    def _skip(self, length: int) -> bool:
        """Read past so many bytes; return False if they end before."""
        while length > 0:
            got = len(self._incoming.read(min(length, _CHUNK)))
            if not got:
                return False
            length -= got
        return True

    def _message(self, body: bytes) -> Incoming | None:
        """Parse a message; an answer is delivered, and gives None. Raises RpcError."""
        try:
            said = json.loads(body.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise RpcError(PARSE_ERROR, "a message is no JSON") from None
        if not isinstance(said, dict):
            raise RpcError(INVALID_REQUEST, "a message must be an object")
        number, method, params = said.get("id"), said.get("method"), said.get("params")
        known = _is_id(number)
        if method is None and ("result" in said or "error" in said):
            self._deliver(number, said)
            return None
        if "id" in said and not known:
            raise RpcError(INVALID_REQUEST, "an id must be a whole number or a short text")
        if not isinstance(method, str) or not 0 < len(method) <= _NAME:
            raise RpcError(INVALID_REQUEST, "a message must name its method")
        if params is not None and not isinstance(params, dict | list):
            if known:
                self.fail(number, RpcError(INVALID_PARAMS, "params must be an object or a list"))
                return None
            raise RpcError(INVALID_REQUEST, "params must be an object or a list")
        return Incoming(method, params, number if known else None)

    def _deliver(self, number: Any, said: dict[str, Any]) -> None:
        with self._asking:
            answered = self._asked.pop(number, None) if _is_id(number) else None
        if answered is None:
            return
        error = said.get("error")
        if error is None:
            answered(said.get("result"), None)
            return
        table = error if isinstance(error, dict) else {}
        code = table.get("code")
        words = str(table.get("message", ""))[:1000]
        answered(None, RpcError(code if type(code) is int else INTERNAL_ERROR, words))

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0"} | message, separators=(",", ":")).encode()
        data = memoryview(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        with self._writing:
            try:
                while data and not self.closed:
                    try:
                        written = self._outgoing.write(data)
                    except BlockingIOError as error:
                        written = error.characters_written
                    if not written:  # the pipe is full and does not block
                        select.select([], [self._outgoing], [])
                    data = data[written or 0 :]
                self._outgoing.flush()
            except (OSError, ValueError):  # nobody reads, or the stream was closed
                self.closed = True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _NAME
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
