"""Solve boards with a model: as the engine does, and in the ways that it is compared with.

All ways read the same canvas with the same weights, and givens are pinned in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_engine.decode import loop, sampler
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

    def certain_first(self, board: Board) -> Solved:
        """Fill one blank a pass, the one that the model is most certain of."""
        return self._one_by_one(board, lambda entropy: int(entropy.argmin()))

    def left_to_right(self, board: Board) -> Solved:
        """Fill one blank a pass, in reading order."""
        return self._one_by_one(board, lambda entropy: int(entropy.isfinite().nonzero()[0]))

    @torch.inference_mode()
    def _one_by_one(self, board: Board, choose: Callable[[Tensor], int]) -> Solved:
        generator = torch.Generator().manual_seed(0)
        canvas = self.canvas(board, generator)
        ids, fixed = canvas.ids.clone(), canvas.fixed.clone()
        assert canvas.kinds is not None
        steps = 0
        while not fixed.all():
            logits = self.model.logits(self.model.denoise(ids, self.cache, marks=canvas.marks))
            probs = sampler.confine(logits, canvas.kinds, canvas.choices).softmax(-1)
            entropy = torch.special.entr(probs).sum(-1).masked_fill(fixed, torch.inf)
            slot = choose(entropy[0])
            ids[0, slot], fixed[0, slot] = probs[0, slot].argmax(), True
            steps += 1
        return Solved(self._text(ids[0].tolist()), steps)

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
