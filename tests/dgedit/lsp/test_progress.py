"""Progress under a token of ours: who agrees to show it is always told that it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from dgedit.lsp.progress import WorkProgress
from dgedit.protocol.rpc import Peer, RpcError
from dgedit_engine.types import Draft, Step


class Slow:
    """A peer whose answers come when the test says so."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked = 0
        self.answer: Callable[[Any, RpcError | None], None] = lambda result, error: None

    def ask(self, method: str, params: Any, then: Any) -> int:
        self.answer = then
        self.asked += 1
        return 1

    def tell(self, method: str, params: Any) -> None:
        self.told.append(params["value"]["kind"])


@pytest.mark.parametrize("when", ["before", "amid", "after", "refused", "never"])
def test_what_was_agreed_to_ends_whenever_that_was(when: str) -> None:
    """Helix shows a spinner from its agreement on, until it sees the end."""
    peer = Slow()
    progress = WorkProgress.ours(cast(Peer, peer), "dgedit 1", "Filling")
    assert not peer.asked  # what never begins needs no end
    with progress:
        if when == "before":
            peer.answer(None, None)
        progress.step(Step(1, 2, (Draft(("a",), (1.0,), (True,)),), last=False))
        if when == "amid":
            peer.answer(None, None)
    if when == "after":
        peer.answer(None, None)
    if when == "refused":
        peer.answer(None, RpcError(-32601, "no such method"))
    middle = ["report"] if when == "before" else []
    assert peer.told == (["begin", *middle, "end"] if when[0] in "ba" else [])
