"""Tune a base on some texts, and measure whether that made it better.

    texts -> batches of holes -> an adapter under training -> its blend with the base -> a verdict

The blend is chosen on a third of the held-out spans, and judged on the others. A run goes on where
it stopped: its folder has the state. Knows texts and models; neither files of a project nor a
terminal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from dgedit_engine.model.config import load_config
from dgedit_engine.train import pretrained
from dgedit_engine.train.excerpts import Excerpts, TextList
from dgedit_engine.train.infill_examples import InfillBatch, InfillDraw, batched, lay_out
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.train.schedule import STATE, Diverged, append
from dgedit_engine.tune.fills import fill_spans
from dgedit_engine.tune.verdict import FORGETTING, Compared, Verdict, compared, rounded
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint

BLENDS = (1.0, 0.7, 0.5, 0.35)
"""Shares of the adapter that are tried."""

_THIRD = 3
_GLANCES = 4  # measurements in the course of a run
_GLANCED = 24  # spans of one
_MEASURED = 320  # tokens of an example that is measured

Span = tuple[str, str, int, int]
"""Path, text, start and end of a hole that is measured."""


@dataclass(frozen=True, slots=True)
class TunePlan:
    """All that decides a run, beside its texts."""

    base: Path
    """Folder or GGUF file of the base."""
    folder: Path
    """Where the adapter and the state are written."""
    name: str
    """The base's name, for the adapter's file."""
    recipe: LoraRecipe
    """How it is trained."""
    device: str = "cpu"
    """Where."""
    general: int = 6
    """Batches of other people's text that are measured, of each form."""
    fills: int = 16
    """Spans that are filled before and after; 0: none."""


@dataclass(frozen=True, slots=True)
class TuningStep:
    """How far a run is."""

    step: int
    share: float
    """Of the schedule, 0 to 1."""
    loss: float
    """Of this step, in nats a token of the holes."""
    tokens: int
    """Tokens so far."""
    held: float | None = None
    """The loss of some held-out spans, where it was just measured."""


def unfit(base: Path) -> str:
    """Say why a base cannot be tuned; empty if it can."""
    config = load_config(base)
    if config.family != "gemma3" or config.softcap is not None or not config.tied:
        return f"{config.family} models are not tuned, only Gemma 3 ones, as nano is"
    return ""


