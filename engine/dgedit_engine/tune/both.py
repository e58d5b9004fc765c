"""Tune a DiffusionGemma: one adapter for its causal reading and that of its canvas.

What is measured is the mean of both: the nats of the hole's tokens read causally, and on a canvas
that is all noise or half of it, which a seed noises, the same before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import mean

import torch

from dgedit_engine.memory.devices import device_of, free_bytes
from dgedit_engine.memory.words import rounded_down
from dgedit_engine.model.config import load_config
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.train import both_memory, pretrained
from dgedit_engine.train.both_examples import AnswerDraw, lay_out
from dgedit_engine.train.both_memory import TrainingNeed
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.both_run import BothRun
from dgedit_engine.train.excerpts import Excerpts, TextList
from dgedit_engine.tune.learner import Span, TunePlan
from dgedit_engine.weights import checkpoint

_DTYPE = torch.bfloat16
_GENERAL = 8  # examples of a batch of other people's text


class BothLearner:
    """An adapter of both readings under training, with what it is measured on."""

    whole = False

    def __init__(
        self, plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]
    ) -> None:
        """Open the base. Raises ModelError for one that cannot be opened, or does not fit."""
        recipe = plan.recipe
        assert isinstance(recipe, BothRecipe)
        need = _need(plan.base, recipe, plan.device)
        self._name, config = plan.name, load_config(plan.base)
        words, slots = Tokenizer(pretrained.tokenizer_of(plan.base)), recipe.sizes(config.canvas)
        limit, end, most = recipe.limit, config.eos[0], max(slots)

        def draw(texts: TextList) -> AnswerDraw:
            return AnswerDraw(texts, words, limit=limit, slots=slots, end=end)

        self._draw = draw(TextList(train))
        examples = [
            lay_out(text, (start, stop), words, path=path, limit=limit, slots=most, end=end)
            for path, text, start, stop in held
        ]
        self.spans = [one for one, found in zip(held, examples, strict=True) if found is not None]
        self._examples = [one for one in examples if one is not None]
        general = draw(Excerpts(pretrained.EXCERPTS))
        self._general = [
            one
            for number in range(plan.general)
            for one in general.batch(_GENERAL, seed=1, number=number)
        ]
        device = device_of(plan.device)
        model = checkpoint.load(
            config,
            plan.base,
            device=device,
            dtype=_DTYPE,
            activations=torch.float32 if device.type == "cpu" else None,
        )
        self.run = BothRun(model, recipe, again=need.again)

    def update(self) -> float:
        """See `Learner`."""
        run, recipe = self.run, self.run.recipe
        values = run.update(self._draw.batch(recipe.rows, seed=recipe.seed, number=run.step))
        return _mean({name: float(values[name]) for name in ("causal", "canvas")})

    def blended(self, share: float) -> AbstractContextManager[None]:
        """See `Learner`."""
        return self.run.adapter.blended(share)

    def losses(self, places: Iterable[int]) -> list[float]:
        """See `Learner`."""
        return [_mean(self.run.measure([self._examples[at]])) for at in places]

    def elsewhere(self) -> float:
        """See `Learner`."""
        return _mean(self.run.measure(self._general))

    def save(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.save(folder, base=self._name)

    def resume(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.resume(folder)

    def write(self, place: Path) -> None:
        """See `Learner`."""
        self.run.adapter.save(place, base=self._name, dtype=_DTYPE)


def needed(base: Path, recipe: BothRecipe, device: str) -> str:
    """Say what training takes of a device's memory. Raises TooLarge, with the same, where it does
    not fit.
    """
    need, free = _need(base, recipe, device), free_bytes(device_of(device))
    return f"{both_memory.said(need)}, {device} has {rounded_down(free)} GB free"


def _need(base: Path, recipe: BothRecipe, device: str) -> TrainingNeed:
    place = device_of(device)
    return both_memory.check(base, recipe, free_bytes(place), device=str(place), dtype=_DTYPE)


def _mean(found: Mapping[str, float]) -> float:
    """The mean of both readings' losses; a short hole may have no noise on half a canvas."""
    return mean((found["causal"], mean(one for name, one in found.items() if name != "causal")))
