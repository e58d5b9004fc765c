"""Serve the engine over HTTP: `/v1/completions` with a suffix, and `/infill`.

`completions` and `answers` know the protocols; this module decides who may ask, how much and for
how long. One infill runs at a time, others wait in order of arrival. Whether a client has hung up
is checked after each step, and while it waits. A connection carries one request: a new one costs a
local client nothing, and no second request can be smuggled in behind the first.

A web page in the user's browser must not be able to ask: requests with another origin, or with a
host name that is not ours (DNS rebinding), are refused. Logs no text of a user.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import logging
import os
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NoReturn

import dgedit
from dgedit.engines.addresses import is_loopback, is_ours
from dgedit.engines.http import completions, running
from dgedit.engines.http.answers import Answer, Answered, compact
from dgedit.engines.http.completions import CompletionRequest, Form
from dgedit.engines.http.connection import Patient
from dgedit.engines.http.cutting import CutText
from dgedit.engines.http.queue import Busy, Gone, Turns
from dgedit.errors import EngineError, UsageError
from dgedit_engine.types import Backend

log = logging.getLogger("dgedit.engine")

_BODY = 1 << 20  # the most bytes of a request's body
_CLIENTS = 64  # the most connections at once
_PATIENCE = 10.0  # seconds for a request to arrive, and for an answer to be received
_FAREWELL = 2.0  # seconds for clients to be answered at shutdown

_POSTS: dict[str, Form] = {
    "/v1/completions": "completions",
    "/completions": "completions",
    "/v1/fim/completions": "fim",
    "/infill": "infill",
    "/completion": "completion",
}
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHATS = frozenset({"/v1/chat/completions", "/chat/completions"})
_GETS = frozenset({"/health", "/v1/health", "/models", "/v1/models"})


class HttpServing:
    """A backend served at an address."""

    def __init__(
        self,
        connect: Callable[[], Backend],
        host: str,
        port: int,
        *,
        token: str | None = None,
        hosts: Collection[str] = (),
        effort: float = 0.5,
        count: Callable[[str], int] | None = None,
    ) -> None:
        """Listen, then connect to the engine; requests that come meanwhile wait.

        `hosts` are further names of this server; `count` returns the number of tokens of a text,
        which is estimated without it.

        Raises UsageError for a public address without a token, EngineError for an address where
        listening fails.
        """
        if not token and not is_loopback(host):
            raise UsageError(f"{host} can be reached by others: set DGEDIT_HTTP_TOKEN")
        self.token, self.effort = token, effort
        self.count = count or (lambda text: -(-len(text) // 4))
        self.names = {"localhost", host.lower(), socket.gethostname().lower(), *hosts}
        self.turns = Turns()
        self.ending = threading.Event()
        self._server = _server(self, host, port)
        try:
            self.backend = connect()
        except BaseException:
            self._server.server_close()
            raise
        bound = self._server.server_address
        self.address = f"[{host}]:{bound[1]}" if ":" in host else f"{host}:{bound[1]}"

    def run(self) -> None:
        """Serve until `stop` is called or an exception comes; blocks the calling thread."""
        backend = self.backend
        log.info("%s on %s, at http://%s", backend.name, backend.device, self.address)
        try:
            self._server.serve_forever(0.1)
        finally:
            self.ending.set()
            self._server.server_close()
            self._server.wait()

    def stop(self) -> None:
        """Stop serving, from another thread; a running infill ends within a step."""
        self.ending.set()
        self._server.shutdown()

    def infill(
        self, asked: CompletionRequest, gone: Callable[[], bool], tell: Callable[[CutText], None]
    ) -> Answered:
        """Run an infill when its turn comes; `tell` gets what may be sent before it is over.

        Raises Busy, and Gone if the client hangs up.
        """

        def look() -> None:
            if gone() or self.ending.is_set():
                raise Gone

        if asked.request is None:  # asks for nothing, and waits for nobody
            return running.run(asked, self.backend, count=self.count, look=look, tell=tell)
        with self.turns.taken(lambda: gone() or self.ending.is_set()):
            return running.run(asked, self.backend, count=self.count, look=look, tell=tell)


class _Handler(BaseHTTPRequestHandler):
    """One connection, with one request."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(_PATIENCE)
        super().setup()
        self.rfile = io.BufferedReader(Patient(self.request, _PATIENCE))

    def handle(self) -> None:
        """Handle one request; anything after it is not read."""
        self.started, self.status = time.monotonic(), 0
        self.probed = self.streaming = False
        self.path = self.command = ""
        with contextlib.suppress(OSError):  # the client has gone, or is too slow
            self.handle_one_request()
        route = self._route if self._route in _POSTS or self._route in _GETS else "-"
        log.info("%s %d, %.2f s", route, self.status, time.monotonic() - self.started)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self._may_ask(token=not self._route.endswith("/health")):
            if self._route not in _GETS:
                self._refuse(HTTPStatus.NOT_FOUND, "no such path")
            elif self._route.endswith("/health"):
                self._say({"status": "ok"})
            else:
                model = {"id": self.serving.backend.name, "object": "model", "owned_by": "dgedit"}
                self._say({"object": "list", "data": [model | {"created": int(time.time())}]})

    def do_POST(self) -> None:
        if not self._may_ask(token=True):
            return
        if self._route in _CHATS:
            why = "chat is not offered: /v1/completions and /infill fill in what is between texts"
            self._refuse(HTTPStatus.NOT_FOUND, why)
        elif self._route not in _POSTS:
            self._refuse(HTTPStatus.NOT_FOUND, "no such path")
        elif (body := self._body()) is not None:
            self._answer(_POSTS[self._route], body)

    @property
    def _route(self) -> str:
        return self.path.partition("?")[0]

    @property
    def serving(self) -> HttpServing:
        """The server's state."""
        return self.server.serving

    def _may_ask(self, *, token: bool) -> bool:
        """Say whether the client may ask; if not, the refusal has been sent."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not is_ours(hosts[0], self.serving.names):
            self._refuse(HTTPStatus.FORBIDDEN, "not a name of this server")
            return False
        origins = self.headers.get_all("Origin") or []
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            self._refuse(HTTPStatus.FORBIDDEN, "not for web pages")
            return False
        if token and self.serving.token:
            given = self.headers.get("Authorization", "").encode("latin-1")  # the bytes as sent
            wanted = os.fsencode(f"Bearer {self.serving.token}")
            if not hmac.compare_digest(given, wanted):
                self._refuse(
                    HTTPStatus.UNAUTHORIZED, "a token is needed", WWW_Authenticate="Bearer"
                )
                return False
        return True

    def _body(self) -> object:
        """Return the JSON of the body; None if it is invalid and the client has been told."""
        lengths = self.headers.get_all("Content-Length") or []
        if len(lengths) != 1 or self.headers.get("Transfer-Encoding"):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "one Content-Length is needed")
            return None
        if not lengths[0].isascii() or not lengths[0].isdigit():
            self._refuse(HTTPStatus.BAD_REQUEST, "Content-Length must be a number")
            return None
        length = int(lengths[0][:20])
        if length > _BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_BODY:,} bytes")
            return None
        if self.headers.get("Expect", "").lower() == "100-continue":
            super().handle_expect_100()
        raw, why = self.rfile.read(length), "the body is not JSON"
        try:
            if len(raw) == length:
                found = {} if not raw else json.loads(raw, parse_constant=_no_number)
                if found is not None:
                    return found
                why = "the body must be a JSON object, not null"
        except (ValueError, RecursionError):
            pass
        self._refuse(HTTPStatus.BAD_REQUEST, why)
        return None

    def _answer(self, form: Form, body: object) -> None:
        """Run the infill, and send its result or the error."""
        try:
            asked = completions.read(form, body, effort=self.serving.effort)
            answer = Answer(asked, model=self.serving.backend.name, count=self.serving.count)
            answered = self.serving.infill(asked, self._has_gone, partial(self._tell, answer))
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except Busy:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "others are waiting", Retry_After="1")
        except Gone:
            if self.serving.ending.is_set():
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the server ends", Retry_After="1")
        except EngineError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except Exception as error:  # do not log its message, which may quote the user's text
            log.error("%s", type(error).__name__)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the engine failed")
        else:
            if asked.stream:
                self._stream(answer.ended(answered))
            else:
                self._say(answer.whole(answered))

    def _has_gone(self) -> bool:
        """Say whether the client has hung up.

        One that has closed its sending side may still listen, or be gone: then anything sent to it
        is reset. So an interim answer is sent, or a comment in a stream, which clients skip.
        """
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        found = dict(poll.poll(0)).values()
        if found and not self.probed and (self.streaming or self.request_version != "HTTP/1.0"):
            self.probed = True
            with contextlib.suppress(OSError):
                self.connection.sendall(b":\n\n" if self.streaming else _INTERIM)
            found = dict(poll.poll(0)).values()  # a local client's reset has arrived by now
        return any(one & ~select.POLLRDHUP for one in found)

    def _tell(self, answer: Answer, cut: CutText) -> None:
        """Send a part of the answer. Raises Gone if the client does not take it."""
        try:
            self._stream(answer.begun(cut, first=not self.streaming))
        except OSError:
            raise Gone from None

    def _stream(self, events: Iterable[str]) -> None:
        """Send events; the connection's end is theirs."""
        if not self.streaming:
            self._begin(HTTPStatus.OK, "text/event-stream")
            self.streaming = True
        self.wfile.write("".join(f"data: {one}\n\n" for one in events).encode())

    def _say(self, answer: object) -> None:
        self._send(HTTPStatus.OK, "application/json", compact(answer).encode())

    def _refuse(self, status: HTTPStatus, why: str, **headers: str) -> None:
        """Send an error in the form of OpenAI's and llama.cpp's servers."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        said = {"error": {"code": status.value, "message": why, "type": kind}}
        if self.streaming:
            self._stream([compact(said)])
            return
        self._send(status, "application/json", compact(said).encode(), **headers)
        self._let_finish()

    def _send(self, status: HTTPStatus, kind: str, data: bytes, **headers: str) -> None:
        self._begin(status, kind, Content_Length=str(len(data)), **headers)
        if self.command != "HEAD":
            self.wfile.write(data)

    def _begin(self, status: HTTPStatus, kind: str, **headers: str) -> None:
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()

    def _let_finish(self) -> None:
        """Read what the client still sends: a reset would make it lose our answer."""
        self.connection.shutdown(socket.SHUT_WR)
        until, left = time.monotonic() + 1.0, 4 * _BODY
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            self.connection.settimeout(seconds)
            got = len(self.connection.recv(1 << 16))
            if not got:
                return
            left -= got

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send http.server's own errors in our form, without quoting the client."""
        status = HTTPStatus(code)
        self.headers = self.headers if hasattr(self, "headers") else None  # type: ignore[assignment]
        self._refuse(status, status.phrase.lower())

    def handle_expect_100(self) -> bool:
        """Do not send `100 Continue` yet: only if the body is wanted."""
        return True

    def version_string(self) -> str:
        return f"dgedit/{dgedit.__version__}"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: `handle` logs, without quoting the client."""


class _Server(socketserver.ThreadingTCPServer):
    """A server with a thread for each connection, up to a limit."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = _CLIENTS

    def __init__(self, serving: HttpServing, host: str, port: int, family: int) -> None:
        self.serving = serving
        self.address_family = family
        self._slots = threading.Semaphore(_CLIENTS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(0.0)
            request.send(
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a connection failed", exc_info=False)

    def wait(self) -> None:
        """Wait until every connection has ended, but not for long."""
        until = time.monotonic() + _FAREWELL
        for _ in range(_CLIENTS):
            self._slots.acquire(timeout=max(0.0, until - time.monotonic()))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _server(serving: HttpServing, host: str, port: int) -> _Server:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(serving, host, port, family)
    except OSError as error:
        raise EngineError(f"cannot listen at {host}:{port}: {error.strerror}") from None
