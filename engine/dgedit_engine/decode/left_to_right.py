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
from dgedit_engine.decode.faults import new_errors
from dgedit_engine.decode.joint import Scored
from dgedit_engine.decode.offers import NOTHING, offered
from dgedit_engine.decode.search import Reader, begin, search
from dgedit_engine.types import OFFERED, Candidate, Draft, InfillRequest, Phase, Step

_JUDGED = 24  # candidates whose grammar is looked at, the likeliest
_AT_ONCE = 6  # of them, so many at a time
_ENOUGH = OFFERED  # sound ones, which end that


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
        drafts += (NOTHING.draft,) * (count - len(drafts))
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
    before = [_first(one).text for one in chosen]
    behind = [None] * (len(request.holes) - len(chosen) - 1)
    errors: list[int] = []
    while len(errors) < min(_JUDGED, len(found)):
        some = found[len(errors) : min(_JUDGED, len(errors) + _AT_ONCE)]
        texts = [[*before, one.draft.text, *behind] for one in some]
        errors += [len(places or ()) for places in new_errors(request, texts)]
        if errors.count(0) >= _ENOUGH:
            break
    order = sorted(range(len(errors)), key=lambda one: errors[one])
    return [*(found[one] for one in order), *found[len(errors) :]]


def _end(
    request: InfillRequest, chosen: Sequence[Sequence[Scored]], index: int, passes: int
) -> Step:
    """The step that ends the stream, with what is offered for each hole."""
    every = [
        [Candidate(one.draft, round(mean_log([one.draft]), 6), "draft") for one in found]
        for found in chosen
    ]
    candidates = offered(request, every)
    return Step(
        index,
        index,
        tuple(one[0].draft for one in candidates),
        last=True,
        stopped="settled" if all(chosen) else "cap",
        score=sum(one[0].score for one in candidates) / len(candidates),
        candidates=candidates,
        forwards=passes,
    )


def _first(found: Sequence[Scored]) -> Draft:
    return found[0].draft if found else NOTHING.draft
