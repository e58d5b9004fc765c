"""Find the text of an answer that can no longer change, while its infill is still refined.

A stream takes nothing back, but a canvas revises itself, and a better candidate replaces another.
So a text is sent once it stands, and from then on the answer is bound to it:

- a candidate that the engine has judged and found to break no syntax stands as it is;
- of a draft without a judgement, the pieces in front that two steps in a row settled alike do.

At the end the best candidate that begins with what stands is the answer; if none does, what stands
is. Knows drafts and how answers are cut off; no protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from dgedit.engines.http.cutting import CutText, Cutting
from dgedit_engine.types import Draft, Step


class Settling:
    """The first answer of a stream, as far as it stands."""

    def __init__(self, cutting: Cutting) -> None:
        """Follow an answer that is cut off in that way."""
        self.sent = 0
        """Characters of the answer that `take` has returned."""
        self._cutting = cutting
        self._stands: tuple[str, ...] = ()  # the pieces that the answer is bound to
        self._judged = True  # whether they are all of a candidate
        self._before: Draft | None = None  # the draft of the step before

    @property
    def over(self) -> bool:
        """True if the answer is cut off already: nothing that may still come changes it."""
        return self._cutting.cut(self._stands).ended != "eos"

    def take(self, step: Step) -> CutText | None:
        """Return the text that a step adds to what was sent; None if it adds none."""
        draft, known = step.drafts[0], len("".join(self._stands))
        if draft.text.startswith("".join(self._stands)):
            ahead = draft.pieces[: _standing(step, self._before)]
            if len("".join(ahead)) > known:
                self._stands = _joined(self._stands, ahead)
                self._judged = any(step.candidates)
        self._before = draft
        cut = self._cutting.cut(self._stands)
        sure = len(cut.text) - (self._cutting.doubtful(cut.text) if cut.ended == "eos" else 0)
        new, self.sent = cut.text[self.sent : sure], max(self.sent, sure)
        return CutText(new, cut.tokens, cut.ended, cut.word) if new else None

    def bound(self, drafts: Sequence[Draft]) -> tuple[tuple[Draft, ...], bool]:
        """Return the drafts of the candidates, the best first, but for one before them that begins
        with what stands; and whether that is a whole text.
        """
        start = "".join(self._stands)
        at = next((at for at, one in enumerate(drafts) if one.text.startswith(start)), None)
        pieces = self._stands if at is None else _joined(self._stands, drafts[at].pieces)
        first = Draft(pieces, (1.0,) * len(pieces), (True,) * len(pieces))
        rest = (one for place, one in enumerate(drafts) if place != at)
        return (first, *rest), at is not None or self._judged


def _standing(step: Step, before: Draft | None) -> int:
    """Return how many of the pieces in front stand."""
    draft = step.drafts[0]
    if step.candidates and step.candidates[0]:
        return 0 if step.candidates[0][0].breaks else len(draft.pieces)
    if before is None:
        return 0
    now = zip(draft.pieces, draft.settled, strict=True)
    then = zip(before.pieces, before.settled, strict=True)
    pairs = zip(now, then, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1] and pair[0][1], pairs)))


def _joined(stands: tuple[str, ...], pieces: Sequence[str]) -> tuple[str, ...]:
    """Return the pieces that stand, and behind them the rest of others that spell them too."""
    left, rest = len("".join(stands)), []
    for piece in pieces:
        if said := piece[left:]:
            rest.append(said)
        left = max(0, left - len(piece))
    return (*stands, *rest)
