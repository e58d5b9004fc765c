"""`python -m dgedit_engine.eval.calibrate`: fit the probability that an infill is right, on spans.

    python -m dgedit_engine.eval.calibrate --limit 60 --corpus shipped go --out rows.jsonl
    python -m dgedit_engine.eval.calibrate --fit rows.jsonl more.jsonl --save FOLDER

The first fills held-out spans and writes, a JSON line a candidate, its features and whether it is
right: the text that stood there, white space aside. The second fits the weights to such files and
prints how reliable they are on spans that were left out of the fit, by probability and by kind of
span; with --save it writes `certainty.json` into a model's folder. Exits with 2 for unusable files,
5 for no model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgedit_engine.decode.certainty import FEATURES, Certainty, save_certainty
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.eval import benchmarks
from dgedit_engine.eval.tasks import Task, draw
from dgedit_engine.eval.texts import LANGUAGES, held_out
from dgedit_engine.types import Candidate, ModelError, collect

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Probabilities for which the table shows how many infills are above, and right."""

_FOLDS = 5  # each part is judged by weights fitted to the others
_RIDGE = 1.0  # the penalty on standardised weights, in candidates
_SCALE = 1e-4  # the probabilities' last digit, by which a recorded candidate is found again
_BINS = 10


@dataclass(frozen=True, slots=True)
class Recording(Certainty):
    """A Certainty that records the features it is asked about; each answer is the question's
    number.
    """

    asked: list[Mapping[str, float]] = field(default_factory=list)
    """The features, in order."""

    def of(self, features: Mapping[str, float]) -> float:
        """Return the number of this question, from 1 on, in ten-thousandths."""
        self.asked.append(features)
        return len(self.asked) * _SCALE


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill or fit. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.fit:
            _fit(options)
        else:
            _fill(options)
    except ModelError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 5
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"calibrate: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    return 0


def _fill(options: argparse.Namespace) -> None:
    tasks = [task for name in options.corpus for task in _tasks(name, options)]
    engine = open_engine(options.model)
    with options.out.open("a", encoding="utf-8") as file:
        for number, task in enumerate(tasks, 1):
            for row in recorded(engine, task, seed=options.seed):
                file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{number} of {len(tasks)}", end="\r", file=sys.stderr, flush=True)


def _tasks(name: str, options: argparse.Namespace) -> list[Task]:
    """Draw tasks from held-out text by its name, from a corpus's folder, or from a benchmark's
    file.
    """
    if name in LANGUAGES or name == "shipped" or Path(name).is_dir():
        texts = held_out(None if name == "shipped" else Path(name))
        return draw(texts, limit=options.limit, seed=options.seed)
    found = benchmarks.read(Path(name))
    order = np.random.default_rng(options.seed).permutation(len(found)).tolist()
    return [found[at] for at in order[: options.limit]]


def recorded(engine: Engine, task: Task, *, seed: int) -> Iterator[dict[str, Any]]:
    """Fill a task, and yield a row for each candidate that breaks nothing, the first one first."""
    engine.certainty = recording = Recording(0.0, dict.fromkeys(FEATURES, 0.0))
    found = collect(engine.infill(task.request(seed=seed, effort=0.5, steps=None)))
    for place, one in enumerate(found.candidates[0]):
        if not one.breaks and one.certainty:
            yield {
                "task": task.name,
                "kind": task.kind,
                "path": task.path,
                "place": place,
                "right": _right(one, task),
                "text": one.draft.text,
                "gold": task.gold,
                "features": dict(recording.asked[round(one.certainty / _SCALE) - 1]),
            }


def _right(one: Candidate, task: Task) -> bool:
    return "".join(one.draft.text.split()) == "".join(task.gold.split())


def _fit(options: argparse.Namespace) -> None:
    rows = [json.loads(line) for path in options.fit for line in path.open(encoding="utf-8")]
    if len({row["right"] for row in rows}) < 2:
        raise ValueError(f"{len(rows)} candidates, not some right and some wrong ones")
    print(f"{len(rows)} candidates of {len({row['task'] for row in rows})} spans")
    sure = held_back(rows)
    firsts = [(row, one) for row, one in zip(rows, sure, strict=True) if not row["place"]]
    print(reliability(firsts))
    print(thresholds(firsts))
    certainty = fitted(rows)
    if options.save:
        save_certainty(certainty, options.save)


