"""Tell a client how far an infill has come: work-done progress, and drafts as partial results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from dgedit.protocol.rpc import Id, Peer, RpcError
from dgedit_engine.types import Step

_PAUSE = 0.05  # seconds from one report to the next, at least


class WorkProgress:
    """One operation's progress, under a token. Without one, nothing is told."""

    def __init__(self, peer: Peer, token: Id | None, title: str) -> None:
        """Take the client's token, or None."""
        self._peer, self._token, self._title = peer, token, title
        self._wanted: Id | None = None
        self._begun, self._over, self._last = False, False, 0.0
        self._lock = threading.Lock()

    @classmethod
    def ours(cls, peer: Peer, token: str, title: str) -> WorkProgress:
        """A progress of ours, which the client is asked to show when the operation begins, and told
        once it has agreed; if that is when all is over, it is told this much: some show a progress
        until they see its end.
        """
        progress = cls(peer, None, title)
        progress._wanted = token
        return progress

    def step(self, step: Step) -> None:
        """Tell that a step is done, unless one was told just now."""
        now = time.monotonic()
        if self._token is None or now < self._last + _PAUSE:
            return
        self._last = now
        self._begin()
        share = min(100, 100 * step.index // max(1, step.total))
        said = {"kind": "report", "message": f"step {step.index}", "percentage": share}
        self._tell(said)

    def __enter__(self) -> WorkProgress:
        """Ask for the client's agreement where the token is ours."""

        def answered(_: Any, error: RpcError | None) -> None:
            if error is not None:
                return
            with self._lock:
                self._token = self._wanted
                if self._over:
                    self._end()

        if self._wanted is not None:
            self._peer.ask("window/workDoneProgress/create", {"token": self._wanted}, answered)
        return self

    def __exit__(self, *error: object) -> None:
        """Tell that the operation is over."""
        with self._lock:
            self._over = True
            self._end()

    def _end(self) -> None:
        if self._token is not None:
            self._begin()
            self._tell({"kind": "end"})

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._tell({"kind": "begin", "title": self._title, "percentage": 0})

    def _tell(self, value: Any) -> None:
        self._peer.tell("$/progress", {"token": self._token, "value": value})


def draft_teller(
    peer: Peer, token: Id | None, item: Callable[[str], Any]
) -> Callable[[Step], None]:
    """Return a function that sends a step's draft of its only hole as a partial result; it does
    nothing without a token.
    """
    last = 0.0

    def tell(step: Step) -> None:
        nonlocal last
        now = time.monotonic()
        text = step.drafts[0].text
        if token is not None and text and not step.last and now >= last + _PAUSE:
            last = now
            peer.tell("$/progress", {"token": token, "value": [item(text)]})

    return tell
