"""Tune a base on some texts, and measure whether that made it better.

    texts -> batches of holes -> a model that learns -> its blend with the base -> a verdict

The blend is chosen on a third of the held-out spans, and judged on the others. A run goes on where
it stopped: its folder has the state. What is trained is behind `Learner`. Knows neither files of a
project nor a terminal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from dgedit_engine.train.schedule import STATE, append
from dgedit_engine.tune.fills import fill_spans
from dgedit_engine.tune.kinds import learner_of
from dgedit_engine.tune.learner import Span, TunePlan
from dgedit_engine.tune.verdict import FORGETTING, Compared, Verdict, compared

BLENDS = (1.0, 0.7, 0.5, 0.35)
"""Shares of the change that are tried."""

_THIRD = 3
_GLANCES = 4  # measurements in the course of a run
_GLANCED = 24  # spans of one, at most


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


class Tuning:
    """A run: the model that learns, and what it is compared with."""

    def __init__(
        self, plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]
    ) -> None:
        """Open the base. Raises ModelError for one that cannot be tuned, ValueError for spans none
        of which can be measured.
        """
        self.plan = plan
        self.learner = learner_of(plan, train, held)
        if not self.learner.spans:
            raise ValueError("none of the held-out spans fits the model")
        self.before: list[float] = []
        """The base's loss of each span, once it is measured."""
        self.elsewhere = 0.0
        """The base's loss of other people's text."""

    @property
    def spans(self) -> Sequence[Span]:
        """The spans that are measured."""
        return self.learner.spans

    @property
    def glanced(self) -> float:
        """The base's mean loss of those spans that are measured in the course of a run."""
        return float(np.mean([self.before[at] for at in self._glanced()]))

    @property
    def steps(self) -> int:
        """Steps so far."""
        return self.learner.run.step

    @property
    def begun(self) -> bool:
        """Whether the folder has a state to go on from."""
        return (self.plan.folder / STATE).is_file()

    def measure_base(self) -> float:
        """Measure the base -> its mean loss of the held-out spans."""
        with self.learner.blended(0.0):
            self.before = self.learner.losses(range(len(self.spans)))
            self.elsewhere = self.learner.elsewhere()
        return float(np.mean(self.before))

    def resume(self) -> None:
        """Go on from the folder's state. Raises ValueError where it is not of this run."""
        words = f"{self.plan.folder / STATE} is not of this run: "
        try:
            self.learner.resume(self.plan.folder)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0].removeprefix(words)
            raise ValueError(f"{words}{reason}") from None

    def train(self) -> Iterator[TuningStep]:
        """Train until the clock or the step count ends. Raises Diverged for a loss that is no
        number, with the weights of the step before back in place.
        """
        learner, run, recipe = self.learner, self.learner.run, self.plan.recipe
        started, first = time.monotonic(), run.progress
        glance = math.floor(first * _GLANCES) + 1
        while True:
            spent = (time.monotonic() - started) / 60 / recipe.minutes
            run.progress = min(1.0, first + spent if not recipe.steps else run.step / recipe.steps)
            if run.progress >= 1:
                return
            loss, held = learner.update(), None
            if run.progress * _GLANCES >= glance:
                glance += 1
                with learner.blended(1.0):
                    held = float(np.mean(learner.losses(self._glanced())))
            step = TuningStep(run.step, run.progress, loss, run.tokens, held)
            self._log(step)
            yield step

    def save(self) -> None:
        """Write the state: each file whole or as it was."""
        with _writing(self.plan.folder):
            self.learner.save(self.plan.folder)

    def judge(self, stopped: str = "") -> Verdict:
        """Choose the blend, measure, and write what is blended to the folder's `model`."""
        learner, count = self.learner, len(self.spans)
        third = range(0, count, _THIRD)
        rest = [at for at in range(count) if at % _THIRD] or [0]
        tried = []
        for share in BLENDS:
            with learner.blended(share):
                tried.append((np.mean(learner.losses(third)), share))
        for _, share in sorted(tried):
            with learner.blended(share):
                elsewhere = learner.elsewhere()
            if elsewhere < self.elsewhere * (1 + FORGETTING):
                break
        place = self.plan.folder / "model"
        with learner.blended(share):
            after = learner.losses(rest)
            with _writing(place):
                learner.write(place)
        spans = [self.spans[at] for at in rest]
        before = [-self.before[at] for at in rest]  # of a figure that is compared more is better
        base, tuned, gain = compared(before, [-one for one in after], _files(spans))
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
        base, whole = self.plan.base, self.learner.whole
        tuned: tuple[Path, Path | None] = (place, None) if whole else (base, place)
        before, after = (
            fill_spans(model, some, adapter=adapter, device=self.plan.device)
            for model, adapter in ((base, None), tuned)
        )
        return {name: compared(before[name], after[name], _files(some)) for name in before}

    def _glanced(self) -> range:
        """Some spans, evenly among all."""
        count = len(self.spans)
        return range(0, count, -(-count // _GLANCED))

    def _log(self, step: TuningStep) -> None:
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        append(self.plan.folder / "log.jsonl", asdict(step))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make a folder, and turn a full disk, in the libraries' words, into an OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"{folder} cannot be written: {reason}") from error


def _files(spans: Sequence[Span]) -> list[str]:
    return [path for path, *_ in spans]
