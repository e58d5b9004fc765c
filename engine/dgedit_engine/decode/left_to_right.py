"""Fill holes with a model that was never taught to: a base that reads from left to right alone.

    for each hole:  the text before it -> drafts side by side -> every place where one may end is a
                    candidate -> the text behind decides (`joint.py`) -> the file's grammar

A hole after another is filled behind what was chosen for that one. What is shown is always the best
so far. Knows requests and steps; how a hole's candidates are found is `search.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import mean_log
from dgedit_engine.decode.joint import Scored
from dgedit_engine.decode.rank import new_errors
from dgedit_engine.decode.search import Reader, begin, search
from dgedit_engine.types import Candidate, Draft, InfillRequest, Phase, Step

OFFERED = 4
"""Candidates of a hole that are offered where a request does not say how many, at most."""

_JUDGED = 24  # candidates whose grammar is looked at, the likeliest
_NOTHING = Draft((), (), ())


def fill(
    reader: Reader, request: InfillRequest, decoding: Decoding, generator: torch.Generator
) -> Iterator[Step]:
    """Fill the request's holes one after another; the last step has the candidates.

    Raises ModelError where the model's logits are no numbers.
    """
    count = len(request.holes)
    chosen: list[list[Scored]] = []
    index, earlier = 0, reader.model.forwards

    def step(draft: Draft, phase: Phase) -> Step:
        nonlocal index
        index += 1
        drafts = (*map(_first, chosen), draft)
        drafts += (_NOTHING,) * (count - len(drafts))
        passes = reader.model.forwards - earlier
        return Step(index, index + 1, drafts, score=mean_log([draft]), phase=phase, forwards=passes)

    for hole in range(count):
        pool = begin(reader, request, hole, [_first(one).text for one in chosen])
        for draft, phase in search(pool, request, decoding, generator):
            yield step(draft, phase)
        chosen.append(_by_grammar(pool.best, request, chosen))
    yield _end(request, chosen, index + 1, reader.model.forwards - earlier)


def _by_grammar(
    found: Sequence[Scored], request: InfillRequest, chosen: Sequence[Sequence[Scored]]
) -> list[Scored]:
    """A hole's candidates, those with fewer syntax errors first; nothing where there are none."""
    best = found[:_JUDGED]
    before = [_first(one).text for one in chosen]
    behind = [""] * (len(request.holes) - len(chosen) - 1)
    texts = [[*before, one.draft.text, *behind] for one in best]
    errors = [len(places or ()) for places in new_errors(request, texts)] if texts else []
    order = sorted(range(len(best)), key=lambda one: errors[one])
    return [*(best[one] for one in order), *found[_JUDGED:]]


def _end(
    request: InfillRequest, chosen: Sequence[Sequence[Scored]], index: int, passes: int
) -> Step:
    """The step that ends the stream: the best of each hole; and beside it what else was found, the
    second best of each, and so on.
    """
    offered = [_different(one)[: request.candidates or OFFERED] for one in chosen]
    drafts = [
        tuple(one[min(place, len(one) - 1)].draft if one else _NOTHING for one in offered)
        for place in range(max(1, *map(len, offered)))
    ]
    errors = new_errors(request, [[draft.text for draft in one] for one in drafts])
    candidates = tuple(
        Candidate(
            one,
            round(sum(mean_log([draft]) for draft in one) / len(one), 6),
            "draft",
            None if places is None else len(places),
        )
        for one, places in zip(drafts, errors, strict=True)
    )
    best = candidates[0]
    return Step(
        index,
        index,
        best.drafts,
        last=True,
        stopped="settled" if all(chosen) else "cap",
        score=best.score,
        candidates=candidates,
        forwards=passes,
    )


def _different(found: Sequence[Scored]) -> list[Scored]:
    """The candidates that differ by more than white space, of those that do not the first."""
    kept: dict[str, Scored] = {}
    for one in found:
        kept.setdefault("".join(one.text.split()), one)
    return list(kept.values())


def _first(found: Sequence[Scored]) -> Draft:
    return found[0].draft if found else _NOTHING
