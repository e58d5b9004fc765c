"""Fill holes with a model that was never trained to: a base that reads from left to right alone.

    for each hole:  the text before it -> drafts side by side -> every place where one may end is a
                    candidate -> the text behind decides (`joint.py`) -> the file's grammar

A hole after another is filled behind what was chosen for that one. What is shown is always the best
so far. Knows requests and steps; `search.py` finds a hole's candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import mean_log
from dgedit_engine.decode.joint import Scored
from dgedit_engine.decode.offers import NOTHING, judged, last_step, offered
from dgedit_engine.decode.pool import JUDGED, Pool, Reader
from dgedit_engine.decode.search import search
from dgedit_engine.decode.whole_lines import begun
from dgedit_engine.prompt.template import untouched
from dgedit_engine.types import OFFERED, Candidate, Draft, InfillRequest, Phase, Step, Stopped

_AT_ONCE = 8  # of them, so many at a time
_ENOUGH = 2 * OFFERED  # sound ones, which end that: some say the same


def fill(
    reader: Reader, request: InfillRequest, decoding: Decoding, generator: torch.Generator
) -> Iterator[Step]:
    """Fill the request's holes one after another; the last step has the candidates.

    Raises ModelError where the model's logits are not finite.
    """
    count = len(request.holes)
    chosen: list[_Found] = []
    index, earlier = 0, reader.model.forwards

    def step(draft: Draft, phase: Phase, best: Candidate | None) -> Step:
        nonlocal index
        index += 1
        holes = request.holes[len(chosen) + 1 :]
        later = len(holes)
        waiting = (untouched(one) if one.blanks else NOTHING.draft for one in holes)
        drafts = (*(one.first for one in chosen), draft, *waiting)
        own = (*(tuple(one.candidates[:1]) for one in chosen), (best,) if best else ())
        return Step(
            index,
            index + 1,
            drafts,
            score=mean_log([draft]),
            candidates=(*own, *((),) * later),
            phase=phase,
            forwards=reader.model.forwards - earlier,
        )

    for hole in range(count):
        pool, own, lead = begun(reader, request, hole, [one.first.text for one in chosen])
        best: Candidate | None = None
        for draft, phase in search(pool, own, decoding, generator):
            if pool.best and (best is None or draft.text != best.draft.text):
                errors = pool.errors([draft.text])[0]
                if best is None or (errors or 0) <= (best.faults or 0):  # else what is shown stays
                    best = _candidate(pool, pool.best, draft, errors)
            shown = lead.draft(best.draft if best else draft)
            yield step(shown, phase, best and lead.candidate(best))
        found = _by_grammar(pool, request.candidates or 0)
        chosen.append(_Found([lead.candidate(one) for one in found]))
    yield _end(request, chosen, index + 1, reader.model.forwards - earlier)


@dataclass(frozen=True, slots=True)
class _Found:
    """The candidates of a hole."""

    candidates: list[Candidate]
    """Those with fewer syntax errors first; none where nothing was found."""

    @property
    def first(self) -> Draft:
        """The draft that is shown."""
        return self.candidates[0].draft if self.candidates else NOTHING.draft


def _by_grammar(pool: Pool, asked: int) -> list[Candidate]:
    """Sort a hole's candidates, those with fewer syntax errors first; of the likeliest, and of as
    many at least as are `asked` for.
    """
    found = pool.best
    errors: list[int | None] = []
    most = min(max(JUDGED, asked), len(found))
    while len(errors) < most:
        some = found[len(errors) : min(most, len(errors) + _AT_ONCE)]
        errors += pool.errors([one.draft.text for one in some])
        if len(errors) - sum(map(bool, errors)) >= max(_ENOUGH, asked):
            break
    if all(errors):  # what was mended may be less likely than all of these
        mended = pool.sound()
        found, errors = [*found[: len(errors)], *mended], [*errors, *(0 for _ in mended)]
    order = sorted(range(len(errors)), key=lambda at: errors[at] or 0)
    # those with as few as the first are what each is held against
    rivals = [found[at] for at in order if errors[at] == errors[order[0]]]
    return [_candidate(pool, rivals, found[at].draft, errors[at]) for at in order]


def _candidate(pool: Pool, rivals: Sequence[Scored], draft: Draft, errors: int | None) -> Candidate:
    """Make one of the pool's a candidate, its certainty relative to its `rivals`."""
    one = next(one for one in pool.best if one.draft.text == draft.text)
    every = rivals if one in rivals else [one, *rivals]
    sure = pool.certainty(every, every.index(one))
    return judged(Candidate(draft, round(mean_log([draft]), 6), "draft", certainty=sure), errors)


def _end(request: InfillRequest, chosen: Sequence[_Found], index: int, passes: int) -> Step:
    """The step that ends the stream, with what is offered for each hole."""
    candidates = offered(request, [one.candidates for one in chosen])
    stopped: Stopped = "settled" if all(one.candidates for one in chosen) else "cap"
    return last_step(candidates, index, stopped=stopped, forwards=passes)
