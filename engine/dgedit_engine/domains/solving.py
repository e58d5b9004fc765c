"""Solve boards with a model: as the engine does, and in the ways that it is compared with.

All ways read the same canvas with the same weights, and givens are pinned in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_engine.decode import loop
from dgedit_engine.decode.canvas import Canvas, Seed
from dgedit_engine.domains.domain import Board, Domain
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.layout import BOS, SPECIALS


@dataclass(frozen=True, slots=True)
class Solved:
    """What a way of solving found."""

    text: str
    """A character for each slot."""
    steps: int
    """Passes of the model."""


class Solver:
    """A model of a domain, ready for boards."""

    def __init__(self, model: Model, domain: Domain) -> None:
        self.model, self.domain = model, domain
        self.cache = KVCache(model.config, dtype=model.embedding.dtype)
        with torch.inference_mode():
            model.encode(torch.tensor([[BOS]]), self.cache)

    def refined(self, board: Board, sampling: Sampling, *, seed: int = 0) -> Solved:
        """Solve as the engine does: all blanks at once, in at most `sampling.steps` steps."""
        generator = torch.Generator().manual_seed(seed)
        canvas = self.canvas(board, generator)
        start = loop.Start(Seed(canvas, canvas.fixed), sampling.steps)
        refiner = loop.EagerRefiner(self.model, self.cache)
        best: Sequence[int] = ()
        steps = 0
        for (one,) in loop.refine(refiner, [start], sampling, generator, shrinking=False):
            best, steps = one.best, steps + 1
        return Solved(self._text(best), steps)

    def certain_first(self, boards: Sequence[Board]) -> list[Solved]:
        """Fill one blank a pass, the one that the model is most certain of; boards of one size."""
        return self._one_by_one(boards, lambda entropy: entropy.argmin(-1))

    def left_to_right(self, boards: Sequence[Board]) -> list[Solved]:
        """Fill one blank a pass, in reading order; boards of one size."""
        return self._one_by_one(boards, lambda entropy: entropy.isfinite().int().argmax(-1))

    @torch.inference_mode()
    def _one_by_one(
        self, boards: Sequence[Board], choose: Callable[[Tensor], Tensor]
    ) -> list[Solved]:
        """Fill the blanks of all boards side by side; `choose` takes the entropies (B, C), infinite
        where nothing is missing, and returns a slot of each (B,).
        """
        canvases = [self.canvas(board, torch.Generator().manual_seed(0)) for board in boards]
        ids = torch.cat([one.ids for one in canvases])
        fixed = torch.cat([one.fixed for one in canvases])
        blanks = (~fixed).sum(-1).tolist()
        borne = [one.marks for one in canvases if one.marks is not None]
        marks = torch.cat(borne) if borne else None
        tokens = torch.tensor(self.domain.ids(boards[0].choices))
        cache = KVCache(self.model.config, batch=len(boards), dtype=self.cache.dtype)
        self.model.encode(torch.full((len(boards), 1), BOS), cache)
        rows = torch.arange(len(boards))
        while not fixed.all():
            logits = self.model.logits(self.model.denoise(ids, cache, marks=marks))
            probs = logits[..., tokens].softmax(-1)
            entropy = torch.special.entr(probs).sum(-1).masked_fill(fixed, torch.inf)
            left = ~fixed.all(-1)
            slot = choose(entropy)[left]
            ids[rows[left], slot] = tokens[probs[rows[left], slot].argmax(-1)]
            fixed[rows[left], slot] = True
        return [
            Solved(self._text(row), count) for row, count in zip(ids.tolist(), blanks, strict=True)
        ]

    def canvas(self, board: Board, generator: torch.Generator) -> Canvas:
        """Return a board's canvas, noise in its blanks."""
        gold = torch.tensor([self.domain.ids(board.text)])
        given = torch.tensor([board.given])
        noise = torch.randint(self.model.config.vocab, gold.shape, generator=generator)
        return Canvas(
            torch.where(given, gold, noise),
            given,
            (range(gold.shape[1]),),
            torch.where(given, -1, 0),
            (torch.tensor(self.domain.ids(board.choices)),),
            torch.tensor([board.marks]) if board.marks else None,
        )

    def _text(self, ids: Sequence[int]) -> str:
        return "".join(self.domain.characters[one - len(SPECIALS)] for one in ids)
