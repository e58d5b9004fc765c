"""Tune a base that has one reading: an adapter of it.

Gemma 3's and Llama's shapes, read from left to right, and masked diffusion models, read in both
directions. Holes are laid out as the base's requests are (`train/infill_draw.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

import torch

from dgedit_engine.memory.devices import device_of, free_bytes
from dgedit_engine.memory.plan import TooLarge
from dgedit_engine.memory.words import rounded_down, rounded_up
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.train import pretrained
from dgedit_engine.train.excerpts import Excerpts, TextList
from dgedit_engine.train.infill_draw import InfillDraw
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.train.schedule import Diverged
from dgedit_engine.tune.learner import MEASURED, Span, TunePlan
from dgedit_engine.tune.verdict import rounded
from dgedit_engine.weights import checkpoint

_DTYPE = torch.bfloat16


class AdapterLearner:
    """An adapter under training, with what it is measured on."""

    whole = False

    def __init__(
        self, plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]
    ) -> None:
        """Open the base. Raises ModelError for one that cannot be opened."""
        recipe = plan.recipe
        assert isinstance(recipe, LoraRecipe)
        self._name, general = plan.name, Excerpts(pretrained.EXCERPTS)
        tokenizer = pretrained.tokenizer_of(plan.base)
        format = pretrained.format_of(plan.base, tokenizer)
        self._draw = InfillDraw(
            TextList(train),
            tokenizer,
            limit=recipe.limit,
            turned=recipe.turned,
            weights=recipe.weights(),
            format=format,
        )
        forms = [
            InfillDraw(general, tokenizer, limit=MEASURED, turned=turned, format=format)
            for turned in ((0.0, 1.0) if format.form is None else (1.0,))
        ]
        examples = [
            forms[-1].laid_out(text, (start, end), "turned") for _, text, start, end in held
        ]
        self.spans = [one for one, found in zip(held, examples, strict=True) if found is not None]
        found = [one for one in examples if one is not None]
        self._batches = [forms[-1].measured(one, seed=at) for at, one in enumerate(found)]
        numbers = range(plan.general)
        self._general = [
            one.batch(recipe.micro, seed=1, number=number) for one in forms for number in numbers
        ]
        texts = TextList([*train, *{one[0]: one[:2] for one in held}.values()])
        shortlist = pretrained.occurring(texts, tokenizer, least=1)
        shortlist += pretrained.occurring(general, tokenizer, least=1)
        for batch in (*chain(*self._batches), *self._general):  # an end, parts of words at a cut
            targets = batch.ids if batch.targets is None else batch.targets
            shortlist += targets.flatten().tolist()
        model = checkpoint.load(
            load_config(plan.base),
            plan.base,
            device=plan.device,
            dtype=_DTYPE,
            activations=torch.float32,
        )
        pretrained.widen(model)
        self.run = LoraRun(model, recipe, shortlist)

    def update(self) -> float:
        """See `Learner`."""
        run, recipe = self.run, self.run.recipe
        good = run.adapter.weights()
        batch = self._draw.batch(recipe.rows, seed=recipe.seed, number=run.step)
        values = run.update(batch)
        if not math.isfinite(float(values["norm"])):
            run.adapter.load_state_dict(good)
            raise Diverged(f"the loss is no finite number at step {run.step}")
        return float(values[batch.form])

    def blended(self, share: float) -> AbstractContextManager[None]:
        """See `Learner`."""
        return self.run.adapter.blended(share)

    def losses(self, places: Iterable[int]) -> list[float]:
        """See `Learner`."""
        spans = (self._batches[at] for at in places)
        return [self.run.measure(batches)[batches[0].form] for batches in spans]

    def elsewhere(self) -> float:
        """See `Learner`."""
        return rounded(self.run.measure(self._general))

    def save(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.save(folder, base=self._name)

    def resume(self, folder: Path) -> None:
        """See `Learner`."""
        self.run.resume(folder)

    def write(self, place: Path) -> None:
        """See `Learner`."""
        self.run.adapter.save(place, base=self._name)


def check_room(base: Path, device: str) -> None:
    """Raise TooLarge for a base whose weights alone do not fit a device, as they are when an
    adapter is trained beside them: all of them as numbers.
    """
    with torch.device("meta"):
        model = Model(load_config(base))
    size = sum(one.numel() for one in model.parameters()) * _DTYPE.itemsize
    if size > (free := free_bytes(device_of(device))):
        words = f"training needs {rounded_up(size)} GB for the weights alone"
        raise TooLarge(f"{base}: {words}, {device} has {rounded_down(free)} GB free")
