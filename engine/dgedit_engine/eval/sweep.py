"""`python -m dgedit_engine.eval.sweep`: measure quality against cost, by effort or sampling.

Every combination of the values given is measured on the same spans; a setting without values stays
the model's own. Prints a line for each and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

from dgedit_engine.decode.syntax import parses
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.eval.fillers import fillers
from dgedit_engine.eval.judge import similarity
from dgedit_engine.eval.tasks import Task, draw
from dgedit_engine.eval.texts import held_out
from dgedit_engine.model.config import Sampling
from dgedit_engine.types import ModelError

Row = dict[str, Any]
"""Settings by name, then their figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print. Returns the exit code, as `dgedit_engine.eval` does."""
    options = _parser().parse_args(arguments)
    try:
        engine = open_engine(options.model, options.device)
        tasks = draw(held_out(options.corpus), limit=options.limit, seed=options.seed)
        rows = []
        for row in sweep(engine, tasks, options):
            rows.append(row)
            print("  ".join(f"{key} {_shown(value)}" for key, value in row.items()), flush=True)
    except (ModelError, OSError, ValueError) as error:
        print(f"sweep: {str(error).splitlines()[0]}", file=sys.stderr)
        return 5 if isinstance(error, ModelError) else 3 if isinstance(error, OSError) else 2
    print(json.dumps({"model": engine.name, "way": options.way, "spans": len(tasks), "rows": rows}))
    return 0


def sweep(engine: Engine, tasks: Sequence[Task], options: argparse.Namespace) -> Iterator[Row]:
    """Measure each combination of settings; yields its figures."""
    own = engine.sampling
    named: dict[str, list[Any]] = {
        "effort": options.effort,
        "steps": options.steps,
        "entropy_bound": options.entropy_bound,
        "confidence": options.confidence,
        "heat": options.heat,
    }
    given = {name: values for name, values in named.items() if values}
    for values in product(*given.values()):
        chosen = dict(zip(given, values, strict=True))
        engine.sampling = _sampling(own, chosen)
        effort = chosen.get("effort", 0.5)
        yield {**chosen, **_figures(engine, tasks, options.way, options.seed, effort)}
    engine.sampling = own


def _sampling(own: Sampling, chosen: Row) -> Sampling:
    """Return the model's own settings with the chosen ones."""
    plain = {key: value for key, value in chosen.items() if key not in ("effort", "heat")}
    t_max, t_min = chosen.get("heat", (own.t_max, own.t_min))
    return replace(own, t_max=t_max, t_min=t_min, **plain)


def _figures(engine: Engine, tasks: Sequence[Task], way: str, seed: int, effort: float) -> Row:
    if (fill := fillers(engine).get(way)) is None:
        raise ValueError(f"no such way of filling: {way!r}")
    answers = []
    for task in tasks:
        gold = len(engine.tokenizer.encode(task.gold))
        answers.append(fill(task.request(seed=seed, effort=effort, steps=None), gold))
    pairs = list(zip(tasks, answers, strict=True))
    return {
        "exact": fmean(answer.text.strip() == task.gold.strip() for task, answer in pairs),
        "parses": fmean(parses(task.filled(answer.text)) for task, answer in pairs),
        "similarity": fmean(similarity(answer.text, task.gold) for task, answer in pairs),
        "taken": median(answer.steps for answer in answers),
        "ms": median(answer.ms for answer in answers),
        "settled": fmean(answer.stopped != "cap" for answer in answers),
    }


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _heat(text: str) -> tuple[float, float]:
    first, last = text.split(":")
    return float(first), float(last)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.eval.sweep", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, help="folder of a built corpus; the spans that ship, if not given")
    add("--model", metavar="NAME|FOLDER", help="the model to measure: tiny, a folder (nano)")
    add("--device", help="cpu or cuda; a GPU if there is one")
    add("--way", default="canvas", help="how to fill: canvas, fill, … (canvas)")
    add("--limit", type=int, default=50, help="spans of each kind (50)")
    add("--seed", type=int, default=0)
    add("--effort", type=float, nargs="+", help="0 is fastest, 1 most careful")
    add("--steps", type=int, nargs="+", help="step caps")
    add("--entropy-bound", type=float, nargs="+", help="nats that a step may accept")
    add("--confidence", type=float, nargs="+", help="nats below which a canvas may stop")
    add("--heat", type=_heat, nargs="+", metavar="MAX:MIN", help="temperatures of the schedule")
    return parser


if __name__ == "__main__":
    sys.exit(main())
