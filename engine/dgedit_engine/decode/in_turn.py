"""Fill several holes one after another, each as a request of its own.

For a model that has never learnt to write several texts on one canvas, as a chat model has not: an
end between them is no token that it knows there. The other holes' texts stand in the file, those
before as they were filled, those behind as they are at present. Knows requests and steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dgedit_engine.decode.faults import with_fixed
from dgedit_engine.decode.offers import NOTHING, last_step, offered
from dgedit_engine.prompt.template import untouched
from dgedit_engine.types import Candidate, InfillRequest, Step, Stopped


def fill(
    request: InfillRequest, alone: Callable[[InfillRequest], Iterator[Step]]
) -> Iterator[Step]:
    """Fill the request's holes, each by the steps that `alone` gives for a request with one."""
    holes = request.holes
    done: list[tuple[Candidate, ...]] = []
    index = passes = 0
    stopped: Stopped = "settled"
    for at in range(len(holes)):
        texts = [one[0].draft.text for one in done]
        own = with_fixed(request, [*texts, None, *(hole.text for hole in holes[at + 1 :])])
        waiting = [untouched(one) if one.blanks else NOTHING.draft for one in holes[at + 1 :]]
        before = index, passes
        for step in alone(own):
            index, passes = before[0] + step.index, before[1] + step.forwards
            if step.last:
                done.append(step.candidates[0])
                stopped = "cap" if step.stopped == "cap" else stopped
            shown = step.candidates or ((),)
            drafts = (*(one[0].draft for one in done[:at]), step.drafts[0], *waiting)
            yield replace(
                step,
                index=index,
                total=before[0] + step.total + len(waiting) + 1,
                drafts=drafts,
                last=False,
                stopped=None,
                candidates=(*(one[:1] for one in done[:at]), shown[0][:1], *((),) * len(waiting)),
                forwards=passes,
            )
    candidates = offered(request, done)
    yield last_step(candidates, index + 1, stopped=stopped, forwards=passes)
