"""Choose where a request's candidates come from, and make the canvases that are refined.

A canvas starts from noise, from the present text or a draft under some noise, or from an infill
with noise where it has syntax errors, or behind what the causal reading agrees with. Knows neither
the model's layers nor how canvases are refined.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import cycle

from dgedit_engine.decode.canvas import Seed, seed_canvas, segment_sizes
from dgedit_engine.decode.loop import Start
from dgedit_engine.decode.rank import Filling, Ranked, agreement, around, rank
from dgedit_engine.decode.repair import broken_tokens
from dgedit_engine.decode.widths import width
from dgedit_engine.decode.work import Work
from dgedit_engine.types import Origin

Holes = Sequence[list[int]]
"""Each hole's tokens."""


@dataclass(slots=True)
class Memory:
    """The last request's prompt and infill, from which a warm start begins."""

    prompt: Sequence[int] = ()
    """Its ids."""
    holes: Holes = ()
    """The tokens that filled its holes."""


def recalled(work: Work, memory: Memory | None) -> Holes:
    """Return the tokens that filled the same holes before an edit; none where there is nothing to
    begin a warm start from.
    """
    if memory is None or not work.decoding.warm or len(memory.holes) != len(work.prompt.holes):
        return ()
    return memory.holes if _edited(memory.prompt, work.prompt.ids) else ()


def origins(work: Work, before: Holes) -> list[Origin]:
    """Return the origin of each candidate; `before` is what was `recalled`."""
    each, count = work.decoding.origins, work.decoding.candidates
    found: list[Origin] = [each[place % len(each)] for place in range(count)]
    # the greedy draft is the same each time: it comes once, and who asks anew wants another
    again = 0 if work.request.seed and not work.request.exact else len(each)
    for place in range(again, count):
        found[place] = "sample" if found[place] == "draft" else found[place]
    return ["warm", *found][:count] if before else found


def starts(
    work: Work, origins: Sequence[Origin], sketches: Sequence[Filling], before: Holes
) -> list[tuple[Origin, Start]]:
    """Make the canvases to refine, each at its place in the schedule. The best `sketches` are
    revised, and `before` where an origin is warm.
    """
    found: list[tuple[Origin, Start]] = []
    best = iter(rank(work, sketches) if "revised" in origins else [])
    lone, own = len(work.prompt.holes) == 1, work.model.config.canvas
    sizes = cycle(work.decoding.canvases if lone and work.decoding.canvases else (own,))
    if lone and work.decoding.fitted:
        tail = max(1, len(work.prompt.tail))
        sizes = cycle((width(*around(work.request), work.tokenizer.encode, own=own, tail=tail),))
    for origin in origins:
        if origin in ("draft", "sample"):
            continue
        holes: Holes = before if origin == "warm" else ()
        if origin == "revised" and (sketch := next(best, None)):
            holes = sketch.filling.holes
        if seed := _revised(work, holes):
            found.append((origin, Start(seed, _steps(work, work.decoding.revision))))
        else:
            found.append(("canvas", fresh(work, work.prompt.holes, next(sizes))))
    return found


def fresh(work: Work, texts: Holes, canvas: int) -> Start:
    """Make a canvas of noise, or of the present texts under some noise."""
    strength = work.request.strength
    templates = work.prompt.templates
    tail = max(1, len(work.prompt.tail))
    sizes = segment_sizes(texts, work.prompt.markers, canvas, templates, tail=tail)
    if work.decoding.slots is not None and not templates:
        sizes = [work.decoding.slots]
    grows = work.decoding.fitted and len(texts) == 1 and not templates
    most = work.model.config.canvas if grows and work.decoding.slots is None else 0
    return Start(_seed(work, texts, sizes, strength), _steps(work, strength), most)


def repairs(work: Work, ranked: Sequence[Ranked]) -> list[tuple[Origin, Start]]:
    """Make canvases of the candidates with syntax errors, noised where these are."""
    found: list[tuple[Origin, Start]] = []
    for one in ranked[: work.decoding.candidates]:
        holes = one.filling.holes
        sizes = _fitting(work, holes)
        places = broken_tokens(work.request, holes, one.places, work.tokenizer)
        if sizes and any(places):
            seed = _seed(work, holes, sizes, 1.0, places)
            found.append(("repaired", Start(seed, _steps(work, work.decoding.revision))))
    return found


def renoised(work: Work, filling: Filling) -> list[tuple[Origin, Start]]:
    """Make a canvas of an infill, noised from the first token on that the causal reading would not
    have written; none where there is no such token, or no room.
    """
    agreed = [row.index(False) if False in row else None for row in agreement(work, filling)]
    first = next((hole for hole, at in enumerate(agreed) if at is not None), None)
    if first is None:
        return []
    known = [ids if hole < first else [] for hole, ids in enumerate(filling.holes)]
    known[first] = filling.holes[first][: agreed[first]]
    if not (sizes := _fitting(work, filling.holes) or _fitting(work, known)):
        return []
    places = [
        range(len(ids) if hole >= first else size, size)
        for hole, (ids, size) in enumerate(zip(known, sizes, strict=True))
    ]
    seed = _seed(work, known, sizes, 1.0, places)
    return [("repaired", Start(seed, _steps(work, 1.0)))]


def _revised(work: Work, holes: Holes) -> Seed | None:
    """Make a canvas of a draft under noise; None where there is no text, or no room for it."""
    sizes = _fitting(work, holes) if any(holes) else None
    return _seed(work, holes, sizes, work.decoding.revision) if sizes else None


def _fitting(work: Work, holes: Holes) -> list[int] | None:
    """Return the slots for each hole's tokens and an end; None where these do not fit."""
    sizes = segment_sizes(holes, work.prompt.markers, work.model.config.canvas)
    ends = [1] * (len(sizes) - 1) + [max(1, len(work.prompt.tail) - 1)]  # padding needs no room
    rows = zip(holes, ends, sizes, strict=True)
    fits = all(len(hole) + end <= size for hole, end, size in rows)
    return sizes if fits else None


def _seed(
    work: Work,
    texts: Holes,
    sizes: Sequence[int],
    strength: float,
    places: Sequence[Container[int]] | None = None,
) -> Seed:
    return seed_canvas(
        texts,
        work.prompt.markers,
        sizes,
        end=work.model.config.eos[0],
        vocab=work.model.config.vocab,
        strength=strength,
        generator=work.generator,
        places=places,
        templates=work.prompt.templates,
        tail=work.prompt.tail,
    )


def _steps(work: Work, strength: float) -> int:
    """Return how many steps so much noise takes."""
    return max(1, math.ceil(strength * work.sampling.steps))


def _edited(before: Sequence[int], now: Sequence[int]) -> bool:
    """Say whether one prompt became the other by an edit: they differ, but for less than half."""
    if before == now:
        return False
    shorter = min(len(before), len(now))
    same = next((at for at in range(shorter) if before[at] != now[at]), shorter)
    behind = next(
        (at for at in range(shorter - same) if before[-1 - at] != now[-1 - at]), shorter - same
    )
    return 2 * (same + behind) > max(len(before), len(now))