class Tuning:
    """A run: the base, its adapter, and the spans that are measured."""

    def __init__(
        self, plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]
    ) -> None:
        """Open the base. Raises ModelError for one that cannot be tuned, ValueError for spans none
        of which can be measured.
        """
        if words := unfit(plan.base):
            raise ModelError(f"{plan.base}: {words}")
        self.plan = plan
        tokenizer = pretrained.tokenizer_of(plan.base)
        recipe, general = plan.recipe, Excerpts(pretrained.EXCERPTS)
        texts = TextList([*train, *{one[0]: one[:2] for one in held}.values()])
        shortlist = pretrained.occurring(texts, tokenizer, least=1)
        shortlist += pretrained.occurring(general, tokenizer, least=1)
        model = checkpoint.load(
            load_config(plan.base),
            plan.base,
            device=plan.device,
            dtype=torch.bfloat16,
            activations=torch.float32,
        )
        pretrained.widen(model)
        self.run = LoraRun(model, recipe, shortlist)
        self._draw = InfillDraw(
            TextList(train),
            tokenizer,
            limit=recipe.limit,
            turned=recipe.turned,
            weights=recipe.weights(),
        )
        examples = [
            lay_out(text, (start, end), tokenizer, form="turned", limit=_MEASURED)
            for _, text, start, end in held
        ]
        self.spans = [one for one, found in zip(held, examples, strict=True) if found is not None]
        if not self.spans:
            raise ValueError("none of the held-out spans fits the model")
        self._batches = [batched([one], "turned") for one in examples if one is not None]
        forms = [InfillDraw(general, tokenizer, limit=_MEASURED, turned=one) for one in (0.0, 1.0)]
        count = range(plan.general)
        self._general = [one.batch(recipe.micro, seed=1, number=n) for one in forms for n in count]
        self.before: list[float] = []
        """The base's loss of each span, once it is measured."""
        self.elsewhere = 0.0
        """The base's loss of other people's text."""

    @property
    def begun(self) -> bool:
        """Whether the folder has a state to go on from."""
        return (self.plan.folder / STATE).is_file()

    def measure_base(self) -> float:
        """Measure the base -> its mean loss of the held-out spans."""
        self.before = self._losses(self._batches, base=True)
        self.elsewhere = rounded(self.run.measure(self._general, base=True))
        return float(np.mean(self.before))

    def resume(self) -> None:
        """Go on from the folder's state. Raises ValueError where it is not of this run."""
        try:
            self.run.resume(self.plan.folder)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{self.plan.folder / STATE} is not of this run: {reason}") from None

    def train(self) -> Iterator[TuningStep]:
        """Train until the clock or the step count ends. Raises Diverged for a loss that is no
        number, with the weights of the step before back in place.
        """
        run, recipe = self.run, self.plan.recipe
        started, first = time.monotonic(), run.progress
        glance = math.floor(first * _GLANCES) + 1
        while True:
            spent = (time.monotonic() - started) / 60 / recipe.minutes
            run.progress = min(1.0, first + spent if not recipe.steps else run.step / recipe.steps)
            if run.progress >= 1:
                return
            good = self._weights()
            batch = self._draw.batch(recipe.rows, seed=recipe.seed, number=run.step)
            values = run.update(batch)
            if not math.isfinite(float(values["norm"])):
                self._set(good)
                raise Diverged(f"the loss is no finite number at step {run.step}")
            held = None
            if run.progress * _GLANCES >= glance:
                glance += 1
                held = float(np.mean(self._losses(self._batches[:_GLANCED])))
            loss = float(values[batch.form])
            step = TuningStep(run.step, run.progress, loss, run.tokens, held)
            self._log(step)
            yield step

    def save(self) -> None:
        """Write the adapter and the state: each file whole or as it was."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.run.save(self.plan.folder, base=self.plan.name)
        except (RuntimeError, SafetensorError) as error:  # a full disk, in the libraries' words
            reason = str(error).splitlines()[0]
            raise OSError(f"{self.plan.folder} cannot be written: {reason}") from error

    def judge(self, stopped: str = "") -> Verdict:
        """Choose the blend, measure, and write the blended adapter to the folder's `model`."""
        whole = self._weights()
        third = range(0, len(self._batches), _THIRD)
        rest = [at for at in range(len(self._batches)) if at % _THIRD] or [0]
        tried = []
        for share in BLENDS:
            self._blend(whole, share)
            tried.append((np.mean(self._losses([self._batches[at] for at in third])), share))
        for _, share in sorted(tried):
            self._blend(whole, share)
            elsewhere = rounded(self.run.measure(self._general))
            if elsewhere < self.elsewhere * (1 + FORGETTING):
                break
        after = self._losses([self._batches[at] for at in rest])
        spans = [self.spans[at] for at in rest]
        before = [-self.before[at] for at in rest]  # of a figure that is compared more is better
        base, tuned, gain = compared(before, [-one for one in after], _files(spans))
        place = self.plan.folder / "model"
        self.run.adapter.save(place, base=self.plan.name)
        self._set(whole)
        return Verdict(
            before=-base,
            after=-tuned,
            gain=gain,
            spans=len(rest),
            files=len({one[0] for one in spans}),
            elsewhere=(self.elsewhere, elsewhere),
            blend=share,
            fills=self._fills(spans, place) if self.plan.fills else None,
            stopped=stopped,
        )

    def _fills(self, spans: Sequence[Span], place: Path) -> dict[str, Compared]:
        """Fill some spans with the base and with the tuned model, and compare."""
        count = min(self.plan.fills, len(spans))
        some = [spans[number * len(spans) // count] for number in range(count)]
        before, after = (
            fill_spans(self.plan.base, some, adapter=one, device=self.plan.device)
            for one in (None, place)
        )
        return {name: compared(before[name], after[name], _files(some)) for name in before}

    def _losses(self, batches: Sequence[InfillBatch], *, base: bool = False) -> list[float]:
        """Return the loss of each span, in nats a token of its hole."""
        return [self.run.measure([one], base=base)["turned"] for one in batches]

    def _log(self, step: TuningStep) -> None:
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        append(self.plan.folder / "log.jsonl", asdict(step))

    def _weights(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.run.adapter.state_dict()
        return {name: one.detach().clone() for name, one in state.items()}

    def _set(self, weights: dict[str, Tensor]) -> None:
        self.run.adapter.load_state_dict(weights)

    def _blend(self, whole: dict[str, Tensor], share: float) -> None:
        """Take a share of the adapter: half of it is half-way between the base's weights and the
        tuned ones.
        """
        halved = {
            name: one * share if name.endswith("lora_B") or name == "rows" else one
            for name, one in whole.items()
        }
        self._set(halved)


def _files(spans: Sequence[Span]) -> list[str]:
    return [path for path, *_ in spans]
