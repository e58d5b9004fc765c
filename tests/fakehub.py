"""A hub on loopback that answers what `huggingface_hub` asks about one repository.

Its faults are switched on by tests: connections that break in a file, a file that waits, answers
that are refusals. It remembers what it was asked, and how many bytes of each file it gave.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `files` as the repository `repo`."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], repo: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files, self.repo, self.commit = files, repo, COMMIT
        self.breaks: dict[str, int] = {}
        """Connections end in these files, at every so many bytes."""
        self.waits: dict[str, int] = {}
        """Nothing comes of these files behind so many bytes."""
        self.refusals: dict[str, tuple[int, str]] = {}
        """Status and error code for paths that hold these words."""
        self.refused = 0
        self.ignores_ranges = False
        self.elsewhere: dict[str, str] = {}
        """Addresses to which those who ask for these files are sent."""
        self.endless: set[str] = set()
        """What comes of these files has no end; "": of the listing, and of a refusal."""
        self.taken = 0
        """Bytes of what has no end that were taken."""
        self.claims: dict[str, str] = {}
        """Headers of files that say something else than the truth."""
        self.listing: bytes | None = None
        """What is said of the repository, in place of the truth."""
        self.tokens: list[str | None] = []
        """What was sent along with each question."""
        self.token: str | None = None
        """What must be sent along."""
        self.given: Counter[str] = Counter()
        """Bytes given of each file."""
        self.ranges: list[tuple[str, str]] = []
        """Files that were asked for from a place on."""
        self.waiting = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def become_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the one that is asked, whatever this machine's environment says."""
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for variable in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("dgedit.models.hub._PAUSE", 0.0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


@contextlib.contextmanager
def serving(files: dict[str, bytes], repo: str = "someone/little") -> Iterator[Hub]:
    with Hub(files, repo) as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *args: Any) -> None:
        """Tests have nothing to say on stderr."""

    def _answer(self, *, with_body: bool) -> None:
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.tokens.append(self.headers.get("Authorization"))
        for words, (status, code) in hub.refusals.items():
            if words in path:
                hub.refused += 1
                if "" in hub.endless:
                    self.send_response(status)
                    return self._without_end({"Content-Type": "application/json"})
                return self._send(status, b"{}", {"X-Error-Code": code} if code else {})
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._send(401, b"{}", {"X-Error-Code": "GatedRepo"})
        model, api = f"/{hub.repo}/resolve/{hub.commit}/", f"/api/models/{hub.repo}"
        if path == api or path.startswith(f"{api}/revision/"):
            if path.rpartition("/")[2] not in (hub.repo.split("/")[1], "main", hub.commit):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            if "" in hub.endless:
                self.send_response(200)
                return self._without_end({})
            if hub.listing is not None:
                return self._send(200, hub.listing, {})
            siblings = [{"rfilename": name, "size": len(one)} for name, one in hub.files.items()]
            said = {"id": hub.repo, "sha": hub.commit, "siblings": siblings}
            return self._send(200, json.dumps(said).encode(), {})
        if not path.startswith("/api/") and path.startswith(model):
            name = path.removeprefix(model)
            if name in hub.files:
                return self._file(name, hub.files[name], with_body=with_body)
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _without_end(self, headers: dict[str, str]) -> None:
        """Spaces until the client goes, or has taken more than anybody should."""
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for _ in range(1024):
                self.wfile.write(b" " * (1 << 18))
                self.server.taken += 1 << 18

    def _file(self, name: str, data: bytes, *, with_body: bool) -> None:
        hub, start = self.server, 0
        if with_body and name in hub.elsewhere:
            return self._send(302, b"", {"Location": hub.elsewhere[name]})
        asked = self.headers.get("Range")
        if asked and with_body and not hub.ignores_ranges:
            hub.ranges.append((name, asked))
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        said = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": hub.commit}
        said |= {"X-Linked-Size": str(len(data)), **hub.claims}
        if with_body and name in hub.endless:
            return self._without_end(said)
        for key, value in said.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not with_body:
            return
        end = len(data)
        if name in hub.breaks:
            end = min(end, start + hub.breaks[name])
        if name in hub.waits:
            end = min(end, hub.waits[name])
        self.wfile.write(data[start:end])
        self.wfile.flush()
        hub.given[name] += end - start
        if name in hub.waits:
            hub.waiting.set()
            self.rfile.read(1)  # until the client goes
        if end < len(data):
            self.close_connection = True
