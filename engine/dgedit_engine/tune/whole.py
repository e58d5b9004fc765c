"""Tune tiny, or a model of its kind: all of its weights, by the recipe that made it.

What is measured is the canvas's own loss: the nats of the hole's tokens that are noise, on canvases
that a seed noises, the same before and after.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from dgedit_engine.decode import decoding
from dgedit_engine.model import ability
from dgedit_engine.model.config import home, load_config, load_sampling, save_config
from dgedit_engine.model.model import Model
from dgedit_engine.train import feed, held_out, pretrained
from dgedit_engine.train.examples import Batch, Draw, lone
from dgedit_engine.train.excerpts import Excerpts, TextList
from dgedit_engine.train.loop import TrainingRun, fill, weights_of
from dgedit_engine.train.recipe import Recipe
from dgedit_engine.train.schedule import Diverged
from dgedit_engine.tune.learner import MEASURED, Span, TunePlan
from dgedit_engine.weights import checkpoint

SHAPES = ((256, 32), (256, 64), (256, 16), (512, 32))
"""Prompt tokens and canvas slots of the batches, in turn."""
TOKENS = 2048
"""Prompt tokens of a step."""

_CANVASES = (16, 32, 64, 128)
_COPIES = 4  # canvases of a span that is measured
_GENERAL = 8  # examples of a batch of other people's text
_FILES = ("tokenizer.json", decoding.FILE, ability.FILE)


class WholeLearner:
    """A model all of whose weights are trained, with what it is measured on."""

    whole = True

    def __init__(
        self, plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]
    ) -> None:
        """Open the base. Raises ModelError for one that cannot be opened."""
        recipe = plan.recipe
        assert isinstance(recipe, Recipe)
        self._base, self._device = plan.base, plan.device
        tokenizer = pretrained.tokenizer_of(plan.base)
        self._make = feed.in_turn(
            TextList(train), tokenizer, SHAPES, tokens=TOKENS, seed=recipe.seed
        )
        batches = [
            lone(text, (start, end), tokenizer, budget=MEASURED, path=path, canvases=_CANVASES)
            for path, text, start, end in held
        ]
        self.spans = [one for one, found in zip(held, batches, strict=True) if found is not None]
        self._batches = [one for one in batches if one is not None]
        draw = Draw(Excerpts(pretrained.EXCERPTS), tokenizer, *SHAPES[0])
        self._general = [
            draw.batch(_GENERAL, seed=1, number=number) for number in range(plan.general)
        ]
        config = load_config(plan.base)
        model = Model(config, activations=torch.bfloat16)
        loaded = checkpoint.load(config, plan.base, dtype=torch.float32)
        model.load_state_dict(loaded.state_dict())
        self.run = TrainingRun(model, recipe, device=plan.device)
        self._before = weights_of(self.run.model)

    def update(self) -> float:
        """See `Learner`."""
        run = self.run
        live = weights_of(run.model)
        average = {name: one.clone() for name, one in run.average.items()}
        values = run.update(self._make(run.step))
        if not math.isfinite(float(values["norm"])):
            fill(run.model, live)
            run.average = average
            raise Diverged(f"the loss is no finite number at step {run.step}")
        return float(values["text"])

    @contextmanager
    def blended(self, share: float) -> Iterator[None]:
        """See `Learner`; the tuned weights are those averaged over the last steps."""
        run, live = self.run, weights_of(self.run.model)
        fill(run.model, _between(self._before, run.average, share))
        try:
            yield
        finally:
            fill(run.model, live)

    def losses(self, places: Iterable[int]) -> list[float]:
        """See `Learner`."""
        return [self._measured([self._batches[at]], seed=at) for at in places]

    def elsewhere(self) -> float:
        """See `Learner`."""
        return self._measured(self._general, seed=1)

    def save(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.keep(folder)

    def resume(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.resume(folder)

    def write(self, place: Path) -> None:
        """See `Learner`."""
        place.mkdir(parents=True, exist_ok=True)
        checkpoint.save(self.run.model, place / checkpoint.SINGLE)
        save_config(self.run.model.config, load_sampling(self._base), place)
        for name in _FILES:
            if (home(self._base) / name).is_file():
                shutil.copyfile(home(self._base) / name, place / name)

    def _measured(self, batches: Sequence[Batch], *, seed: int) -> float:
        """The mean nats of the batches' tokens of holes that are noise."""
        model, device = self.run.model.eval(), self._device
        return held_out.measure(model, batches, seed=seed, device=device, copies=_COPIES)["text"]


def _between(one: dict[str, Tensor], other: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    return {name: torch.lerp(value, other[name], share) for name, value in one.items()}
