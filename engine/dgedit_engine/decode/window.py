"""Fill a request with a masked diffusion model, passage by passage, the holes of each together.

Steps are shown as those of a canvas: what is predicted for every slot, settled where it stays.
Knows requests and steps; `unmask.py` fills a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from dgedit_engine.decode.drafts import draft_of, mean_log
from dgedit_engine.decode.faults import new_errors, with_fixed
from dgedit_engine.decode.masking import Masking
from dgedit_engine.decode.offers import judged, last_step, offered
from dgedit_engine.decode.pool import Reader
from dgedit_engine.decode.unmask import (
    LENGTHS,
    MaskedHole,
    Unmasking,
    grow,
    lengths,
    mask_doubtful,
    unmask,
)
from dgedit_engine.prompt.window import Window, windows
from dgedit_engine.types import Candidate, Draft, InfillRequest, Origin, Step

_LONGEST = 256  # slots of a hole, at most

Filled = tuple[Draft, ...]
"""A draft for each hole of a window."""


def fill(
    reader: Reader, request: InfillRequest, masking: Masking, generator: torch.Generator
) -> Iterator[Step]:
    """Fill the request's holes; the last step has the candidates. With seed 0 the first candidate
    takes the most probable tokens, and all others are drawn.

    Raises ValueError where holes do not fit, ModelError where the logits are not finite.
    """
    each = windows(request, reader.tokenizer, context=room(reader))
    index, earlier = 0, reader.model.forwards
    every: list[list[Filled]] = [[] for _ in each]
    for number in range(request.candidates or 1):
        draws = None if number == 0 and request.seed == 0 else generator
        for place, window in enumerate(each):
            done = [one[0] for one in every[:place]]
            later = [[_nothing()] * len(one.present) for one in each[place + 1 :]]
            stand: Filled = ()
            for stand, left in _filled(reader, request, window, masking, draws, number):
                index += 1
                shown = every[place][0] if number else stand
                yield Step(
                    index,
                    index + left + 1,
                    tuple(draft for one in (*done, shown, *later) for draft in one),
                    score=mean_log(stand),
                    forwards=reader.model.forwards - earlier,
                )
            every[place].append(ended(stand))
    passes = reader.model.forwards - earlier
    origins: list[Origin] = ["canvas"] * len(every[0])
    yield end(request, every, origins, index + 1, passes)


def room(reader: Reader) -> int:
    """Return how many tokens the fixed text of a window may have."""
    return reader.model.config.context - _LONGEST


def _filled(
    reader: Reader,
    request: InfillRequest,
    window: Window,
    masking: Masking,
    generator: torch.Generator | None,
    number: int,
) -> Iterator[tuple[Filled, int]]:
    """Fill a window -> its drafts at each step, and how many masks are left."""
    work = _begun(reader, request, window, masking)
    masks = reader.model.config.masks
    assert masks is not None
    growing = masks.expand is not None and all(all(hole.free) for hole in work.holes)
    if not growing and request.strength == 1:
        found = lengths(work, _tried(window))
        # of one hole the next candidate has the next best length
        if len(found) == 1 and number:
            length = found[0][number % len(found[0])]
            work.holes[0] = MaskedHole.of([work.mask] * length, work.mask)
    left = len(work.masked())
    steps = request.steps or _dialled(masking.steps or left, left, masking, request)
    taken = grow(work, masking, generator) if growing else unmask(work, masking, steps, generator)
    for _ in taken:
        yield drafts(reader, work, window), len(work.masked())
    if work.masked() or not left:  # out of steps, or nothing was missing
        for hole, slot in work.masked():
            hole.ids[slot] = hole.best[slot]
        yield drafts(reader, work, window), 0


def _begun(reader: Reader, request: InfillRequest, window: Window, masking: Masking) -> Unmasking:
    """Return a window before its first step: masks, or the present text without what is least
    likely in it.
    """
    masks = reader.model.config.masks
    assert masks is not None
    kept = request.strength < 1
    start = [masks.mask] * masking.slots
    held = [present if kept and present else start for present in window.present]
    work = laid(reader, request, window, held)
    if kept and not all(all(hole.free) for hole in work.holes):
        mask_doubtful(work, request.strength)
    return work


def laid(
    reader: Reader, request: InfillRequest, window: Window, held: Sequence[Sequence[int]]
) -> Unmasking:
    """Return a window whose holes hold these tokens, masks among them. Raises ValueError, naming
    the number, where there are too many.
    """
    masks = reader.model.config.masks
    assert masks is not None
    for present in window.present:
        if len(present) > _LONGEST:
            raise ValueError(f"a hole's text has {len(present)} tokens; {_LONGEST} are the most")
    holes = [MaskedHole.of(ids, masks.mask) for ids in held]
    work = Unmasking(reader.model, reader.cache, window.fixed, holes, request.refresh)
    if (length := len(work.ids)) > (most := reader.model.config.context):
        raise ValueError(f"{len(holes)} holes and their text are {length} tokens of {most} at most")
    return work


def _tried(window: Window) -> list[int]:
    """Return the lengths that are tried: those of the tables, and of a lone hole's present text."""
    own = [len(one) for one in window.present if one]
    return [*(own if len(window.present) == 1 else []), *LENGTHS]


def _dialled(steps: int, left: int, masking: Masking, request: InfillRequest) -> int:
    """Return the steps for a request: effort 0.5 is the model's own, each half of the dial a factor
    of two; more than masks help only where tokens are reconsidered.
    """
    found = max(1, round(steps * 4 ** (request.effort - 0.5)))
    return found if masking.alg == "p2" else min(found, max(1, left))


def drafts(reader: Reader, work: Unmasking, window: Window) -> Filled:
    """Return the holes' drafts: what is predicted, settled where it stays."""
    return tuple(_draft(reader, work, hole, window.newline) for hole in work.holes)


def _draft(reader: Reader, work: Unmasking, hole: MaskedHole, newline: str) -> Draft:
    ids = [best if one == work.mask else one for one, best in zip(hole.ids, hole.best, strict=True)]
    settled = [one != work.mask for one in hole.ids]
    draft = draft_of(ids, hole.sure, settled, reader.tokenizer, None, ended=True)
    return replace(draft, pieces=tuple(one.replace("\n", newline) for one in draft.pieces))


def ended(filled: Filled) -> Filled:
    """Return the same, settled."""
    return tuple(replace(draft, settled=(True,) * len(draft.pieces)) for draft in filled)


def _nothing() -> Draft:
    return Draft((), (), ())


def end(
    request: InfillRequest,
    every: Sequence[Sequence[Filled]],
    origins: Sequence[Origin],
    index: int,
    passes: int,
) -> Step:
    """Return the step that ends the stream: of each hole the candidates that break less, then the
    likelier ones, first. Of each window `every` has as many drafts, which are from the `origins`.
    """
    firsts = [draft.text for filled in every for draft in filled[0]]
    found: list[list[Candidate]] = []
    for filled in every:
        for hole in range(len(filled[0])):
            place = len(found)
            alone = with_fixed(request, [*firsts[:place], None, *firsts[place + 1 :]])
            own = [one[hole] for one in filled]
            errors = new_errors(alone, [[draft.text] for draft in own])
            counts = [None if places is None else len(places) for places in errors]
            some = [
                judged(Candidate(draft, round(mean_log([draft]), 6), origin), count)
                for draft, origin, count in zip(own, origins, counts, strict=True)
            ]
            found.append(sorted(some, key=lambda one: (one.faults or 0, -one.score)))
    return last_step(offered(request, found), index, forwards=passes)
