"""Fill the holes of a window with a masked diffusion model: from masks to text, step by step.

The fixed text is a part of every window that is read and of no state that changes: only the slots
of holes are ever masked, filled, removed or added. A hole's length is chosen first, by how sure one
reading is of all its masks; a model that was trained for it (DreamOn) starts long instead, predicts
ends for slots too many and the mark to expand for one too few.

Knows ids and slots; neither text nor requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dgedit_engine.decode.masking import (
    Masking,
    SampledSlots,
    kept,
    many,
    masked_again,
    sampled,
)
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.model import Model

LENGTHS = (4, 8, 16, 32, 64)
"""Masks of a hole that are tried where the model does not choose: those of the published tables."""

_LOGITS = 128  # slots whose logits are computed at a time
_NEVER = 1e9


@dataclass(slots=True)
class MaskedHole:
    """The slots of one hole."""

    ids: list[int]
    """Their tokens, and masks."""
    free: list[bool]
    """Which began as masks."""
    best: list[int] = field(default_factory=list)
    """The tokens predicted last, of those that stay the tokens themselves."""
    sure: list[float] = field(default_factory=list)
    """Their probabilities."""

    @classmethod
    def of(cls, ids: Sequence[int], mask: int) -> MaskedHole:
        """Begin with these tokens, masks among them."""
        free = [token == mask for token in ids]
        return cls(list(ids), free, list(ids), [0.0 if one else 1.0 for one in free])

    def remove(self, slot: int) -> None:
        """Take a slot away."""
        for column in (self.ids, self.free, self.best, self.sure):
            del column[slot]

    def insert(self, slot: int, mask: int) -> None:
        """Add a mask before a slot."""
        self.ids.insert(slot, mask)
        self.free.insert(slot, True)
        self.best.insert(slot, mask)
        self.sure.insert(slot, 0.0)


@dataclass(slots=True)
class Unmasking:
    """A window under way."""

    model: Model
    cache: PromptCache
    fixed: Sequence[Sequence[int]]
    """The text before the first hole, between two, and behind the last one."""
    holes: list[MaskedHole]
    refresh: int = 1
    """Every so many readings the text before the first hole is read anew; between them its keys and
    values stay as they were.
    """
    _read: int = 0

    @property
    def mask(self) -> int:
        """The model's mask."""
        assert self.model.config.masks is not None
        return self.model.config.masks.mask

    @property
    def ids(self) -> list[int]:
        """All tokens, in order."""
        whole = list(self.fixed[0])
        for hole, text in zip(self.holes, self.fixed[1:], strict=True):
            whole += [*hole.ids, *text]
        return whole

    def masked(self) -> list[tuple[MaskedHole, int]]:
        """Return the slots that are masks."""
        return [
            (hole, slot)
            for hole in self.holes
            for slot, token in enumerate(hole.ids)
            if token == self.mask
        ]

    def free(self) -> list[tuple[MaskedHole, int]]:
        """Return the slots that began as masks."""
        return [(hole, slot) for hole in self.holes for slot, free in enumerate(hole.free) if free]

    def logits(self, slots: Sequence[tuple[MaskedHole, int]], *, anew: bool = False) -> Tensor:
        """Read the window -> the logits (n, V) of these slots, each at the token before it, or
        where the model has them; all of it where it is read `anew`.
        """
        place, starts = len(self.fixed[0]), list[int]()
        for hole, text in zip(self.holes, self.fixed[1:], strict=True):
            starts.append(place)
            place += len(hole.ids) + len(text)
        at = {id(hole): start for hole, start in zip(self.holes, starts, strict=True)}
        assert self.model.config.masks is not None
        lead = 0 if self.model.config.masks.aligned else 1
        rows = [max(0, at[id(hole)] + slot - lead) for hole, slot in slots]
        with torch.inference_mode():
            parts = torch.split(self._hidden(rows, anew=anew), _LOGITS)
            return torch.cat([self.model.logits(one) for one in parts])

    def _hidden(self, rows: Sequence[int], *, anew: bool) -> Tensor:
        """Read the window -> hidden (n, D) of these tokens, none before the last one of the text
        before the first hole.
        """
        ids = torch.tensor([self.ids], device=self.cache.device)
        first = max(0, len(self.fixed[0]) - 1)
        whole = any(layer.sliding for layer in self.model.config.layers) or not first
        if self.refresh == 1 or whole or anew:
            self._read = 0
            return self.model.window(ids, self.cache)[0, rows]
        self._read += 1
        if self._read % self.refresh == 1:
            hidden = self.model.window(ids, self.cache, saved=first)[0, rows]
            self.cache.commit(ids[:, :first])
            return hidden
        return self.model.denoise(ids[:, first:], self.cache)[0, [row - first for row in rows]]


def unmask(
    work: Unmasking,
    masking: Masking,
    steps: int,
    generator: torch.Generator | None,
    *,
    bar: bool = False,
) -> Iterator[None]:
    """Fill the masks in at most `steps` steps; yields after each. With `bar` none becomes the mark
    to expand, as no slot is added. Raises ModelError for logits that are not finite.
    """
    assert work.model.config.masks is not None
    expand = work.model.config.masks.expand if bar else None
    for step in range(steps):
        if not (left := work.masked()):
            return
        if masking.alg == "p2":
            _reconsider(work, masking, step, steps, generator)
        else:
            count = many(len(left), step, steps)
            barred = None if expand is None else (expand, [True] * len(left))
            _commit(work, left, masking, count, generator, barred=barred)
        yield


