"""`python -m dgedit_engine.eval.holes`: say what several holes in a text cost, jointly or in turn.

Lines are cut out of held-out files, several of a file near each other; the first lines that are cut
are the same for each number. Jointly is one request for all, as the model fills it; in turn is a
request for each, the lines before filled, those behind missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from dgedit_engine.decode import in_turn
from dgedit_engine.engine import Engine
from dgedit_engine.eval.command import Opened, parser_of, run
from dgedit_engine.eval.judge import similarity
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.types import Hole, InfillRequest, Passage, collect

COUNTS = (1, 2, 4)
"""Holes of a request."""
_APART = 3  # lines from one hole to the next, at least
_AROUND = 30  # lines before the first hole and behind the last


@dataclass(frozen=True, slots=True)
class ManyHoles:
    """A text with lines cut out."""

    path: str
    """The file's name."""
    lines: tuple[str, ...]
    """Its lines with their endings."""
    cut: tuple[int, ...]
    """Which of them are cut, in order."""

    @property
    def gold(self) -> list[str]:
        """What stood in the holes: the lines without their indentation."""
        return [self.lines[at].strip() for at in self.cut]

    def request(self) -> InfillRequest:
        """Return the request for all holes."""
        first, last = self.cut[0] - _AROUND, self.cut[-1] + _AROUND
        parts: list[str | Hole] = [""]
        for at, line in enumerate(self.lines[: last + 1]):
            if at < first:
                continue
            if at not in self.cut:
                parts[-1] = f"{parts[-1]}{line}"
                continue
            body = line.strip()
            before, _, behind = line.partition(body)
            parts[-1] = f"{parts[-1]}{before}"
            parts += [Hole(), behind]
        passage = Passage(self.path, tuple(part for part in parts if part != ""))
        return InfillRequest((passage,))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = parser_of("holes", str(__doc__), drawn="texts")
    parser.add_argument("--counts", type=int, nargs="+", default=[*COUNTS], help="holes of a text")
    return run(parser, arguments, _work)


def _work(
    options: argparse.Namespace, opened: Opened
) -> tuple[Engine, list[ManyHoles], Iterator[dict[str, Any]]]:
    if min(options.counts) < 1:
        raise ValueError(f"a text has at least 1 hole, not {min(options.counts)}")
    engine, corpus = opened()
    drawn = draw(corpus, most=max(options.counts), limit=options.texts, seed=options.seed)
    return engine, drawn, measured(engine, drawn, counts=options.counts)


def draw(corpus: Texts, *, most: int, limit: int, seed: int) -> list[ManyHoles]:
    """Draw texts with `most` lines cut out of each, a file at a time."""
    found: list[ManyHoles] = []
    for file in np.random.default_rng(seed).permutation(len(corpus)).tolist():
        lines = tuple(corpus.text(file).splitlines(keepends=True))
        rng = np.random.default_rng([seed, file])
        start = int(rng.integers(max(1, len(lines))))
        cut: list[int] = []
        for at in range(start, len(lines)):
            far = not cut or at - cut[-1] >= _APART
            if far and len(cut) < most and len(lines[at].strip()) > 3:
                cut.append(at)
        if len(cut) == most:
            found.append(ManyHoles(corpus.path(file), lines, tuple(cut)))
        if len(found) == limit:
            break
    return found


def measured(
    engine: Engine, texts: Sequence[ManyHoles], *, counts: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield for each number of holes, and each way, the share of holes that are exact, how similar
    they are, and seconds a hole.
    """
    for count in counts:
        some = [ManyHoles(one.path, one.lines, one.cut[:count]) for one in texts]
        for way in ("jointly", "in turn") if count > 1 else ("jointly",):
            pairs: list[tuple[str, str]] = []
            start = time.perf_counter()
            for one in some:
                request = one.request()
                steps = (
                    engine.infill(request)
                    if way == "jointly"
                    else in_turn.fill(request, engine.infill)
                )
                pairs += zip(collect(steps).texts, one.gold, strict=True)
            seconds = time.perf_counter() - start
            exact = [found.strip() == gold for found, gold in pairs]
            near = [similarity(found, gold) for found, gold in pairs]
            yield {
                "holes": count,
                "way": way,
                "exact": f"{sum(exact)} of {len(exact)}",
                "similarity": round(100 * fmean(near), 1),
                "seconds a hole": round(seconds / max(1, len(pairs)), 2),
            }


if __name__ == "__main__":
    sys.exit(main())
