"""One request to an HTTP server, and its answer as it comes.

A thread of its own reads, so that whoever waits can stop waiting at any moment: after a silence, or
because another thread closes the exchange. Closing shuts the connection down at once. Knows bytes,
server-sent events and how a server says that it is busy; nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

import httpx2

from dgedit.errors import EngineError

CONNECT = 10.0  # seconds until a connection stands
FIRST = 120.0  # until the first byte of the answer: the prompt is read, a canvas refined
BETWEEN = 60.0  # between two pieces of an answer
LONGEST = 900.0  # until its end, whatever comes meanwhile
LARGEST = 16_000_000  # bytes of an answer
TABLE = 4_000_000  # bytes of one that is read as a whole

_TRIES = 5  # while a server is busy
_PAUSE = 0.5  # seconds after the first of them; twice as long after each further one
_LONGEST_PAUSE = 60.0
_BUSY = (429, 503)
_EVENT = 1_000_000  # bytes of one server-sent event
_AHEAD = 16  # chunks that are read before somebody wants them: then the server has to wait
_LOOK = 0.1  # seconds between looks whether anybody still wants them


class Silent(EngineError):
    """A server that says nothing for too long."""


class Cut(EngineError):
    """An answer that ends in the middle, or never ends."""


class Closed(Exception):
    """The exchange was closed while somebody waited for it."""


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins."""

    status: int
    """Its code."""
    headers: httpx2.Headers
    """Its headers."""


class Exchange:
    """A request on its way. Used by one thread; any other may close it."""

    def __init__(self, client: httpx2.Client, method: str, url: str, body: object = None) -> None:
        self._queue: Queue[Head | bytes | Exception | None] = Queue(_AHEAD)
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._closed = False
        request = client.build_request(
            method,
            url,
            json=body,
            timeout=httpx2.Timeout(CONNECT, read=None, write=FIRST),
            extensions={"trace": self._trace},
        )
        threading.Thread(target=self._read, args=(client, request), daemon=True).start()

    def head(self) -> Head:
        """How the answer begins. Raises what httpx2 does for a server that cannot be reached."""
        item = self._next(CONNECT + FIRST)
        assert isinstance(item, Head)
        return item

    def chunks(self, most: int | None = None) -> Iterator[bytes]:
        """The answer's bytes as they come, `LARGEST` at most or so many."""
        most = LARGEST if most is None else most
        wait, size, until = FIRST, 0, time.monotonic() + LONGEST
        while (item := self._next(wait)) is not None:
            assert isinstance(item, bytes)
            size += len(item)
            if size > most:
                raise Cut(f"an answer of more than {most:,} bytes")
            if time.monotonic() > until:
                raise Cut(f"an answer that takes more than {LONGEST:g} s")
            wait = BETWEEN
            yield item

    def body(self) -> bytes:
        """All of them, `TABLE` at most."""
        return b"".join(self.chunks(TABLE))

    def close(self) -> None:
        """Shut the connection down, and wake whoever waits."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with contextlib.suppress(OSError):  # the server was faster
                    self._connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Full):  # who waits has something to wake it
            self._queue.put_nowait(Closed())

    def _next(self, wait: float) -> Head | bytes | None:
        try:
            item = self._queue.get(timeout=wait)
        except Empty:
            self.close()
            raise Silent(f"nothing came for {wait:.0f} s") from None
        if self._closed:  # what came is the end that closing made
            raise Closed
        if isinstance(item, Exception):
            raise item
        return item

    def _read(self, client: httpx2.Client, request: httpx2.Request) -> None:
        """The thread: everything that comes, into the queue; None at the end."""
        try:
            response = client.send(request, stream=True)
            with contextlib.closing(response):
                self._put(Head(response.status_code, response.headers))
                for chunk in response.iter_raw():  # as sent: nothing unfolds to more than it was
                    self._put(chunk)
                    if self._closed:  # a server need not end: what it sends would come for ever
                        return
            self._put(None)
        except Exception as error:
            self._put(error)
        finally:
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    def _put(self, item: Head | bytes | Exception | None) -> None:
        """Hand on what came when there is room, unless nobody wants it any more."""
        while not self._closed:
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=_LOOK)
                return

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Keep a handle on the connection, which is to be shut down from another thread."""
        if event != "connection.connect_tcp.complete":
            return
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = info["return_value"].get_extra_info("socket").dup()
            if self._closed:
                self._connection.shutdown(socket.SHUT_RDWR)


class Conversation:
    """A server, asked one thing after another, until it is closed."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._exchange: Exchange | None = None
        self._closed = threading.Event()

    @contextlib.contextmanager
    def ask(self, method: str, url: str, body: object = None) -> Iterator[tuple[Head, Exchange]]:
        """Ask, again after a pause while the server is busy. Raises Closed when it is closed."""
        for tries in range(_TRIES):
            with self._lock:
                if self._closed.is_set():
                    raise Closed
                exchange = self._exchange = Exchange(self._client, method, url, body)
            try:
                head = exchange.head()
                pause = _pause(head, tries)
                if pause is None or tries + 1 == _TRIES:
                    yield head, exchange
                    return
            finally:
                exchange.close()
            if self._closed.wait(pause):
                raise Closed

    def close(self) -> None:
        """End what is under way, from whatever thread, and ask nothing more."""
        self._closed.set()
        with self._lock:
            if self._exchange is not None:
                self._exchange.close()


def events(chunks: Iterator[bytes]) -> Iterator[str]:
    """The data of a stream of server-sent events."""
    data: list[str] = []
    for line in _lines(chunks):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def objects(texts: Iterator[str], *, end: str) -> Iterator[dict[str, Any]]:
    """The JSON object in each text, up to the one that says that it is the end. Raises Cut."""
    for text in texts:
        if text.strip() == end:
            return
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Cut("an event that is no JSON object")
        yield value


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _EVENT:
            raise Cut(f"an event of more than {_EVENT:,} bytes")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")


def _pause(head: Head, tries: int, *, chance: Callable[[], float] = random.random) -> float | None:
    """Seconds until a busy server is to be asked again; None for one that has answered, or that
    wants to be left alone for longer than anybody waits.
    """
    if head.status not in _BUSY:
        return None
    asked = _seconds(head.headers.get("retry-after", ""))
    if asked is None:
        return float(min(_PAUSE * 2**tries, _LONGEST_PAUSE) * (0.5 + chance()))
    # Not all at the same moment: who was sent away together comes back together.
    return asked + _PAUSE * chance() if asked <= _LONGEST_PAUSE else None


def _seconds(header: str) -> float | None:
    """What a Retry-After header says: seconds, or a date."""
    if header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        date = email.utils.parsedate_to_datetime(header)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
