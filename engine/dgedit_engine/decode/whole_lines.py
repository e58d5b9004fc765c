"""Fill a hole that begins where a line ends as the lines behind that one, which it is.

A hole from the end of a line to where another begins, as SantaCoder's tasks have, looks like a part
of its line; what such a hole may hold, and where a draft of it may end, is known of whole lines
alone (`cuts.py`). So where the model would end the line there itself, the line's end is put before
the hole, and before what is found for it. Knows one hole; neither drafts under way nor tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgedit_engine.decode.cuts import between_lines
from dgedit_engine.decode.pool import Pool, Reader, begin
from dgedit_engine.types import Candidate, Draft, Hole, InfillRequest

ENDS = 0.3
"""The probability of a line's end from which the line is taken to be over. Where one of 146 lines
of HumanEval does end it is 0.36 at least, mostly above 0.9. Of its random spans 137 may begin at a
line's end: 14 do, all of them above 0.3, and of the 123 others 2 are (`return N|one`).
"""


@dataclass(frozen=True, slots=True)
class Lead:
    """What stands before all that is found for a hole."""

    text: str = ""
    """A line's end, or nothing."""
    sure: float = 1.0
    """Its probability."""

    def draft(self, draft: Draft) -> Draft:
        """Return a draft behind it."""
        if not self.text:
            return draft
        settled = (all(draft.settled), *draft.settled)
        return Draft((self.text, *draft.pieces), (self.sure, *draft.confidence), settled)

    def candidate(self, one: Candidate) -> Candidate:
        """Return a candidate behind it."""
        return replace(one, draft=self.draft(one.draft)) if self.text else one


def begun(
    reader: Reader, request: InfillRequest, hole: int, filled: Sequence[str]
) -> tuple[Pool, InfillRequest, Lead]:
    """Return a pool for the request's hole of that number, those before it `filled`, the request
    that it is of, and what comes before all that is found there.
    """
    pool = begin(reader, request, hole, filled)
    here = pool.around
    asked = request.exact or pool.guide is not None or bool(here.ends)
    if asked or not between_lines(here.place) or (sure := pool.line_ends()) < ENDS:
        return pool, request, Lead()
    moved = _behind(request, hole, here.newline)
    return begin(reader, moved, hole, filled), moved, Lead(here.newline, sure)


def _behind(request: InfillRequest, hole: int, text: str) -> InfillRequest:
    """Return the request with a text before its hole of that number."""
    passages = []
    for passage in request.passages:
        parts = list[str | Hole]()
        for part in passage.parts:
            if isinstance(part, Hole):
                if not hole:
                    parts.append(text)
                hole -= 1
            parts.append(part)
        passages.append(replace(passage, parts=tuple(parts)))
    return replace(request, passages=tuple(passages))
