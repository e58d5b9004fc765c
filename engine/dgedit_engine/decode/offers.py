"""The candidates of each hole that are offered, of those that were found: few, different, and none
that breaks its file beside one that does not.

Knows texts and their faults; neither tokens nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dgedit_engine.decode.faults import new_errors, with_fixed
from dgedit_engine.types import OFFERED, Candidate, Draft, InfillRequest

NOTHING = Candidate(Draft((), (), ()), 0.0, "draft")
"""The candidate of a hole for which none was found."""


def offered(
    request: InfillRequest, found: Sequence[Sequence[Candidate]]
) -> tuple[tuple[Candidate, ...], ...]:
    """For each hole of the request those of its candidates that are offered, the first one first.

    Each is judged with the first candidates of the other holes in their places. At most as many as
    the request asks for, or `OFFERED`.
    """
    most = request.candidates or OFFERED
    firsts = [one[0].draft.text if one else "" for one in found]
    every = []
    for hole, candidates in enumerate(found):
        some = different(candidates)[:most] or [NOTHING]
        alone = with_fixed(request, [*firsts[:hole], None, *firsts[hole + 1 :]])
        errors = new_errors(alone, [[one.draft.text] for one in some])
        counts = [None if places is None else len(places) for places in errors]
        known = [judged(*pair) for pair in zip(some, counts, strict=True)]
        sound = [one for one in known if not one.breaks]
        every.append(tuple(sound or known))
    return tuple(every)


def judged(one: Candidate, errors: int | None) -> Candidate:
    """The candidate with its syntax errors; what breaks its file is not right."""
    certainty = 0.0 if errors and one.certainty is not None else one.certainty
    return replace(one, faults=errors, certainty=certainty)


def different(found: Sequence[Candidate]) -> list[Candidate]:
    """Those that differ from each one before by more than white space, and are neither its
    beginning nor go on from it.
    """
    kept: dict[str, Candidate] = {}
    for one in found:
        text = "".join(one.draft.text.split())
        if not any(_same(text, other) for other in kept):
            kept[text] = one
    return list(kept.values())


def _same(text: str, other: str) -> bool:
    """Whether one goes on from the other; everything would go on from nothing."""
    if not text or not other:
        return text == other
    return text.startswith(other) or other.startswith(text)
