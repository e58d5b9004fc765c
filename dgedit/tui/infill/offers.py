"""Assemble the candidates of each hole on the screen from the engine's candidates.

If only a part of a hole is refined, the engine sees fixed text with holes in it. The engine's first
candidates for these are joined to the hole's first candidate, the second ones to its second, and so
on. Knows steps and drafts; nothing of editors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgedit.text.drafts import joined
from dgedit_engine.types import Candidate, Draft, Hole, Passage, Step

Weave = tuple[Draft | Hole, ...]
"""The content of a hole: parts that stay fixed (drafts), and parts to refine (holes)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One candidate of a hole."""

    draft: Draft
    """The hole's whole text."""
    parts: tuple[Candidate, ...] = ()
    """The engine's candidates in it; empty if it was not asked, or gave none."""

    @property
    def faults(self) -> int:
        """The syntax errors that it brings, as far as they were counted."""
        return max((one.faults or 0 for one in self.parts), default=0)

    @property
    def certainty(self) -> float | None:
        """The probability that it is right; None if unknown."""
        known = [one.certainty for one in self.parts if one.certainty is not None]
        return min(known, default=None)

    def is_unsure(self, caution: float) -> bool:
        """Say whether it may well be wrong: it brings syntax errors, or its probability of being
        right is below `caution`.
        """
        return self.faults > 0 or (self.certainty is not None and self.certainty < caution)


def offers(step: Step, weaves: Sequence[Weave]) -> tuple[tuple[Offer, ...], ...]:
    """Return the candidates of each hole on the screen, at least one: the step's own draft."""
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
    """Join the engine's drafts to one for each hole on the screen."""
    left = iter(drafts)
    return [
        joined([next(left) if isinstance(part, Hole) else part for part in weave])
        for weave in weaves
    ]


def woven(asked: Passage, weaves: Sequence[Weave]) -> Passage:
    """Return the passage with each hole replaced by its weave."""
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
