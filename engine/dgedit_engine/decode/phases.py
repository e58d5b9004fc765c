"""A request being answered, in phases: draft, refine, rank and repair, go on.

`infill.py` puts the phases in a row; here is what each does with the model, and what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import torch

from dgedit_engine.decode import causal
from dgedit_engine.decode.canvas import Seed, seed_canvas, segment_sizes, text_ids
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import draft_of, mean_log, open_part
from dgedit_engine.decode.endings import cuts
from dgedit_engine.decode.loop import Refined, Refiner, Start
from dgedit_engine.decode.offers import offered
from dgedit_engine.decode.rank import Filling, Ranked, around, rank
from dgedit_engine.decode.repair import broken_tokens
from dgedit_engine.decode.shown import Shown
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.prompt import Prompt
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, InfillRequest, Origin, Phase, Step

CANVASES = 8
"""A hole may go on over so many canvases."""

_AHEAD = 0.05
"""Nats a token by which a canvas must be surer than the one that is shown to take its place."""


@dataclass(slots=True)
class Memory:
    """What the last request came to: where a warm start takes up."""

    prompt: Sequence[int] = ()
    """Its prompt."""
    holes: tuple[list[int], ...] = ()
    """The tokens that filled its holes."""


def encode(model: Model, cache: PromptCache, ids: Sequence[int]) -> None:
    """Make the cache hold exactly `ids`, encoding only what lies behind the prefix it holds
    already.
    """
    for start in range(cache.match(ids), len(ids), cache.chunk):
        with torch.inference_mode():
            new = torch.tensor([ids[start : start + cache.chunk]], device=cache.device)
            model.encode(new, cache)


class Work:
    """A request under way: its phases are streams of steps, of which the very last is held back,
    so that it can be the one that ends the whole stream.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        cache: PromptCache,
        sampling: Sampling,
        decoding: Decoding,
        request: InfillRequest,
        prompt: Prompt,
        refiner: Refiner,
    ) -> None:
        self.model, self.tokenizer, self.cache = model, tokenizer, cache
        self.sampling, self.decoding = sampling, decoding
        self.request, self.prompt, self.refiner = request, prompt, refiner
        self.generator = torch.Generator(device=cache.device).manual_seed(request.seed)
        self.index, self.total, self.earlier = 0, 0, model.forwards
        self.phase: Phase = "draft"
        self.held: Step | None = None
        self.before: tuple[list[int], ...] = ()
        self.sketches: list[Filling] = []
        self.fillings: list[Filling] = []
        self.ranked: list[Ranked] = []

    def origins(self, memory: Memory | None) -> list[Origin]:
        """Where each candidate comes from."""
        decoding = self.decoding
        each, count = decoding.origins, decoding.candidates
        found: list[Origin] = [each[place % len(each)] for place in range(count)]
        # the greedy draft is the same each time: it comes once, and who asks anew wants another
        again = 0 if self.request.seed else len(each)
        for place in range(again, count):
            found[place] = "sample" if found[place] == "draft" else found[place]
        same = memory is not None and len(memory.holes) == len(self.prompt.holes)
        if decoding.warm and memory and same and _edited(memory.prompt, self.prompt.ids):
            self.before = memory.holes
            found = ["warm", *found][:count]
        return found

    def draft(self, origins: Sequence[Origin]) -> Iterator[Step]:
        """Draft causally, as often as the origins ask for; such candidates are finished then."""
        if not {"draft", "sample", "revised"} & set(origins):
            return
        greedy = "draft" in origins or ("sample" not in origins and self.request.seed == 0)
        read = sum(causal.LONGEST + 2 + len(marker) for marker in self.prompt.markers)
        self.total = self.index + 2 + read // causal.SHOWN_EVERY
        drafts = causal.draft(
            self.model,
            self.tokenizer,
            self.cache,
            self.prompt,
            rows=max(1, origins.count("draft") + origins.count("sample")),
            greedy=greedy,
            heat=self.decoding.heat,
            generator=self.generator,
            following=self._following(),
        )
        stands: list[causal.Drafted] = []
        for stands in drafts:
            pairs = zip(stands[0].holes, stands[0].confidence, strict=True)
            shown = tuple(self._shown(ids, sure, [False] * len(ids)) for ids, sure in pairs)
            if all(one.over for one in stands):
                self.held = self._step(shown)
            else:
                yield self._step(shown)
        for one in stands:
            origin: Origin = "draft" if greedy and one is stands[0] else "sample"
            self.sketches += self._sketched(one, origin)
        asked = {"draft", "sample"} & set(origins)
        self.fillings = [one for one in self.sketches if one.origin in asked]

    def starts(self, origins: Sequence[Origin]) -> list[tuple[Origin, Start]]:
        """The canvases to refine, each at its place in the schedule."""
        found: list[tuple[Origin, Start]] = []
        sketches = iter(self._ranked(self.sketches) if "revised" in origins else [])
        lone, own = len(self.prompt.holes) == 1, self.model.config.canvas
        sizes = cycle(self.decoding.canvases if lone and self.decoding.canvases else (own,))
        for origin in origins:
            holes: tuple[list[int], ...] | None = None
            if origin == "revised" and (sketch := next(sketches, None)):
                holes = sketch.filling.holes
            elif origin == "warm":
                holes = self.before
            elif origin in ("draft", "sample"):
                continue
            if seed := self._revised(holes) if holes else None:
                found.append((origin, Start(seed, self._steps(self.decoding.revision))))
            else:  # from noise, or from the present text
                texts, strength = self.prompt.holes, self.request.strength
                found.append(("canvas", self._start(texts, strength, next(sizes))))
        return found

    def refine(
        self, starts: Sequence[tuple[Origin, Start]], phase: Phase = "refine"
    ) -> Iterator[Step]:
        """Refine canvases side by side; shown is the surest, or a finished infill while better."""
        if not starts:
            return
        done = self.ranked[0].drafts if self.ranked else self.held and self.held.drafts
        shown = Shown.of(self.request, done) if done else None
        yield from self._release()
        encode(self.model, self.cache, self.prompt.ids)
        self.phase = phase
        canvases = [start for _, start in starts]
        self.total = self.index + max(start.first for start in canvases)
        leader = 0
        stands: list[Refined] = []
        steps = self.refiner(canvases, self.sampling, self.generator)
        for taken, stands in enumerate(steps, start=1):
            sure = [_certainty(one, self.model.config.eos) for one in stands]
            best = max(range(len(sure)), key=sure.__getitem__)
            leader = best if sure[best] > sure[leader] + _AHEAD else leader
            drafts = self._drafts(stands[leader])
            shown = shown and shown.over(self.request, drafts)
            step = self._step(shown.drafts if shown else drafts)
            pairs = zip(stands, canvases, strict=True)
            if all(one.settled or taken >= start.first for one, start in pairs):
                self.held = step
            else:
                yield step
        for (origin, _), one in zip(starts, stands, strict=True):
            self.fillings.append(self._filling(one, origin))

    def rank_and_repair(self) -> Iterator[Step]:
        """Rank, and refine again what breaks the grammar, while the best one does."""
        self._rank()
        for _ in range(self.decoding.repairs):
            if not self.ranked[0].places:
                return
            before = len(self.fillings)
            yield from self.refine(self._repairs(), "repair")
            if len(self.fillings) == before:
                return
            self._rank()

    def go_on(self) -> Iterator[Step]:
        """Continue a lone hole whose text filled its canvas, behind the canvas."""
        while not (best := self.best).ended and self._continues(best):
            yield from self._release()
            encode(self.model, self.cache, self.prompt.ids + best.holes[0])
            texts = [self.prompt.holes[0][len(best.holes[0]) :]]
            start = self._start(texts, self.request.strength, self.model.config.canvas)
            self.phase, self.total = "continue", self.index + start.first
            for (one,) in self.refiner([start], self.sampling, self.generator):
                step = self._step(self._drafts(one, best))
                if one.settled or self.index == self.total:
                    self.held = step
                    whole = self._filling(one, best.origin, best)
                    self.fillings = [whole if f is best else f for f in self.fillings]
                else:
                    yield step
            self._rank()

    def end(self) -> Step:
        """The step that ends the stream: what is held back, with the best candidate's drafts."""
        best = self.ranked[0]
        filling = best.filling
        each = [[one.candidate(hole) for one in self.ranked] for hole in range(len(best.drafts))]
        open_end = len(filling.holes) == 1 and not filling.ended
        return replace(
            self._stand(best.drafts, best.score),
            last=True,
            stopped="settled" if filling.settled and not open_end else "cap",
            candidates=offered(self.request, each),
        )

    @property
    def best(self) -> Filling:
        """The best infill so far."""
        return self.ranked[0].filling

    def _release(self) -> Iterator[Step]:
        """What was held back, since it is not the last after all."""
        if self.held is not None:
            yield self.held
            self.held = None

    def _step(self, drafts: tuple[Draft, ...]) -> Step:
        self.index += 1
        return self._stand(drafts, mean_log(drafts))

    def _stand(self, drafts: tuple[Draft, ...], score: float) -> Step:
        total, passes = max(self.total, self.index), self.model.forwards - self.earlier
        return Step(self.index, total, drafts, score=score, phase=self.phase, forwards=passes)

    def _following(self) -> str:
        """The text behind a lone hole, which its drafts may run into."""
        return around(self.request)[1] if len(self.prompt.holes) == 1 else ""

    def _sketched(self, one: causal.Drafted, origin: Origin) -> list[Filling]:
        """A causal draft as a candidate, and the shorter ones that end where it may have."""
        whole = Filling(tuple(one.holes), tuple(one.confidence), origin, True, one.ended)
        if not self.decoding.cuts or len(one.holes) > 1:
            return [whole]
        lengths = cuts(
            one.written,
            one.ends,
            self._following(),
            self.tokenizer,
            count=self.decoding.cuts,
        )
        parts = [(one.written[:length], one.sure[:length]) for length in lengths]
        return [whole, *(Filling((ids,), (sure,), origin, True, True) for ids, sure in parts)]

    def _rank(self) -> None:
        self.ranked = self._ranked(self.fillings)

    def _ranked(self, fillings: Sequence[Filling]) -> list[Ranked]:
        return rank(
            fillings,
            model=self.model,
            tokenizer=self.tokenizer,
            cache=self.cache,
            prompt=self.prompt,
            request=self.request,
            decoding=self.decoding,
        )

    def _steps(self, strength: float) -> int:
        """The steps that so much noise is worth."""
        return max(1, math.ceil(strength * self.sampling.steps))

    def _start(self, texts: Sequence[list[int]], strength: float, canvas: int) -> Start:
        """A canvas of noise, or of the present texts under some."""
        sizes = segment_sizes(texts, self.prompt.markers, canvas)
        if self.decoding.slots is not None:
            sizes = [self.decoding.slots]
        return Start(self._seed(texts, sizes, strength), self._steps(strength))

    def _revised(self, holes: Sequence[list[int]]) -> Seed | None:
        """A canvas of a draft under noise; None where there is no text, or no room for it."""
        if not any(holes):
            return None
        sizes = segment_sizes(holes, self.prompt.markers, self.model.config.canvas)
        if any(len(hole) >= size for hole, size in zip(holes, sizes, strict=True)):
            return None
        return self._seed(holes, sizes, self.decoding.revision)

    def _seed(self, texts: Sequence[list[int]], sizes: Sequence[int], strength: float) -> Seed:
        return seed_canvas(
            texts,
            self.prompt.markers,
            sizes,
            end=self.model.config.eos[0],
            vocab=self.model.config.vocab,
            strength=strength,
            generator=self.generator,
        )

    def _repairs(self) -> list[tuple[Origin, Start]]:
        """Canvases of the candidates that break the grammar, noised where they do."""
        found: list[tuple[Origin, Start]] = []
        for one in self.ranked[: self.decoding.candidates]:
            holes = one.filling.holes
            sizes = segment_sizes(holes, self.prompt.markers, self.model.config.canvas)
            fits = all(len(hole) < size for hole, size in zip(holes, sizes, strict=True))
            places = broken_tokens(self.request, holes, one.places, self.tokenizer)
            if fits and any(places):
                seed = seed_canvas(
                    holes,
                    self.prompt.markers,
                    sizes,
                    end=self.model.config.eos[0],
                    vocab=self.model.config.vocab,
                    strength=1.0,
                    generator=self.generator,
                    places=places,
                )
                found.append(("repaired", Start(seed, self._steps(self.decoding.revision))))
        return found

    def _continues(self, filling: Filling) -> bool:
        """Whether a hole without an end may take one more canvas."""
        several = len(filling.holes) > 1 or self.decoding.slots is not None
        return not several and max(1, len(filling.slots)) < CANVASES

    def _filling(self, one: Refined, origin: Origin, before: Filling | None = None) -> Filling:
        """What a canvas came to; `before`, where it continues what earlier ones did."""
        done, known = (before.holes[0], before.confidence[0]) if before else ([], [])
        holes, confidence = [], []
        ended = True
        for segment in one.canvas.segments:
            length = len(text_ids(one.best, segment, self.model.config.eos))
            slots = slice(segment.start, segment.start + length)
            ids, sure = done + one.best[slots], known + one.confidence[slots]
            kept = open_part(ids, self.tokenizer, self.prompt.closing)
            ended = ended and (length < len(segment) or kept is not None)
            holes.append(ids[:kept])
            confidence.append(sure[:kept])
        return Filling(
            tuple(holes),
            tuple(confidence),
            origin,
            ended or self.decoding.slots is not None,
            one.settled and (before is None or before.settled),
            (*(before.slots if before else ()), *map(len, one.canvas.segments)),
        )

    def _drafts(self, one: Refined, before: Filling | None = None) -> tuple[Draft, ...]:
        """What each hole holds now, behind what earlier canvases settled."""
        done, known = (before.holes[0], before.confidence[0]) if before else ([], [])
        drafts = []
        for segment in one.canvas.segments:
            length = len(text_ids(one.best, segment, self.model.config.eos))
            slots = slice(segment.start, segment.start + length)
            accepted = [True] * len(done) + one.accepted[slots]
            drafts.append(
                self._shown(done + one.best[slots], known + one.confidence[slots], accepted)
            )
        return tuple(drafts)

    def _shown(
        self, ids: Sequence[int], confidence: Sequence[float], accepted: Sequence[bool]
    ) -> Draft:
        closing = self.prompt.closing
        return draft_of(ids, confidence, accepted, self.tokenizer, closing, ended=False)


def _certainty(one: Refined, ends: Sequence[int]) -> float:
    """Mean log-probability of a canvas's text and ends, in nats."""
    found = [
        math.log(max(one.confidence[slot], 1e-9))
        for segment in one.canvas.segments
        for slot in segment[: len(text_ids(one.best, segment, ends)) + 1]
    ]
    return sum(found) / len(found)


def _edited(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether one prompt became the other by an edit: they differ, but for less than half."""
    if before == now:
        return False
    shorter = min(len(before), len(now))
    same = next((at for at in range(shorter) if before[at] != now[at]), shorter)
    behind = next(
        (at for at in range(shorter - same) if before[-1 - at] != now[-1 - at]), shorter - same
    )
    return 2 * (same + behind) > max(len(before), len(now))
