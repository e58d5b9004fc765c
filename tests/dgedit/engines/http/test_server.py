"""The engine over HTTP: who may ask, and what happens to those who do not behave."""

from __future__ import annotations

import ast
import contextlib
import hmac
import json
import logging
import os
import re
import socket
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit.engines.addresses import is_loopback, is_ours
from dgedit.engines.http import server as http_server
from dgedit.engines.http.server import HttpServing
from dgedit.errors import EngineError, UsageError
from dgedit_engine.types import ModelError
from overhttp import ASK, ask, begun, head, raw, refused, served
from scripted import Scripted

TOKEN = "t0ken"


@pytest.fixture
def serving() -> Iterator[HttpServing]:
    with served(Scripted(("1 + 2",))) as found:
        yield found


def test_completion_with_a_suffix(serving: HttpServing) -> None:
    answer, body = ask(serving)
    assert answer.status == 200
    assert body["choices"][0]["text"] == "1 + 2"
    assert body["model"] == "scripted"


def test_completion_is_streamed(serving: HttpServing) -> None:
    answer, body = ask(serving, body={**ASK, "stream": True})
    assert answer.getheader("Content-Type") == "text/event-stream"
    *events, end = body.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    texts = [json.loads(one.removeprefix("data: "))["choices"][0]["text"] for one in events]
    assert texts == ["1", " + 2"]


def test_infill(serving: HttpServing) -> None:
    body = {"input_prefix": "a", "input_suffix": "b", "prompt": "c"}
    assert ask(serving, "/infill", body)[1]["content"] == "1 + 2"
    ask(serving, "/infill", {**body, "n_predict": 0})
    backend = serving.backend
    assert isinstance(backend, Scripted)
    assert len(backend.requests) == 1
    assert backend.requests[0].passages[0].parts[0] == "ac"


def test_models_and_health(serving: HttpServing) -> None:
    (model,) = ask(serving, "/v1/models", method="GET")[1]["data"]
    assert model["id"] == "scripted"
    assert ask(serving, "/health?x", method="GET")[1] == {"status": "ok"}


@pytest.mark.parametrize("path", ["/", "/v1/chat", "/v1/models", "/../infill"])
def test_other_paths_are_not_there(serving: HttpServing, path: str) -> None:
    assert refused(serving, 404, path=path) == "no such path"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions?x"])
def test_chat_is_not_offered(serving: HttpServing, path: str) -> None:
    """As llama.vim asks for an edit by instruction. No 5xx: clients would ask again."""
    body = {"id_slot": 1, "messages": [{"role": "user", "content": "x"}], "stream": True}
    said = refused(serving, 404, path=path, body=body)
    assert said == "chat is not offered: /v1/completions and /infill fill in what is between texts"
    backend = serving.backend
    assert isinstance(backend, Scripted) and not backend.requests


def test_other_methods_are_refused(serving: HttpServing) -> None:
    assert refused(serving, 501, method="PUT")
    assert refused(serving, 501, method="OPTIONS", Origin="http://evil.example")


def test_what_the_body_lacks_is_told(serving: HttpServing) -> None:
    assert refused(serving, 400, body={"suffix": "b"}) == "prompt must be one text, not null"
    deep, numbers = b"[" * 100_000, (b"NaN", b'{"a": Infinity}', b'{"temperature": -Infinity}')
    for body in (b"{", b"\xff", b'{"prompt": "\xc3"}', deep, b"1" * 5000, *numbers):
        assert refused(serving, 400, body=body) == "the body is not JSON"
    for body, what in ((b"null", "null"), (b"[1]", "a list"), (b'"x"', '"x"'), (b"-1", "-1")):
        said = refused(serving, 400, body=body)
        assert said == f"the body must be a JSON object, not {what}"
    deep = b'{"prompt": "a", "n": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert refused(serving, 400, body=deep).endswith("not a list")
    huge = b'{"prompt": "a", "n": 1e999}'
    assert refused(serving, 400, body=huge) == "n must be a whole number, 1 to 8, not Infinity"


def test_any_text_is_filled(serving: HttpServing) -> None:
    """Lone surrogates and NULs among them, as JSON can say them."""
    for prompt in (b"\\ud800", b"\\udfff\\u0000", b"\xf0\x9f\xa6\x80", b"\\ud83e\\udd80"):
        body = b'{"prompt": "%s", "suffix": "%s", "echo": true}' % (prompt, prompt)
        assert ask(serving, body=body)[0].status == 200


# Who may ask.


