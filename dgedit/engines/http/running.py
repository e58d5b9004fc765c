"""Run the infill of a completion request, until its answer is known or its time is over.

Knows backends and the steps they take; neither protocols nor connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dgedit.engines.http.answers import Answered, cutting
from dgedit.engines.http.completions import CompletionRequest
from dgedit.engines.http.cutting import CutText
from dgedit.engines.http.settling import Settling
from dgedit.request import run as fill
from dgedit.request.within import better
from dgedit_engine.types import Backend, Draft, Step


class _Enough(Exception):
    """The answer is known."""


def run(
    asked: CompletionRequest,
    backend: Backend,
    *,
    count: Callable[[str], int],
    look: Callable[[], None],
    tell: Callable[[CutText], None],
) -> Answered:
    """Fill the request's hole. `count` returns the number of tokens of a text; `look` is called
    after each step and may end the infill by an exception; `tell` gets what a stream may send, as
    soon as it stands.

    Time is limited as llama.cpp limits it: it counts from the first step on, and ends nothing
    before a whole text is there, where llama.cpp waits for the end of a line.
    """
    if asked.request is None:
        return Answered((), True, 0.0, 0.0)
    following = _Following(asked, Settling(cutting(asked, count)), look, tell)
    started, ended = time.monotonic(), True
    try:
        found = fill.run(asked.request, backend, each=following, quiet=True)
    except _Enough:
        drafts, ended = following.offered, following.settling.over
    else:
        offered = found.candidates[0] if found.candidates else ()
        drafts = tuple(one.draft for one in offered) or following.offered
        ended = found.stopped != "cap"
    if asked.stream:
        drafts, whole = following.settling.bound(drafts)
        ended = ended and whole
    read, refined = following.first - started, following.latest - following.first
    return Answered(drafts, ended, read, refined, following.settling.sent)


class _Following:
    """Looks at each step of an infill. Raises _Enough when the answer is known."""

    def __init__(
        self,
        asked: CompletionRequest,
        settling: Settling,
        look: Callable[[], None],
        tell: Callable[[CutText], None],
    ) -> None:
        self.settling = settling
        self.first = self.latest = 0.0
        self._asked, self._look, self._tell = asked, look, tell
        self._best: Step | None = None

    def __call__(self, step: Step) -> None:
        self.latest = time.monotonic()
        self.first = self.first or self.latest
        self._look()
        self._best = better(self._best, step)
        if self._asked.stream and not step.last:  # what that one adds, the end does
            if (cut := self.settling.take(step)) is not None:
                self._tell(cut)
            if self.settling.over:
                raise _Enough
        if self._is_late and not step.last and step.phase != "draft":
            raise _Enough

    @property
    def offered(self) -> tuple[Draft, ...]:
        """The draft of the best step so far."""
        assert self._best is not None
        return self._best.drafts[:1]

    @property
    def _is_late(self) -> bool:
        limit = self._asked.seconds
        return limit is not None and self.latest - self.first >= limit
