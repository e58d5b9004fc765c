"""One HTTP request and its answer, read as a stream that can be closed at any moment.

A thread of its own reads the answer, so that a caller can stop waiting at any time: after a
timeout, or because another thread closes the exchange. Closing shuts the connection down at once.
Knows bytes, server-sent events and a server's ways to say that it is busy; nothing of what is
asked.
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

# Timeouts in seconds, and limits.
CONNECT = 10.0  # to connect
FIRST = 120.0  # to the first byte of the answer: the prompt is read, a canvas refined
BETWEEN = 60.0  # between two pieces of an answer
LONGEST = 900.0  # for the whole answer
LARGEST = 16_000_000  # bytes of a streamed answer
TABLE = 4_000_000  # bytes of an answer that is read as a whole

_TRIES = 5  # attempts while a server is busy
_PAUSE = 0.5  # seconds after the first attempt, doubled after each further one
_LONGEST_PAUSE = 60.0
_BUSY = (429, 503)
_EVENT = 1_000_000  # bytes of one server-sent event
_AHEAD = 16  # chunks that are read ahead; then the server has to wait
_LOOK = 0.1  # seconds between checks whether the exchange was closed


class Silent(EngineError):
    """A server sent nothing for too long."""


class CutShort(EngineError):
    """An answer ends in the middle, or exceeds a limit."""


class Closed(Exception):
    """The exchange was closed while a caller waited for it."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """The status and headers of an answer."""

    status: int
    """The HTTP status code."""
    headers: httpx2.Headers
    """Its headers."""


class Exchange:
    """A request in progress. Used by one thread; any other may close it."""

    def __init__(self, client: httpx2.Client, method: str, url: str, body: object = None) -> None:
        self._queue: Queue[AnswerHead | bytes | Exception | None] = Queue(_AHEAD)
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

    def head(self) -> AnswerHead:
        """Wait for the head of the answer. Raises httpx2's errors if the server is unreachable."""
        item = self._next(CONNECT + FIRST)
        assert isinstance(item, AnswerHead)
        return item

    def chunks(self, most: int | None = None) -> Iterator[bytes]:
        """Yield the answer's bytes as they come, at most `most` or else `LARGEST`. Raises CutShort
        and Silent.
        """
        most = LARGEST if most is None else most
        wait, size, until = FIRST, 0, time.monotonic() + LONGEST
        while (item := self._next(wait)) is not None:
            assert isinstance(item, bytes)
            size += len(item)
            if size > most:
                raise CutShort(f"an answer of more than {most:,} bytes")
            if time.monotonic() > until:
                raise CutShort(f"an answer that takes more than {LONGEST:g} s")
            wait = BETWEEN
            yield item

    def body(self) -> bytes:
        """Return the whole answer, at most `TABLE` bytes."""
        return b"".join(self.chunks(TABLE))

    def close(self) -> None:
        """Shut the connection down, and wake a waiting caller."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with contextlib.suppress(OSError):  # the server has closed it before
                    self._connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Full):  # a full queue wakes the caller by itself
            self._queue.put_nowait(Closed())

    def _next(self, wait: float) -> AnswerHead | bytes | None:
        try:
            item = self._queue.get(timeout=wait)
        except Empty:
            self.close()
            raise Silent(f"nothing came for {wait:.0f} s") from None
        if self._closed:  # the item is the error that closing caused
            raise Closed
        if isinstance(item, Exception):
            raise item
        return item

    def _read(self, client: httpx2.Client, request: httpx2.Request) -> None:
        """Put everything that arrives into the queue, None at the end; runs in the thread."""
        try:
            response = client.send(request, stream=True)
            with contextlib.closing(response):
                self._put(AnswerHead(response.status_code, response.headers))
                for chunk in response.iter_raw():  # undecoded: nothing is unpacked to a larger size
                    self._put(chunk)
                    if self._closed:  # the server may never stop sending
                        return
            self._put(None)
        except Exception as error:
            self._put(error)
        finally:
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    def _put(self, item: AnswerHead | bytes | Exception | None) -> None:
        """Put an item into the queue when there is room, unless the exchange is closed."""
        while not self._closed:
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=_LOOK)
                return

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Keep a duplicate of the connection's socket, to shut it down from another thread."""
        if event != "connection.connect_tcp.complete":
            return
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = info["return_value"].get_extra_info("socket").dup()
            if self._closed:
                self._connection.shutdown(socket.SHUT_RDWR)


class Conversation:
    """A series of requests to a server, until it is closed."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._exchange: Exchange | None = None
        self._beside: list[Conversation] = []
        self._closed = threading.Event()

    def another(self) -> Conversation:
        """Return a conversation beside this one, closed with it. Raises Closed."""
        with self._lock:
            if self._closed.is_set():
                raise Closed
            self._beside.append(Conversation(self._client))
            return self._beside[-1]

    @contextlib.contextmanager
    def ask(
        self, method: str, url: str, body: object = None
    ) -> Iterator[tuple[AnswerHead, Exchange]]:
        """Send a request, again after a pause while the server is busy. Raises Closed."""
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
        """End the current request, from any thread, and send no more."""
        self._closed.set()
        with self._lock:
            if self._exchange is not None:
                self._exchange.close()
            beside = list(self._beside)
        for one in beside:
            one.close()


def events(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the data of a stream of server-sent events."""
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
    """Yield the JSON object in each text, up to the text `end`. Raises CutShort."""
    for text in texts:
        if text.strip() == end:
            return
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise CutShort("an event that is no JSON object")
        yield value


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _EVENT:
            raise CutShort(f"an event of more than {_EVENT:,} bytes")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")


def _pause(
    head: AnswerHead, tries: int, *, chance: Callable[[], float] = random.random
) -> float | None:
    """Return the seconds until a busy server is to be asked again.

    None if it has answered, or asks for a longer pause than a user would wait.
    """
    if head.status not in _BUSY:
        return None
    asked = _seconds(head.headers.get("retry-after", ""))
    if asked is None:
        return float(min(_PAUSE * 2**tries, _LONGEST_PAUSE) * (0.5 + chance()))
    # A random extra, or clients that were refused together would come back together.
    return asked + _PAUSE * chance() if asked <= _LONGEST_PAUSE else None


def _seconds(header: str) -> float | None:
    """Parse a Retry-After header, which holds seconds or a date; None if it is invalid."""
    if header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        date = email.utils.parsedate_to_datetime(header)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