def test_token_is_needed_where_others_can_ask() -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0 can be reached by others"):
        HttpServing(Scripted, "0.0.0.0", 0)
    HttpServing(Scripted, "0.0.0.0", 0, token=TOKEN)._server.server_close()


def test_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole bytes, by the one function for that, wherever they differ."""
    compared: list[tuple[object, object]] = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append((one, two))
        return hmac.compare_digest(one, two)

    stand_in = types.SimpleNamespace(compare_digest=compare)
    monkeypatch.setattr(http_server, "hmac", stand_in)
    wrong = [f"Bearer x{TOKEN[1:]}", f"Bearer {TOKEN[:-1]}x", "Bearer", ""]
    with served(Scripted(), token=TOKEN) as serving:
        for one in wrong:
            refused(serving, 401, Authorization=one)
    assert compared == [(one.encode(), f"Bearer {TOKEN}".encode()) for one in wrong]
    for node in ast.walk(ast.parse(Path(http_server.__file__).read_text())):
        if isinstance(node, ast.Compare):
            assert not {"token", "given", "wanted"} & set(re.findall(r"\w+", ast.unparse(node)))


def test_token_of_any_bytes_is_known() -> None:
    for token in ("t0keñ", os.fsdecode(b"t0ke\xff")):
        with served(Scripted(), token=token) as serving:
            for sent, status in ((os.fsencode(token), 200), (b"t0ke", 401), (b"t0ke\xf1", 401)):
                lines = b"GET /models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + sent
                assert raw(serving, lines + b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)


def test_token_is_needed_where_there_is_one() -> None:
    with served(Scripted(), token=TOKEN) as serving:
        answer, _ = ask(serving)
        assert answer.status == 401
        assert answer.getheader("WWW-Authenticate") == "Bearer"
        for wrong in ("", TOKEN, "Bearer ", f"Bearer {TOKEN}x", "Bearer t0keñ", f"Basic {TOKEN}"):
            refused(serving, 401, Authorization=wrong)
        refused(serving, 401, path="/v1/models", method="GET")
        assert ask(serving, Authorization=f"Bearer {TOKEN}")[0].status == 200
        assert ask(serving, "/health", method="GET")[0].status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8012", "[::1]"]
)
def test_own_names_are_answered(serving: HttpServing, host: str) -> None:
    assert ask(serving, Host=host)[0].status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8012", "localhost.evil.example", "", "127.0.0.1.nip.io"]
)
def test_other_names_that_lead_here_are_refused(serving: HttpServing, host: str) -> None:
    assert refused(serving, 403, Host=host) == "not a name of this server"


def test_further_names_may_be_ours() -> None:
    with served(Scripted(), hosts=["box.example"]) as serving:
        assert ask(serving, Host="box.example:8012")[0].status == 200


def test_host_is_named_once(serving: HttpServing) -> None:
    assert b" 403 " in raw(serving, head(serving, "Content-Length: 2") + b"{}")
    twice = head(serving, "Host: localhost", "Host: localhost", "Content-Length: 2")
    assert b" 403 " in raw(serving, twice + b"{}")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://a"])
def test_web_pages_are_refused(serving: HttpServing, origin: str) -> None:
    assert refused(serving, 403, Origin=origin) == "not for web pages"
    backend = serving.backend
    assert isinstance(backend, Scripted) and not backend.requests


def test_addresses_and_names_are_told_apart() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "example.org", "127.0.0.1.nip.io", ""]))
    assert not is_ours("2130706433", {"localhost"})


# How much, and for how long.


def test_body_is_limited(serving: HttpServing) -> None:
    assert refused(serving, 413, body=b" " * (http_server._BODY + 1)) == "at most 1,048,576 bytes"
    prompt = {"prompt": "x" * (http_server._BODY - 20)}
    assert ask(serving, body=prompt)[0].status == 200


def test_body_that_is_not_wanted_is_not_sent_for(serving: HttpServing) -> None:
    lines = ("Host: localhost", "Expect: 100-continue")
    large = raw(serving, head(serving, *lines, "Content-Length: 999999999"), 0.1)
    assert large.startswith(b"HTTP/1.1 413")
    small = raw(serving, head(serving, *lines, "Content-Length: 2"), 0.1, b"{}")
    assert small.startswith(b"HTTP/1.1 100 Continue") and b"HTTP/1.1 400" in small


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Transfer-Encoding: chunked"], 411),
        (["Transfer-Encoding: chunked", "Content-Length: 2"], 411),
        ([], 411),
        (["Content-Length: 2", "Content-Length: 3"], 411),
        (["Content-Length: -2"], 400),
        (["Content-Length: ²"], 400),
        (["Content-Length: " + "9" * 5000], 413),
        (["X: " + "x" * 70_000], 431),
        ([f"X-{n}: x" for n in range(200)], 431),
    ],
)
def test_length_that_is_none_is_refused(
    serving: HttpServing, lines: list[str], status: int
) -> None:
    answer = raw(serving, head(serving, "Host: localhost", *lines) + b"{}")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "junk", [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\n", b"GET\n\n", b"x" * 70_000]
)
def test_junk_ends_the_connection(serving: HttpServing, junk: bytes) -> None:
    raw(serving, junk + b"\r\n\r\n")
    assert ask(serving)[0].status == 200


def test_second_request_of_a_connection_is_not_read(serving: HttpServing) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert raw(serving, one * 3).count(b"HTTP/1.1 200") == 1


def test_client_that_sends_too_slowly_is_left(
    serving: HttpServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE", 0.5)
    started = time.monotonic()
    drip = [part for _ in range(200) for part in (b"X-a: b\r\n", 0.2)]
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        assert raw(serving, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", *drip) == b""
    assert time.monotonic() - started < 20
    body = head(serving, "Host: localhost", "Content-Length: 100")
    assert raw(serving, body + b"{", 0.6) == b""


def test_too_many_connections_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_CLIENTS", 2)
    with served(Scripted()) as serving:
        host, port = serving.address.split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(2)]
        time.sleep(0.3)
        assert raw(serving).startswith(b"HTTP/1.1 429 ")
        for one in idle:
            one.close()
        time.sleep(0.3)
        assert ask(serving)[0].status == 200


# What fails.


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("9 holes in one request"), 400, "9 holes in one request"),
        (EngineError("the engine ends"), 500, "the engine ends"),
        (ModelError("no weights"), 500, "no weights"),
        (RuntimeError("CUDA out of memory\nat 0x0"), 500, "the engine failed: CUDA out of memory"),
        (LookupError("user text"), 500, "the engine failed"),
    ],
)
def test_failure_of_the_engine_is_told(
    error: Exception, status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def during(index: int) -> None:
        if len(backend.requests) == 1:
            raise error

    backend = Scripted(during=during)
    with served(backend) as serving:
        assert refused(serving, status) == said
        assert ask(serving)[0].status == 200
    assert "user text" not in caplog.text


def test_log_says_what_happened_and_nothing_of_the_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dgedit.engine"), served(Scripted(("secret",))) as serving:
        ask(serving, "/v1/completions?secret", {"prompt": "secret", "suffix": "secret"})
        ask(serving, "/secret")
        raw(serving, b"GET /secret SECRET\r\n\r\n")
        raw(serving, b"secret\r\n\r\n")
    assert "/v1/completions 200" in caplog.text
    assert "- 404" in caplog.text
    assert "secret" not in caplog.text.lower()


def test_stopping_ends_what_is_under_way() -> None:
    backend = Scripted(pause=0.3)
    with served(backend) as serving:
        client = begun(serving)
        waiting = begun(serving)
        time.sleep(0.2)
    assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    assert waiting.recv(100).startswith(b"HTTP/1.1 503 ")
    assert backend.closed == 1
    for one in (client, waiting):
        one.close()


def test_exception_in_the_main_thread_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal does, which becomes one."""
    serving = HttpServing(Scripted, "127.0.0.1", 0)

    def come() -> None:
        raise SystemExit(143)

    monkeypatch.setattr(serving._server, "service_actions", come)
    with pytest.raises(SystemExit):
        serving.run()
    with pytest.raises(ConnectionRefusedError):
        ask(serving)


def test_address_in_use_is_an_error(serving: HttpServing) -> None:
    port = int(serving.address.rpartition(":")[2])
    with pytest.raises(
        EngineError, match=rf"cannot listen at 127\.0\.0\.1:{port}: Address already"
    ):
        HttpServing(Scripted, "127.0.0.1", port)
    with pytest.raises(EngineError, match="cannot listen at nowhere"):
        HttpServing(Scripted, "nowhere.invalid", 0, token=TOKEN)


def test_ipv6_is_served() -> None:
    serving = HttpServing(Scripted, "::1", 0)
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        assert serving.address.startswith("[::1]:")
        assert ask(serving)[0].status == 200
    finally:
        serving.stop()
        thread.join(5)
