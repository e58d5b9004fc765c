"""Choose the candidates of each hole that are offered: few, different, sound ones if there are any.

None that breaks its file is offered beside one that does not. Knows texts and their faults; neither
tokens nor models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dgedit_engine.decode.faults import new_errors, with_fixed
from dgedit_engine.types import OFFERED, Candidate, Draft, InfillRequest, Step, Stopped

NOTHING = Candidate(Draft((), (), ()), 0.0, "draft")
"""The candidate of a hole for which none was found."""

_ROUNDS = 3  # in which holes are judged with each other's candidates


def offered(
    request: InfillRequest, found: Sequence[Sequence[Candidate]]
) -> tuple[tuple[Candidate, ...], ...]:
    """Return for each hole of the request those of its candidates that are offered, the first one
    first.

    Each is judged with what is offered first for the other holes in their places: where that
    changes because of it, all are judged anew. At most as many as the request asks for, or
    `OFFERED`.
    """
    most = request.candidates or OFFERED
    some = [different(one)[:most] or [NOTHING] for one in found]
    every = [tuple(one) for one in some]
    for _ in range(_ROUNDS):
        before = [one[0].draft.text for one in every]
        for hole, candidates in enumerate(some):
            every[hole] = _sound(request, every, hole, candidates)
        if before == [one[0].draft.text for one in every]:
            break
    return _blamed(request, every)


def last_step(
    candidates: tuple[tuple[Candidate, ...], ...],
    index: int,
    *,
    score: float | None = None,
    stopped: Stopped = "settled",
    forwards: int = 0,
) -> Step:
    """Return the step that ends a stream with these for each hole, the first ones shown. Its score
    is the mean of theirs, if none is given.
    """
    firsts = [one[0] for one in candidates]
    mean = sum(one.score for one in firsts) / len(firsts)
    return Step(
        index,
        index,
        tuple(one.draft for one in firsts),
        last=True,
        stopped=stopped,
        score=mean if score is None else score,
        candidates=candidates,
        forwards=forwards,
    )


def _sound(
    request: InfillRequest,
    every: Sequence[Sequence[Candidate]],
    hole: int,
    candidates: Sequence[Candidate],
) -> tuple[Candidate, ...]:
    """Return a hole's candidates that break nothing beside the first ones of the others; all of
    them where each does.
    """
    counts = [one.faults for one in candidates]
    if len(every) > 1 or None in counts:  # else they were judged alone, as they are here
        firsts = [one[0].draft.text for one in every]
        alone = with_fixed(request, [*firsts[:hole], None, *firsts[hole + 1 :]])
        errors = new_errors(alone, [[one.draft.text] for one in candidates])
        counts = [None if places is None else len(places) for places in errors]
    known = tuple(judged(*pair) for pair in zip(candidates, counts, strict=True))
    return tuple(one for one in known if not one.breaks) or known


def _blamed(
    request: InfillRequest, every: Sequence[tuple[Candidate, ...]]
) -> tuple[tuple[Candidate, ...], ...]:
    """Return the same, but where the first ones break a file together, and none of them does beside
    the others, each of them counts as breaking it.
    """
    if len(every) < 2:
        return tuple(every)
    (places,) = new_errors(request, [[one[0].draft.text for one in every]])
    counts = Counter(place for place, _, _ in places or ())
    passages = [at for at, one in enumerate(request.passages) for _ in one.holes]
    known = {at for at, one in zip(passages, every, strict=True) if one[0].breaks}
    return tuple(
        (judged(one[0], counts[at]), *one[1:]) if counts[at] and at not in known else one
        for at, one in zip(passages, every, strict=True)
    )


def judged(one: Candidate, errors: int | None) -> Candidate:
    """Return the candidate with its syntax errors; one that breaks its file has certainty 0."""
    certainty = 0.0 if errors and one.certainty is not None else one.certainty
    return replace(one, faults=errors, certainty=certainty)


def different(found: Sequence[Candidate]) -> list[Candidate]:
    """Return those that differ from each one before by more than white space, and are neither its
    beginning nor go on from it.
    """
    kept: dict[str, Candidate] = {}
    for one in found:
        text = "".join(one.draft.text.split())
        if not any(_same(text, other) for other in kept):
            kept[text] = one
    return list(kept.values())


def _same(text: str, other: str) -> bool:
    """Say whether one goes on from the other; everything would go on from nothing."""
    if not text or not other:
        return text == other
    return text.startswith(other) or other.startswith(text)