def held_back(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the probability of each row by weights that were fitted to other tasks (5-fold
    cross-validation).
    """
    names = sorted({row["task"] for row in rows})
    order = np.random.default_rng(0).permutation(len(names)).tolist()
    fold = {names[at]: place % _FOLDS for place, at in enumerate(order)}
    parts = [fitted([row for row in rows if fold[row["task"]] != one]) for one in range(_FOLDS)]
    return [parts[fold[row["task"]]].of(row["features"]) for row in rows]


def fitted(rows: Sequence[Mapping[str, Any]]) -> Certainty:
    """Fit the weights of a logistic regression with a ridge penalty, by Newton's method."""
    given = [[float(row["features"][name]) for name in FEATURES] for row in rows]
    x = torch.tensor(given, dtype=torch.float64)
    right = torch.tensor([float(row["right"]) for row in rows], dtype=torch.float64)
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-3)
    ones = torch.ones(len(rows), 1, dtype=torch.float64)
    z = torch.cat(((x - mean) / spread, ones), 1)  # (n, F + 1)
    w = _newton(z, right)
    weights = w[:-1] / spread
    bias = float(w[-1] - (weights * mean).sum())
    return Certainty(bias, dict(zip(FEATURES, weights.tolist(), strict=True)))


def _newton(z: Tensor, right: Tensor) -> Tensor:
    """Return the weights (F + 1) of standardised features z (n, F + 1), the last of which
    is one.
    """
    w = torch.zeros(z.shape[1], dtype=z.dtype)
    penalty = torch.full_like(w, _RIDGE)
    penalty[-1] = 0
    for _ in range(50):
        p = torch.sigmoid(z @ w)
        slope = z.T @ (p - right) + penalty * w
        curve = (z * (p * (1 - p))[:, None]).T @ z + torch.diag(penalty + 1e-9)
        step = torch.linalg.solve(curve, slope)
        w = w - step
        if float(step.abs().max()) < 1e-9:
            break
    return w


def reliability(firsts: Sequence[tuple[Mapping[str, Any], float]]) -> str:
    """Render a table, by probability, of the infills shown first: the mean probability and the
    share that is right.
    """
    lines = ["| probability | spans | said | right |", "|---|---|---|---|"]
    for bin_ in range(_BINS):
        own = [(row, p) for row, p in firsts if min(_BINS - 1, int(p * _BINS)) == bin_]
        if own:
            said = sum(p for _, p in own) / len(own)
            right = sum(row["right"] for row, _ in own) / len(own)
            span = f"{bin_ / _BINS:.1f} to {(bin_ + 1) / _BINS:.1f}"
            lines.append(f"| {span} | {len(own)} | {said:.0%} | {right:.0%} |")
    score = sum((p - row["right"]) ** 2 for row, p in firsts) / len(firsts)
    share = sum(row["right"] for row, _ in firsts) / len(firsts)
    lines.append(
        f"\nBrier score {score:.3f}; {share * (1 - share):.3f} for always saying {share:.0%}"
    )
    return "\n".join(lines)


def thresholds(firsts: Sequence[tuple[Mapping[str, Any], float]]) -> str:
    """Render a table by kind of span: the share above a threshold, and how much of it is right."""
    kinds = sorted({row["kind"] for row, _ in firsts})
    head = "".join(f" {one:g} |" for one in THRESHOLDS)
    lines = [f"| kind | spans | right |{head}", "|---|---|---|" + "---|" * len(THRESHOLDS)]
    for kind in (*kinds, "all"):
        own = [(row, p) for row, p in firsts if kind in ("all", row["kind"])]
        cells = [kind, str(len(own)), f"{sum(row['right'] for row, _ in own) / len(own):.0%}"]
        for least in THRESHOLDS:
            sure = [row["right"] for row, p in own if p >= least]
            right = f"{sum(sure) / len(sure):.0%}" if sure else "–"
            cells.append(f"{len(sure) / len(own):.0%}: {right}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.eval.calibrate", description=__doc__
    )
    add = parser.add_argument
    add("--model", help="nano (the default), tiny or a folder")
    add("--corpus", nargs="+", default=["shipped"], help="shipped, languages, corpora, benchmarks")
    add("--limit", type=int, default=60, help="spans of each kind (60)")
    add("--seed", type=int, default=5, help="which spans (5)")
    add("--out", type=Path, default=Path("certainty.jsonl"), help="where rows are added")
    add("--fit", type=Path, nargs="+", help="files of rows to fit weights to")
    add("--save", type=Path, help="a model's folder, for the weights")
    return parser


if __name__ == "__main__":
    sys.exit(main())
