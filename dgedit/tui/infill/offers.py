"""The candidates of each hole on the screen, put together of the engine's.

A hole of which only a part is refined is to the engine text between holes: their first candidates
go together, their second ones, and so on. Knows steps and drafts; nothing of editors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgedit.text.drafts import joined
from dgedit_engine.types import Candidate, Draft, Hole, Passage, Step

Weave = tuple[Draft | Hole, ...]
"""What a hole is to hold: parts that stay as they are, and parts that are refined."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One candidate of a hole."""

    draft: Draft
    """All of the hole's text."""
    parts: tuple[Candidate, ...] = ()
    """The engine's candidates in it; none where it was not asked, or gives none."""

    @property
    def faults(self) -> int:
        """Syntax errors that it brings, as far as anybody looked."""
        return max((one.faults or 0 for one in self.parts), default=0)

    @property
    def certainty(self) -> float | None:
        """The probability that it is right; None where nobody can tell."""
        known = [one.certainty for one in self.parts if one.certainty is not None]
        return min(known, default=None)

    def is_unsure(self, caution: float) -> bool:
        """Whether it may well be wrong: it brings errors, or is right with less than that
        probability.
        """
        return self.faults > 0 or (self.certainty is not None and self.certainty < caution)


def offers(step: Step, weaves: Sequence[Weave]) -> tuple[tuple[Offer, ...], ...]:
    """For each hole on the screen its candidates, at least one: what the step shows."""
    candidates = step.candidates or ((),) * len(step.drafts)
    asked = zip(step.drafts, candidates, strict=True)
    found = []
    for weave in weaves:
        own = [next(asked) if isinstance(part, Hole) else (part, ()) for part in weave]
        count = max(1, *(len(one) for _, one in own))
        found.append(tuple(_offer(own, at) for at in range(count)))
    return tuple(found)


def _offer(own: Sequence[tuple[Draft, Sequence[Candidate]]], at: int) -> Offer:
    chosen = [some[min(at, len(some) - 1)] if some else None for _, some in own]
    drafts = [one.draft if one else draft for one, (draft, _) in zip(chosen, own, strict=True)]
    return Offer(joined(drafts), tuple(one for one in chosen if one))


def wholes(drafts: Sequence[Draft], weaves: Sequence[Weave]) -> list[Draft]:
    """The engine's drafts put together to one for each hole on the screen."""
    left = iter(drafts)
    return [
        joined([next(left) if isinstance(part, Hole) else part for part in weave])
        for weave in weaves
    ]


def woven(asked: Passage, weaves: Sequence[Weave]) -> Passage:
    """The passage with what each hole is to hold in the hole's place."""
    parts: list[str | Hole] = []
    left = iter(weaves)
    for part in asked.parts:
        for one in next(left) if isinstance(part, Hole) else (part,):
            text = one.text if isinstance(one, Draft) else one
            if isinstance(text, str) and parts and isinstance(parts[-1], str):
                parts[-1] += text
            elif text != "":
                parts.append(text)
    return replace(asked, parts=tuple(parts))
