"""Keep the drafts on the screen while an infill is refined: nothing visibly worse replaces them.

Knows texts, how sure a model is of them, and their faults; neither canvases nor ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgedit_engine.decode.drafts import mean_log
from dgedit_engine.decode.faults import new_errors
from dgedit_engine.types import Draft, InfillRequest


@dataclass(frozen=True, slots=True)
class Shown:
    """The drafts that are shown of all holes."""

    drafts: tuple[Draft, ...]
    """One for each hole."""
    score: float
    """How sure the model is of them: mean log-probability in nats."""
    errors: int
    """Syntax errors that they bring."""

    @classmethod
    def of(cls, request: InfillRequest, drafts: Sequence[Draft]) -> Shown:
        """Judge these drafts: their score and their syntax errors."""
        found = new_errors(request, [[draft.text for draft in drafts]])[0]
        return cls(tuple(drafts), mean_log(drafts), len(found or ()))

    def over(self, request: InfillRequest, drafts: Sequence[Draft]) -> Shown:
        """Return the new drafts if the model is surer of them and they bring no more errors; else
        the old.
        """
        if mean_log(drafts) <= self.score:
            return self
        new = Shown.of(request, drafts)
        return new if new.errors <= self.errors else self
