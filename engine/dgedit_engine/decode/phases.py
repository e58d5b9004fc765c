"""The phases of a request: draft, refine, rank and repair, go on, end.

`infill.py` puts them in a row; here is what each does with the model, and what it shows. A phase is
a stream of steps that returns what it found. Its mutable state, the count of the steps and the one
that is held back, is in `Stream`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from dgedit_engine.decode import causal, loop
from dgedit_engine.decode.canvas import text_ids
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.drafts import draft_of, mean_log, open_part
from dgedit_engine.decode.endings import cuts
from dgedit_engine.decode.loop import RefinedCanvas, Start
from dgedit_engine.decode.offers import offered
from dgedit_engine.decode.rank import Filling, Ranked, around, confirmed, rank
from dgedit_engine.decode.shown import Shown
from dgedit_engine.decode.starts import fresh, renoised, repairs
from dgedit_engine.decode.verified import BLOCK, SLOTS, CanvasGuess, Guess, VerifiedReader, copied
from dgedit_engine.decode.work import Work
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.template import Template
from dgedit_engine.types import Draft, Origin, Phase, Step

CANVASES = 8
"""Canvases over which a hole may go on, at most."""

_AHEAD = 0.05
"""Nats a token by which a canvas must be more certain than the one shown, to take its place."""


@dataclass(slots=True)
class Stream:
    """The steps of a request so far."""

    model: Model
    """The model, which counts its forward passes."""
    earlier: int
    """Forward passes before this request."""
    index: int = 0
    """Steps so far."""
    total: int = 0
    """Steps at most, as far as the phases so far tell."""
    phase: Phase = "draft"
    """The phase under way."""
    held: Step | None = None
    """A phase's last step: held back, since it may be the very last and then says more."""

    @property
    def forwards(self) -> int:
        """Forward passes for this request."""
        return self.model.forwards - self.earlier

    def begin(self, phase: Phase, steps: int) -> Iterator[Step]:
        """Begin a phase of so many steps, and yield the step that was held back: it is not the
        last.
        """
        if self.held is not None:
            yield self.held
            self.held = None
        self.phase, self.total = phase, self.index + steps

    def show(self, drafts: tuple[Draft, ...], *, final: bool) -> Iterator[Step]:
        """Yield a step, or hold back the `final` one of its phase."""
        self.index += 1
        step = Step(
            self.index,
            max(self.total, self.index),
            drafts,
            score=mean_log(drafts),
            phase=self.phase,
            forwards=self.forwards,
        )
        if final:
            self.held = step
        else:
            yield step


