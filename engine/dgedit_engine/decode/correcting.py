"""Fill a request with two models: one that reads from left to right drafts, a masked one corrects.

    the drafter's candidates, as it fills alone -> the masked model reads a draft in its place
        -> tokens that it finds unlikely become masks -> its own sampler fills them -> and again

No slot is added to a draft. Draft and correction are both candidates, ranked by the masked
model's probability of each token beside all others. Knows requests and steps; `unmask.py` fills a
window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from dgedit_engine.decode import left_to_right
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import mean_log
from dgedit_engine.decode.masking import NOT_FINITE, Masking
from dgedit_engine.decode.pool import Reader
from dgedit_engine.decode.unmask import Unmasking, unmask
from dgedit_engine.decode.window import Filled, drafts, end, ended, laid, room
from dgedit_engine.prompt.window import Window, windows
from dgedit_engine.types import (
    MOST_STEPS,
    Candidate,
    Hole,
    InfillRequest,
    ModelError,
    Origin,
    Step,
)

LIKELY = 0.9
"""The probability from which a token stays: that of CDLM's authors."""

_ROUNDS = 4  # at effort 0.5; CDLM's authors take one to four


@dataclass(frozen=True, slots=True)
class Drafter:
    """An open model that drafts for another one."""

    reader: Reader
    """The model, its own tokenizer and cache."""
    decoding: Decoding
    """How it drafts."""


def fill(
    reader: Reader,
    drafter: Drafter,
    request: InfillRequest,
    masking: Masking,
    generator: torch.Generator,
) -> Iterator[Step]:
    """Fill the request's holes; the last step has the candidates: of each hole so many drafts as
    the request asks for, one if it does not say, each as it is and corrected.

    Raises ValueError where holes do not fit, ModelError where logits are not finite.
    """
    model, other = reader.model, drafter.reader.model
    index, earlier = 0, model.forwards + other.forwards
    found: tuple[tuple[Candidate, ...], ...] = ()
    for step in left_to_right.fill(drafter.reader, request, drafter.decoding, generator):
        index, found = index + 1, step.candidates
        yield replace(step, index=index, total=index + 1, phase="draft", last=False, stopped=None)
    stand = [some[0].draft for some in found]  # of every hole, what is shown
    every: list[list[Filled]] = []
    count = min(request.candidates or 1, max(map(len, found)))
    for number in range(count):
        draws = None if number == 0 and request.seed == 0 else generator
        texts = [some[min(number, len(some) - 1)].draft.text for some in found]
        first = 0
        each = windows(_holding(request, texts), reader.tokenizer, context=room(reader))
        every = every or [[] for _ in each]
        for place, window in enumerate(each):
            under_way = _corrected(reader, request, window, masking, draws)
            drafted, _ = next(under_way)
            corrected = drafted
            for corrected, masks in under_way:
                index += 1
                if number == 0:
                    stand[first : first + len(corrected)] = corrected
                yield Step(
                    index,
                    index + masks + 1,
                    tuple(stand),
                    score=mean_log(corrected),
                    forwards=model.forwards + other.forwards - earlier,
                )
            first += len(corrected)
            every[place] += [ended(drafted), ended(corrected)]
    origins: list[Origin] = ["draft", "revised"] * count
    passes = model.forwards + other.forwards - earlier
    yield end(request, every, origins, index + 1, passes)


def _corrected(
    reader: Reader,
    request: InfillRequest,
    window: Window,
    masking: Masking,
    generator: torch.Generator | None,
) -> Iterator[tuple[Filled, int]]:
    """Yield what a window holds, read in its place, and then each step of its correction, with the
    number of masks there.
    """
    work = laid(reader, request, window, window.present)
    read(work)
    yield drafts(reader, work, window), 0
    rounds = max(1, round(_ROUNDS * 4 ** (request.effort - 0.5)))  # a factor of two to either side
    for _ in correct(work, masking, generator, rounds=rounds, steps=request.steps):
        yield drafts(reader, work, window), len(work.masked())


def correct(
    work: Unmasking,
    masking: Masking,
    generator: torch.Generator | None,
    *,
    rounds: int,
    steps: int | None = None,
) -> Iterator[None]:
    """Correct what stands in the holes, read last by `read`: tokens less probable than `LIKELY`
    become masks, which the sampler fills, and all are read anew; until there are none, nothing
    changes, or the rounds, or the sampler's `steps` in all of them, are over. Yields after each
    step.
    """
    left = MOST_STEPS if steps is None else steps
    for _ in range(rounds):
        before = work.ids
        again = [
            (hole, slot)
            for hole in work.holes
            for slot, likely in enumerate(hole.sure)
            if likely < LIKELY
        ]
        if not again or not left:
            return
        for hole in work.holes:
            hole.free = [False] * len(hole.ids)
        for hole, slot in again:
            hole.ids[slot], hole.free[slot] = work.mask, True
        yield
        count = min(left, len(again))
        yield from unmask(work, masking, count, generator, bar=True)
        left -= count
        read(work)
        yield
        if work.ids == before:
            return


def read(work: Unmasking) -> None:
    """Read a window without masks, and note how probable each token in a hole is there. Raises
    ModelError for logits that are not finite.
    """
    slots = [(hole, slot) for hole in work.holes for slot in range(len(hole.ids))]
    if not slots:
        return
    tokens = torch.tensor([hole.ids[slot] for hole, slot in slots], device=work.cache.device)
    likely = work.logits(slots, anew=True).softmax(-1).gather(-1, tokens[:, None])[:, 0]
    if bool(likely.isnan().any()):
        raise ModelError(NOT_FINITE)
    for (hole, slot), one in zip(slots, likely.tolist(), strict=True):
        hole.best[slot], hole.sure[slot] = hole.ids[slot], one


def _holding(request: InfillRequest, texts: Sequence[str]) -> InfillRequest:
    """Return the request with these texts in its holes."""
    left = iter(texts)
    passages = [
        replace(
            passage,
            parts=tuple(
                Hole(next(left)) if isinstance(one, Hole) else one for one in passage.parts
            ),
        )
        for passage in request.passages
    ]
    return replace(request, passages=tuple(passages))
