"""A server's address, the key that is sent to it, and in words what it does wrong.

The key is read from the environment or a keyring, sent to the server that was named and over a
connection that others cannot read, and shown to nobody. No redirect is followed: another host would
be given the text.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import httpx2

from dgedit.engines.addresses import is_loopback
from dgedit.engines.remote.exchange import CONNECT, Conversation, Cut, Exchange, Head, Silent
from dgedit.errors import EngineError, UsageError
from dgedit.text.visible import visible

PLAIN_KEY = "DGEDIT_PLAIN_KEY"
"""The variable that lets a key be sent where others can read it."""

_SHOWN = 300  # characters of what a server says
_ERROR = 64_000  # bytes of it that are read
_OPENAI = "https://api.openai.com/v1"


class Endpoint:
    """A server, at an address that was checked."""

    def __init__(self, url: str) -> None:
        """Raises UsageError for what is no server's address, EngineError for a key that cannot be
        sent there.
        """
        parts = _split(url)
        path = parts.path.rstrip("/")
        versioned = re.search(r"/v\d+$", path) is not None
        self.url = f"{parts.scheme}://{parts.netloc}{path}" + "/v1" * (not versioned)
        self.host = parts.netloc
        self._key = _key(parts)
        near = is_loopback(parts.hostname or "")
        if self._key and parts.scheme == "http" and not (near or os.environ.get(PLAIN_KEY) == "1"):
            raise EngineError(
                f"{self.url} is not encrypted: the key is not sent there; "
                f"use https, or set {PLAIN_KEY}=1"
            )
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self.client = httpx2.Client(
            headers=headers,
            trust_env=not near,  # a proxy that the environment names is not for what is here
            # A connection for each request: only a new one tells how to shut it down.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def models(self) -> dict[str, int | None]:
        """The models that the server names, with the tokens that each may read where it says so;
        none where it has no list, or cannot make one.
        """
        line = Conversation(self.client)
        with self.words(), line.ask("GET", f"{self.url}/models") as (head, exchange):
            if head.status in (404, 405, 500, 501):
                return {}
            if head.status != 200:
                raise self.refusal(head, said(exchange))
            body = exchange.body()
        try:
            named = {
                str(one["id"]): _count(one.get("max_model_len")) for one in json.loads(body)["data"]
            }
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise EngineError(f"{self.url} does not speak OpenAI's protocol") from None
        return named

    def refusal(self, head: Head, said: str) -> EngineError:
        """What an answer means that is none."""
        if head.status in (401, 403):
            does = "refuses the key" if self._key else "wants a key: set DGEDIT_API_KEY"
            return EngineError(f"{self.host} {does} ({head.status})")
        if 300 <= head.status < 400:
            where = self.shown(head.headers.get("location", "nowhere"))
            return EngineError(f"{self.host} redirects to {where}: not followed")
        if head.status in (429, 503):
            wait = self.shown(head.headers.get("retry-after", ""))
            later = f" and wants to be asked again after {wait}" if wait else ""
            return EngineError(f"{self.host} is busy ({head.status}){later}")
        why = f": {self.shown(said)}" if said else ""
        return EngineError(f"{self.host} answers {head.status}{why}")

    def shown(self, text: str) -> str:
        """What a server says, as it may be shown: one line, not long, without the key."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "…")
        return visible(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")

    @contextlib.contextmanager
    def words(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a line."""
        try:
            yield
        except httpx2.ConnectTimeout:
            raise EngineError(f"nothing answers at {self.url} within {CONNECT:.0f} s") from None
        except httpx2.ConnectError as error:
            why = self.shown(re.sub(r"\[[^]]*\] |\s*\(_ssl\.c:\d+\)", "", str(error)))
            trusted = "certificate" in why or "SSL" in str(error)
            what = "no trusted connection to" if trusted else "nothing answers at"
            raise EngineError(f"{what} {self.url}: {why}") from None
        except Silent as error:
            raise EngineError(f"{self.host} is silent: {error}") from None
        except Cut as error:
            raise EngineError(f"the answer of {self.host} is cut off: {error}") from None
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            raise EngineError(f"{self.host} hung up") from None
        except httpx2.HTTPError as error:
            why = self.shown(str(error)) or type(error).__name__
            raise EngineError(f"{self.host} cannot be asked: {why}") from None


def said(exchange: Exchange) -> str:
    """What a server says about an error, in its own words."""
    text = b""
    for chunk in exchange.chunks():
        text += chunk
        if len(text) > _ERROR:
            break
    return message(text[:_ERROR].decode("utf-8", "replace"))


def message(text: str) -> str:
    """The message in an error's JSON, in any of the forms that servers have; or the text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"no server's address: {visible(url)} ({error})") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError("a server's address holds no password: set DGEDIT_API_KEY")
    odd = parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url
    if parts.scheme not in ("http", "https") or not parts.hostname or odd:
        raise UsageError(f"no server's address: {visible(url)} (http://HOST:PORT)")
    return parts


def _key(parts: SplitResult) -> str:
    """The key for a server; empty for none."""
    key = os.environ.get("DGEDIT_API_KEY", "").strip()
    meant = urlsplit(os.environ.get("OPENAI_BASE_URL") or _OPENAI)
    if not key and (meant.scheme, meant.netloc) == (parts.scheme, parts.netloc):
        key = os.environ.get("OPENAI_API_KEY", "").strip()  # it is this server's
    key = key or _kept(parts.netloc)
    if not key.isascii() or not key.isprintable():
        raise EngineError("the key holds characters that cannot be sent")
    return key


def _kept(host: str) -> str:
    """The key that a keyring holds for a host, where there is one: `keyring set dgedit HOST`."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return (keyring.get_password("dgedit", host) or "").strip()
    except (KeyringError, RuntimeError, OSError):  # locked, or there is none
        return ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
