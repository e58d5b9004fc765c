"""Train by the clock: batches in, a log out, as many steps as there is time for.

The learning rate follows the progress, so a run of `minutes` always ends annealed, on any machine;
one of a number of steps repeats. Steps never wait for the device: the log's values add up there and
are read when an entry is due. Knows no model and no loss.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

STATE = "state.pt"
"""Name of the file from which a run goes on."""

Batch = TypeVar("Batch", contravariant=True)


class Diverged(Exception):
    """The loss is no finite number; the last good weights are in place."""


class Timed(Protocol):
    """The fields of a recipe that decide how long a run takes."""

    @property
    def minutes(self) -> float:
        """Minutes of wall-clock that the schedule takes."""

    @property
    def steps(self) -> int | None:
        """Steps of the schedule instead."""


class Trainable(Protocol, Generic[Batch]):
    """A training run, as the schedule sees it."""

    step: int
    """Steps so far."""
    tokens: int
    """Tokens so far."""
    progress: float
    """The share of the schedule that is over."""

    @property
    def recipe(self) -> Timed:
        """Its recipe, which says how long it takes."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take an optimiser step on a batch; returns the values for the log."""


def train(
    run: Trainable[Batch], batches: Iterable[Batch], *, log: Path, every: int
) -> Iterator[dict[str, float]]:
    """Train until the clock or the step count ends; yields the log's entries, one every `every`
    steps.
    """
    started, entry, since = time.monotonic(), Means(), time.monotonic()
    first, recipe = run.progress, run.recipe
    for batch in batches:
        if recipe.steps is None:
            spent = (time.monotonic() - started) / 60 / recipe.minutes
            run.progress = min(1.0, first + spent)
        else:  # `step` counts the whole schedule, resumed or not
            run.progress = min(1.0, run.step / recipe.steps)
        if run.progress >= 1:
            return
        entry.add(run.update(batch))
        if run.step % every == 0:
            means = entry.take()  # waits for the device, so that the clock below is true
            now = time.monotonic()
            values = {"step": run.step, "progress": run.progress, "tokens": run.tokens}
            values |= {"seconds": now - since, **means}
            since = now
            append(log, {key: round(value, 5) for key, value in values.items()})
            yield values


def follow(
    entries: Iterable[dict[str, float]], due: Sequence[tuple[float, Callable[[], None]]]
) -> None:
    """Print a run's entries, and call what is `due` each so many minutes, all of it at the end."""
    done = [time.monotonic()] * len(due)
    for entry in entries:
        print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
        for place, (minutes, act) in enumerate(due):
            if time.monotonic() - done[place] > 60 * minutes:
                act()
                done[place] = time.monotonic()
    for _, act in due:
        act()


def report(log: Path, run: Trainable[Any], found: dict[str, Any]) -> None:
    """Print measured values, and append them to the log."""
    entry = {"step": run.step, "tokens": run.tokens, **found}
    print(json.dumps(entry), flush=True)
    append(log, entry)


def append(log: Path, entry: dict[str, Any]) -> None:
    """Append an entry to a log."""
    with log.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def keep(state: dict[str, Any], folder: Path) -> None:
    """Save the state that a run goes on from; the file is complete or as it was."""
    torch.save(state, folder / f"{STATE}.new")
    (folder / f"{STATE}.new").replace(folder / STATE)


def kept(folder: Path, device: torch.device | str) -> dict[str, Any]:
    """Load the state that `keep` saved. Raises ValueError for a damaged file."""
    try:
        state: dict[str, Any] = torch.load(folder / STATE, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many kinds, as the damage is
        reason = str(error) or type(error).__name__
        raise ValueError(reason.splitlines()[0]) from error
    return state


class Means:
    """Running means of the log's values, which stay on their device until they are taken. Values
    that are not finite (no such slot in the batch) are left out.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sums: Tensor | None = None  # (2, names): totals and counts

    def add(self, values: dict[str, Tensor]) -> None:
        """Add one step's values; every step has the same ones."""
        stacked = torch.stack([value.double() for value in values.values()])
        finite = stacked.isfinite()
        both = torch.stack((stacked.nan_to_num(0.0, 0.0, 0.0), finite.double()))
        self.names, self.sums = tuple(values), both if self.sums is None else self.sums + both

    def means(self) -> dict[str, Tensor]:
        """Return the means so far, on their device; NaN for what was never finite."""
        assert self.sums is not None
        return dict(zip(self.names, self.sums[0] / self.sums[1], strict=True))

    def take(self) -> dict[str, float]:
        """Return the means since the last call, and begin anew. Waits for the device."""
        if self.sums is None:
            return {}
        totals, counts = self.sums.tolist()
        self.sums = None
        each = zip(self.names, totals, counts, strict=True)
        return {name: total / count for name, total, count in each if count}