def grow(work: Unmasking, masking: Masking, generator: torch.Generator | None) -> Iterator[None]:
    """Fill the masks one by one, where the model says how many there should be: each hole holds at
    most `masking.slots`. Yields after each step.
    """
    assert work.model.config.masks is not None
    expand, end = work.model.config.masks.expand, work.model.config.eos[0]
    assert expand is not None
    room = masking.slots * len(work.holes)
    budget = 2 * room
    for _ in range(2 * room + 2 * budget):
        if not (left := work.masked()):
            return
        full = {id(hole) for hole in work.holes if len(hole.ids) >= masking.slots}
        barred = [budget <= 0 or id(hole) in full for hole, _ in left]
        _commit(work, left, masking, 1, generator, barred=(expand, barred))
        for hole in work.holes:
            if end in (hole.ids[slot] for slot, free in enumerate(hole.free) if free):
                _delete(hole, end, work.mask)
            for slot in range(len(hole.ids) - 1, -1, -1):
                if hole.free[slot] and hole.ids[slot] == expand:
                    hole.remove(slot)
                    for _ in range(2):
                        hole.insert(slot, work.mask)
                    budget -= 1
        yield


def lengths(work: Unmasking, tried: Sequence[int]) -> list[list[int]]:
    """Return for each hole the numbers of masks, the best one first: that of whose masks one
    reading is surest, in nats a mask. Each hole is tried with the others as they are, and then has
    its best one.
    """
    found = []
    for place, hole in enumerate(work.holes):
        if not all(hole.free):
            found.append([len(hole.ids)])
            continue
        worth: dict[int, float] = {}
        for length in dict.fromkeys(tried):
            work.holes[place] = one = MaskedHole.of([work.mask] * length, work.mask)
            logits = work.logits([(one, slot) for slot in range(length)], anew=True)
            worth[length] = float(logits.log_softmax(-1).amax(-1).mean())
        ranked = sorted(worth, key=lambda length: -worth[length])
        work.holes[place] = MaskedHole.of([work.mask] * ranked[0], work.mask)
        found.append(ranked)
    return found


def mask_doubtful(work: Unmasking, share: float) -> None:
    """Make masks of the share of the slots with text whose tokens the model finds least likely,
    read with all of them in their places.
    """
    slots = [
        (hole, slot)
        for hole in work.holes
        for slot, token in enumerate(hole.ids)
        if token != work.mask
    ]
    count = round(share * len(slots))
    if not count:
        return
    tokens = torch.tensor([hole.ids[slot] for hole, slot in slots], device=work.cache.device)
    odds = work.logits(slots, anew=True).log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    for place in odds.topk(count, largest=False).indices.tolist():
        hole, slot = slots[place]
        hole.ids[slot], hole.free[slot] = work.mask, True


def _commit(
    work: Unmasking,
    left: Sequence[tuple[MaskedHole, int]],
    masking: Masking,
    count: int,
    generator: torch.Generator | None,
    *,
    barred: tuple[int, Sequence[bool]] | None = None,
) -> None:
    """Read the masks that are left and let `count` of them become tokens, none of them the `barred`
    one in a slot where it is.
    """
    logits = work.logits(left)
    if barred is not None:
        token, where = barred
        less = torch.zeros_like(logits)
        less[:, token] = _NEVER * torch.tensor(where, device=logits.device).float()
        logits = logits - less
    if masking.alg == "origin":
        masking = replace(masking, alg_temp=0.0)
    reading = sampled(logits, masking, generator)
    _predict(left, reading)
    if count:
        for place in kept(reading.confidence, count, masking, generator).tolist():
            hole, slot = left[place]
            hole.ids[slot] = hole.best[slot]


def _reconsider(
    work: Unmasking,
    masking: Masking,
    step: int,
    steps: int,
    generator: torch.Generator | None,
) -> None:
    """Take a step of p2: of all slots that began as masks, the least confident become masks; those
    masks that are not among them take their tokens.
    """
    slots = work.free()
    reading = sampled(work.logits(slots), masking, generator)
    count = masked_again(len(slots), step, steps)
    order = reading.confidence.argsort(stable=True)
    again = set(order[:count].tolist())
    tokens, odds = reading.tokens.tolist(), reading.probability.tolist()
    for place, (hole, slot) in enumerate(slots):
        missing = hole.ids[slot] == work.mask
        if missing:
            hole.best[slot], hole.sure[slot] = tokens[place], odds[place]
        if place in again:
            hole.ids[slot] = work.mask
        elif missing:
            hole.ids[slot] = tokens[place]


def _predict(slots: Sequence[tuple[MaskedHole, int]], reading: SampledSlots) -> None:
    """Note what is predicted for the slots."""
    pairs = zip(slots, reading.tokens.tolist(), reading.probability.tolist(), strict=True)
    for (hole, slot), token, odds in pairs:
        hole.best[slot], hole.sure[slot] = token, odds


def _delete(hole: MaskedHole, end: int, mask: int) -> None:
    """Remove the ends that were predicted in a hole, and all masks to the right of the first."""
    first = next(at for at, one in enumerate(hole.ids) if hole.free[at] and one == end)
    for slot in range(len(hole.ids) - 1, first - 1, -1):
        if hole.free[slot] and hole.ids[slot] in (end, mask):
            hole.remove(slot)
