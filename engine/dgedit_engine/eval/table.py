"""From judged infills to rates with their uncertainty, for people and for programs.

An interval is the middle 95% of means over files drawn anew (bootstrap): spans of one file stand or
fall together, so files are drawn, not spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from dgedit_engine.eval.judge import Result

ALL = "all"
"""The row of all kinds together."""
RATES = ("exact", "identical", "parses", "similarity", "first")
"""The fields of a result whose means are rates."""
MEDIANS = ("tokens", "gold_tokens", "steps", "ms")
"""The fields of which a median is shown."""

_DRAWS = 2000
_TAIL = 0.025


class Summary(TypedDict):
    """What the infills of one kind, filled in one way, come to."""

    kind: str
    way: str
    spans: int
    rates: dict[str, tuple[float, float, float]]
    """Mean, low and high, 0 to 1; `parses` is missing where no file did to begin with."""
    medians: dict[str, float]
    settled: float
    """The share that stopped before a cap."""


def summarise(
    results: Sequence[Result], *, kinds: Sequence[str], ways: Sequence[str]
) -> list[Summary]:
    """A summary for each kind and way that has results, and for all kinds together."""
    groups = [
        (kind, way, [one for one in results if kind in (one.kind, ALL) and one.way == way])
        for kind in (*kinds, ALL)
        for way in ways
    ]
    return [_summary(group, kind, way) for kind, way, group in groups if group]


def interval(values: Sequence[float], files: Sequence[int]) -> tuple[float, float]:
    """Where the mean of `values` may lie, 95%.

    Where all are True or all are False, drawing anew shows nothing: then the exact binomial bound
    of as many files.
    """
    groups, index = np.unique(files, return_inverse=True)
    if isinstance(values[0], bool) and len(set(values)) == 1:
        unseen = 1 - _TAIL ** (1 / len(groups))
        return (1 - unseen, 1.0) if values[0] else (0.0, unseen)
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    drawn = np.random.default_rng(0).integers(len(groups), size=(_DRAWS, len(groups)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (_TAIL, 1 - _TAIL)).tolist()
    return low, high


def render(summaries: Sequence[Summary]) -> str:
    """The table. Rates are in percent, with their intervals."""
    rows = [["kind", "way", "spans", *RATES, "tokens/gold", "steps", "ms", "settled"]]
    for one in summaries:
        rates = [_rate(one["rates"][name]) if name in one["rates"] else "-" for name in RATES]
        tokens, gold, steps, ms = (f"{one['medians'][name]:.0f}" for name in MEDIANS)
        settled = _percent(one["settled"])
        first = [one["kind"], one["way"], str(one["spans"])]
        rows.append([*first, *rates, f"{tokens}/{gold}", steps, ms, settled])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        if lines and row[0] != lines[-1].split()[0]:
            lines.append("")
        cells = zip(row, widths, strict=True)
        line = "  ".join(f"{c:<{w}}" if n < 2 else f"{c:>{w}}" for n, (c, w) in enumerate(cells))
        lines.append(line.rstrip())
    return "\n".join(lines)


def _summary(results: Sequence[Result], kind: str, way: str) -> Summary:
    rates = {}
    for name in RATES:
        known = [one for one in results if getattr(one, name) is not None]
        values, files = [getattr(one, name) for one in known], [one.file for one in known]
        if known:
            low, high = interval(values, files)
            rates[name] = (round(float(np.mean(values)), 4), round(low, 4), round(high, 4))
    return Summary(
        kind=kind,
        way=way,
        spans=len(results),
        rates=rates,
        medians={
            name: float(np.median([getattr(one, name) for one in results])) for name in MEDIANS
        },
        settled=round(float(np.mean([one.stopped != "cap" for one in results])), 4),
    )


def _rate(rate: tuple[float, float, float]) -> str:
    mean, low, high = map(_percent, rate)
    return f"{mean} [{low}–{high}]"


def _percent(share: float) -> str:
    """Two digits: 62 and 4.2."""
    return f"{100 * share:.0f}" if round(100 * share, 1) >= 10 else f"{100 * share:.1f}"