def draft(
    work: Work, stream: Stream, origins: Sequence[Origin]
) -> Generator[Step, None, list[Filling]]:
    """Draft causally, as often as the origins ask for -> the drafts, and shorter ones of them."""
    if not {"draft", "sample", "revised"} & set(origins):
        return []
    greedy = "draft" in origins or ("sample" not in origins and work.request.seed == 0)
    read = sum(causal.LONGEST + 2 + len(marker) for marker in work.prompt.markers)
    yield from stream.begin("draft", 2 + read // causal.SHOWN_EVERY)
    following = around(work.request)[1] if len(work.prompt.holes) == 1 else ""
    exact: VerifiedReader | None = None
    if work.request.exact:
        refines = work.model.canvas and work.request.reading != "causal"
        guess: Guess = CanvasGuess(work) if refines else copied
        block = SLOTS + 1 if refines else BLOCK
        exact = VerifiedReader(work.model, work.cache, work.prompt.ids, guess, block=block)
    drafts = causal.draft(
        work.model,
        work.tokenizer,
        work.cache,
        work.prompt,
        rows=max(1, origins.count("draft") + origins.count("sample")),
        greedy=greedy,
        heat=work.decoding.heat,
        generator=work.generator,
        following=following,
        read=None if exact is None else exact.read,
    )
    stands: list[causal.Drafted] = []
    for stands in drafts:
        pairs = zip(stands[0].holes, stands[0].confidence, strict=True)
        shown = tuple(_shown(work, ids, sure, [False] * len(ids), None) for ids, sure in pairs)
        yield from stream.show(shown, final=all(one.over for one in stands))
    found: list[Filling] = []
    for one in stands:
        origin: Origin = "draft" if greedy and one is stands[0] else "sample"
        found += _sketched(work, one, origin, following)
    return found


def refine(
    work: Work,
    stream: Stream,
    starts: Sequence[tuple[Origin, Start]],
    phase: Phase = "refine",
    finished: tuple[Draft, ...] = (),
) -> Generator[Step, None, list[Filling]]:
    """Refine canvases side by side -> their infills. The most certain one is shown, or what is
    `finished` while better: a given infill, or the drafts that are held back.
    """
    if not starts:
        return []
    if not finished and stream.held is not None:
        finished = stream.held.drafts
    shown = Shown.of(work.request, finished) if finished else None
    canvases = [start for _, start in starts]
    yield from stream.begin(phase, max(start.first for start in canvases))
    encode(work.model, work.cache, work.prompt.ids)
    leader = 0
    stands: list[RefinedCanvas] = []
    steps = loop.refine(work.refiner, canvases, work.sampling, work.generator)
    for taken, stands in enumerate(steps, start=1):
        sure = [_certainty(one, work.model.config.eos) for one in stands]
        best = max(range(len(sure)), key=sure.__getitem__)
        leader = best if sure[best] > sure[leader] + _AHEAD else leader
        drafts = _drafts(work, stands[leader])
        shown = shown and shown.over(work.request, drafts)
        pairs = zip(stands, canvases, strict=True)
        over = all(one.settled or taken >= start.first for one, start in pairs)
        yield from stream.show(shown.drafts if shown else drafts, final=over)
    return [_filling(work, one, origin) for (origin, _), one in zip(starts, stands, strict=True)]


def rank_and_repair(
    work: Work, stream: Stream, fillings: list[Filling]
) -> Generator[Step, None, tuple[list[Filling], list[Ranked]]]:
    """Rank, and refine again candidates with syntax errors while the best one has some, then the
    best one from where the causal reading disagrees with it -> all fillings, and their ranks.
    """
    ranked = rank(work, fillings)
    for _ in range(work.decoding.repairs):
        best = ranked[0]
        broken = repairs(work, ranked) if best.places else []
        repaired = yield from refine(work, stream, broken, "repair", best.drafts)
        if not repaired:
            break
        fillings = fillings + repaired
        ranked = rank(work, fillings)
    for _ in range(work.decoding.renoised):
        best = ranked[0]
        again = renoised(work, best.filling)
        other = yield from refine(work, stream, again, "repair", best.drafts)
        if not other:
            break
        fillings = fillings + other
        ranked = rank(work, fillings)
    return fillings, ranked


def go_on(
    work: Work, stream: Stream, fillings: list[Filling], ranked: list[Ranked]
) -> Generator[Step, None, list[Ranked]]:
    """Continue a lone hole whose text filled its canvas, behind the canvas -> the ranks then."""
    while _continues(work, best := ranked[0].filling):
        texts = [work.prompt.holes[0][len(best.holes[0]) :]]
        start = fresh(work, texts, work.model.config.canvas)
        yield from stream.begin("continue", start.first)
        encode(work.model, work.cache, work.prompt.ids + best.holes[0])
        for (one,) in loop.refine(work.refiner, [start], work.sampling, work.generator):
            over = one.settled or stream.index + 1 == stream.total
            yield from stream.show(_drafts(work, one, best), final=over)
        whole = _filling(work, one, best.origin, best)
        fillings = [whole if each is best else each for each in fillings]
        ranked = rank(work, fillings)
    return ranked


def end(work: Work, stream: Stream, ranked: Sequence[Ranked]) -> Step:
    """Return the step that ends the stream: the one held back, with the best candidate's drafts."""
    assert stream.held is not None, "every phase ends with a step"
    best = ranked[0]
    if work.decoding.confirmed or work.verifier is not None:
        best = replace(best, drafts=confirmed(work, best))
        ranked = [best, *ranked[1:]]
    filling = best.filling
    each = [[one.candidate(hole) for one in ranked] for hole in range(len(best.drafts))]
    open_end = len(filling.holes) == 1 and not filling.ended
    return replace(
        stream.held,
        drafts=best.drafts,
        score=best.score,
        forwards=stream.forwards,
        last=True,
        stopped="settled" if filling.settled and not open_end else "cap",
        candidates=offered(work.request, each),
    )


def _sketched(work: Work, one: causal.Drafted, origin: Origin, following: str) -> list[Filling]:
    """Return a causal draft as a candidate, and the shorter ones that end where it may have."""
    whole = Filling(tuple(one.holes), tuple(one.confidence), origin, True, one.ended)
    count = work.decoding.cuts
    if not count or len(one.holes) > 1:
        return [whole]
    lengths = cuts(one.written, one.ends, following, work.tokenizer, count=count)
    parts = [(one.written[:length], one.sure[:length]) for length in lengths]
    return [whole, *(Filling((ids,), (sure,), origin, True, True) for ids, sure in parts)]


def _continues(work: Work, filling: Filling) -> bool:
    """Say whether a lone hole without an end may take one more canvas."""
    if work.request.exact or work.request.reading == "causal":
        return False
    lone = len(filling.holes) == 1 and work.decoding.slots is None
    return lone and not filling.ended and max(1, len(filling.slots)) < CANVASES


def _filling(
    work: Work, one: RefinedCanvas, origin: Origin, before: Filling | None = None
) -> Filling:
    """Return the infill of a canvas; `before`, where it continues earlier ones."""
    holes, confidence, ended = [], [], True
    templates = work.prompt.templates or (None,) * len(one.canvas.segments)
    texts = _texts(work, one, before)
    for (ids, sure, _, full), own in zip(texts, templates, strict=True):
        closing = None if own else work.prompt.closing
        kept = open_part(ids, work.tokenizer, closing)
        ended = ended and (not full or kept is not None or own is not None)
        holes.append(ids[:kept])
        confidence.append(sure[:kept])
    return Filling(
        tuple(holes),
        tuple(confidence),
        origin,
        ended or work.decoding.slots is not None,
        one.settled and (before is None or before.settled),
        (*(before.slots if before else ()), *map(len, one.canvas.segments)),
    )


def _drafts(work: Work, one: RefinedCanvas, before: Filling | None = None) -> tuple[Draft, ...]:
    """Return each hole's draft at this step, behind what earlier canvases settled."""
    texts = _texts(work, one, before)
    templates = work.prompt.templates or (None,) * len(one.canvas.segments)
    return tuple(
        _shown(work, ids, sure, accepted, own)
        for (ids, sure, accepted, _), own in zip(texts, templates, strict=True)
    )


def _texts(
    work: Work, one: RefinedCanvas, before: Filling | None
) -> Iterator[tuple[list[int], list[float], list[bool], bool]]:
    """Yield for each hole its tokens behind those `before`, their probabilities, which were
    accepted, and whether they fill all slots.
    """
    done, known = (before.holes[0], before.confidence[0]) if before else ([], [])
    for segment in one.canvas.segments:
        length = len(text_ids(one.best, segment, work.model.config.eos))
        slots = slice(segment.start, segment.start + length)
        accepted = [True] * len(done) + one.accepted[slots]
        full = length == len(segment)
        yield done + one.best[slots], known + one.confidence[slots], accepted, full


def _shown(
    work: Work,
    ids: Sequence[int],
    confidence: Sequence[float],
    accepted: Sequence[bool],
    template: Template | None,
) -> Draft:
    if template is not None:
        return template.draft(ids, confidence, accepted, ended=False)
    closing = work.prompt.closing
    return draft_of(ids, confidence, accepted, work.tokenizer, closing, ended=False)


def _certainty(one: RefinedCanvas, ends: Sequence[int]) -> float:
    """Return the mean log-probability of a canvas's text and ends, in nats."""
    found = [
        math.log(max(one.confidence[slot], 1e-9))
        for segment in one.canvas.segments
        for slot in segment[: len(text_ids(one.best, segment, ends)) + 1]
    ]
    return sum(found) / len(found)
