"""`python -m dgedit_engine.eval.refresh`: say what a masked model loses, and gains, where the text
before a hole is read anew only every so many steps.

The same held-out spans are filled for each interval; the texts are held against those of interval
1, which is exact, token for token, and against the text that stood there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dgedit_engine.engine import Engine
from dgedit_engine.eval.command import Opened, parser_of, run
from dgedit_engine.eval.tasks import Task, draw
from dgedit_engine.types import ModelError

INTERVALS = (1, 2, 4, 8)
"""Steps between whole readings."""


@dataclass(frozen=True, slots=True)
class RefreshedFill:
    """A span that was filled."""

    pieces: tuple[str, ...]
    """Its tokens' texts."""
    steps: int
    """Steps between the first that was shown and the last."""
    seconds: float
    """Their time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = parser_of("refresh", str(__doc__), drawn="spans")
    parser.add_argument("--every", type=int, nargs="+", default=[*INTERVALS], help="intervals")
    return run(parser, arguments, _work)


def _work(
    options: argparse.Namespace, opened: Opened
) -> tuple[Engine, list[Task], list[dict[str, Any]]]:
    engine, corpus = opened()
    if engine.masking is None:
        raise ModelError(f"{engine.name} is no masked model: nothing is read anew in each step")
    tasks = draw(corpus, limit=options.spans, seed=options.seed)[: options.spans]
    return engine, tasks, measured(engine, tasks, every=options.every)


def measured(
    engine: Engine, tasks: Sequence[Task], *, every: Sequence[int]
) -> list[dict[str, Any]]:
    """Return for each interval, 1 among them, the share of tokens and of texts that are those of 1,
    the share of texts that stood there, and milliseconds a step.
    """
    each: dict[int, list[RefreshedFill]] = {one: [] for one in dict.fromkeys((1, *every))}
    for task in tasks:
        for interval, found in each.items():
            found.append(filled(engine, task, interval))
    rows = []
    for interval, found in each.items():
        tokens = sum(len(one.pieces) for one in each[1])
        same = sum(
            a == b
            for one, right in zip(found, each[1], strict=True)
            for a, b in zip(one.pieces, right.pieces, strict=False)
        )
        texts = ["".join(one.pieces) for one in found]
        whole = sum(a == "".join(b.pieces) for a, b in zip(texts, each[1], strict=True))
        right = sum(a.strip() == task.gold.strip() for a, task in zip(texts, tasks, strict=True))
        steps, seconds = sum(one.steps for one in found), sum(one.seconds for one in found)
        rows.append(
            {
                "every": interval,
                "same tokens": f"{100 * same / max(1, tokens):.1f}%",
                "same texts": f"{whole} of {len(tasks)}",
                "exact": f"{right} of {len(tasks)}",
                "ms a step": round(1000 * seconds / max(1, steps), 1),
            }
        )
    return rows


def filled(engine: Engine, task: Task, interval: int) -> RefreshedFill:
    """Fill a span by the most probable tokens, the text before it read anew at an interval."""
    request = replace(task.request(seed=0, effort=0.5, steps=None), refresh=interval)
    steps, pieces, start, end = 0, tuple[str, ...](), 0.0, 0.0
    for step in engine.infill(request):
        (draft,) = step.drafts
        pieces = draft.pieces
        if not step.last:
            steps, end = steps + 1, time.perf_counter()
            start = start or end
    return RefreshedFill(pieces, max(0, steps - 1), end - start)


if __name__ == "__main__":
    sys.exit(main())
