"""A server's address and key, and clear messages for its errors.

The key is read from the environment or a keyring, sent only to the named server over a connection
that others cannot read, and never shown. No redirect is followed: it would send the text to another
host.
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
from dgedit.engines.remote.exchange import (
    CONNECT,
    AnswerHead,
    Conversation,
    CutShort,
    Exchange,
    Silent,
)
from dgedit.errors import EngineError, UsageError
from dgedit.text.visible import visible

PLAIN_KEY = "DGEDIT_PLAIN_KEY"
"""The variable that allows sending a key over an unencrypted connection."""

_SHOWN = 300  # characters shown of a server's message
_ERROR = 64_000  # bytes read of a server's error
_OPENAI = "https://api.openai.com/v1"


class Endpoint:
    """A server at a checked address."""

    def __init__(self, url: str) -> None:
        """Check an address and find its key.

        Raises UsageError for an invalid address, EngineError for a key that cannot be sent there.
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
            trust_env=not near,  # no proxy for this machine itself
            # A connection for each request: the trace that gives us its socket needs a new one.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def models(self) -> dict[str, int | None]:
        """Return the names of the server's models, each with its context in tokens if known.

        Empty if the server has no list of models, or cannot make one. Raises EngineError.
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

    def refusal(self, head: AnswerHead, said: str) -> EngineError:
        """Make the error for an answer with an error status."""
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
        """Return a server's message so that it can be shown: one short line without the key."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "…")
        return visible(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")

    @contextlib.contextmanager
    def words(self) -> Iterator[None]:
        """Turn connection errors into an EngineError of one line."""
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
        except CutShort as error:
            raise EngineError(f"the answer of {self.host} is cut off: {error}") from None
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            raise EngineError(f"{self.host} hung up") from None
        except httpx2.HTTPError as error:
            why = self.shown(str(error)) or type(error).__name__
            raise EngineError(f"{self.host} cannot be asked: {why}") from None


def said(exchange: Exchange) -> str:
    """Return a server's own message about an error."""
    text = b""
    for chunk in exchange.chunks():
        text += chunk
        if len(text) > _ERROR:
            break
    return message(text[:_ERROR].decode("utf-8", "replace"))


def message(text: str) -> str:
    """Return the message in an error's JSON, in any of the usual forms; else the text itself."""
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
    """Return the key for a server; empty for none."""
    key = os.environ.get("DGEDIT_API_KEY", "").strip()
    meant = urlsplit(os.environ.get("OPENAI_BASE_URL") or _OPENAI)
    if not key and (meant.scheme, meant.netloc) == (parts.scheme, parts.netloc):
        key = os.environ.get("OPENAI_API_KEY", "").strip()  # the variable is for this server
    key = key or _kept(parts.netloc)
    if not key.isascii() or not key.isprintable():
        raise EngineError("the key holds characters that cannot be sent")
    return key


def _kept(host: str) -> str:
    """Return the key that a keyring holds for a host, if any: `keyring set dgedit HOST`."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return (keyring.get_password("dgedit", host) or "").strip()
    except (KeyringError, RuntimeError, OSError):  # locked, or no keyring at all
        return ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
