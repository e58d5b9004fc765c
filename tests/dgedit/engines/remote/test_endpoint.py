"""A server's address and key: where a key goes, and that nobody sees it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dgedit.engines.connect import connect
from dgedit.engines.remote import exchange
from dgedit.errors import EngineError, UsageError
from fakechat import GOOD, Answer, FakeChat, alone, failure, fakechat, steps

KEY = "sk-very-secret"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeChat]:
    alone(monkeypatch)
    with fakechat() as found:
        found.answers = [GOOD]
        yield found


def test_refused_connection(fake: FakeChat) -> None:
    with fakechat() as gone:
        url = gone.url
    with pytest.raises(EngineError, match=rf"^nothing answers at {url}/v1: Connection refused$"):
        connect(None, None, url)


def test_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    made = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1", "-days", "2"]
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made]
    subprocess.run(openssl, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with (
        fakechat(lambda bare: context.wrap_socket(bare, server_side=True)) as fake,
        pytest.raises(EngineError, match=r"no trusted connection to https://.*certificate"),
    ):
        connect(None, None, fake.url)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///v1",
        "http://h:99999",
        "http://h?a=b",
        "http://h/#f",
        "http://h\u202e",
        "http://[::1",
    ],
)
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no server's address"):
        connect(None, None, url)


def test_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        connect(None, None, f"https://me:{KEY}@example.org/v1")
    assert KEY not in str(caught.value)


def sent(fake: FakeChat) -> set[str]:
    """The keys that the server was given."""
    return {one.headers.get("Authorization", "") for one in fake.asked}


def test_key_is_sent_to_the_server(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}


def test_key_of_openai_is_sent_only_where_it_belongs(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    steps(fake)
    assert sent(fake) == {""}
    fake.asked.clear()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{fake.url}/v1")
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}


def test_key_comes_from_a_keyring(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyringError(Exception):
        pass

    host = fake.url.removeprefix("http://")
    keyring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    keyring.get_password = lambda service, user: {("dgedit", host): KEY}.get(  # type: ignore[attr-defined]
        (service, user)
    )
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}

    def locked(service: str, user: str) -> str:
        raise KeyringError("locked")

    fake.asked.clear()
    keyring.get_password = locked  # type: ignore[attr-defined]
    steps(fake)
    assert sent(fake) == {""}


def test_key_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    with pytest.raises(EngineError, match="not encrypted") as caught:
        connect(None, None, "http://192.0.2.1:8000")
    assert KEY not in str(caught.value)
    monkeypatch.setenv("DGEDIT_PLAIN_KEY", "1")
    monkeypatch.setattr(exchange, "CONNECT", 0.05)
    with pytest.raises(EngineError, match="nothing answers at"):
        connect(None, None, "http://192.0.2.1:8000")


def test_key_is_in_no_line(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    echo = json.dumps({"error": {"message": f"bad key {KEY}, really"}}).encode()
    for answer in (
        Answer(status=400, body=echo),
        Answer(status=500, body=echo),
        Answer(status=301, headers={"Location": f"http://x/{KEY}"}, body=b""),
        Answer([b"data: " + echo + b"\n\n"]),
    ):
        line = failure(fake, answer)
        assert KEY not in line and "…" in line
    assert "refuses the key (401)" in failure(fake, Answer(status=401, body=echo))
    assert KEY not in repr(vars(connect(None, None, fake.url)))


@pytest.mark.parametrize("key", ["schlüssel", "a\nb: c"])
def test_key_that_no_header_can_hold_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", key)
    with pytest.raises(EngineError, match="cannot be sent") as caught:
        connect(None, None, "https://example.org")
    assert key not in str(caught.value)


def test_proxy_is_not_asked_for_what_is_here(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert steps(fake)[-1].last
