"""Sum up judged infills as rates with their uncertainty, for people and for programs.

An interval is the middle 95% of means over files drawn anew (bootstrap): spans of one file are not
independent, so files are drawn, not spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from dgedit_engine.eval.judge import Judgement

ALL = "all"
"""The kind that stands for all kinds of held-out text together."""
RATES = {
    "exact": "exact",
    "identical": "identical",
    "parses": "parses",
    "passed": "pass@1",
    "similarity": "similarity",
    "first": "first",
    "length": "length",
    "sure": "sure",
    "right_if_sure": "right if sure",
}
"""The fields of a result whose means are rates, and the names of these."""
SHOWN = ("exact", "parses", "pass@1", "similarity", "first", "sure", "right if sure")
"""The rates that the table shows."""
MEDIANS = ("tokens", "gold_tokens", "steps", "ms")
"""The fields of which a median is shown."""

_DRAWS = 2000
_TAIL = 0.025


class Summary(TypedDict):
    """The figures of the infills of one kind, filled in one way."""

    kind: str
    way: str
    spans: int
    rates: dict[str, tuple[float, float, float]]
    """Mean, low and high, 0 to 1. One is missing where it is not known of any span: `parses` where
    no file did to begin with, `pass@1` without tests.
    """
    medians: dict[str, float]
    settled: float
    """The share that stopped before a cap."""
    origins: dict[str, float]
    """The share of the shown infills by where they came from."""


def summarise(
    results: Sequence[Judgement],
    *,
    kinds: Sequence[str],
    ways: Sequence[str],
    together: Sequence[str] = (),
) -> list[Summary]:
    """Return a summary for each kind and way that has results, and for the kinds `together`."""
    parts: list[tuple[str, tuple[str, ...]]] = [(kind, (kind,)) for kind in kinds]
    if len(joined := tuple(kind for kind in kinds if kind in together)) > 1:
        parts.append((ALL, joined))
    groups = [
        (name, way, [one for one in results if one.kind in part and one.way == way])
        for name, part in parts
        for way in ways
    ]
    return [_summary(group, kind, way) for kind, way, group in groups if group]


def interval(values: Sequence[float], files: Sequence[int]) -> tuple[float, float]:
    """Return the 95% interval of the mean of `values`, low and high.

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
    """Render the table: a part for each kind, a row for each way. Rates are in percent, each with
    its interval; `draft` is the share of shown infills that were causal drafts.
    """
    shown = [name for name in SHOWN if any(name in one["rates"] for one in summaries)]
    drafted = any("draft" in one["origins"] for one in summaries)
    head = ["", "spans", *shown, "tok/gold", "steps", "ms", "settled"]
    rows = [[*head, *(["draft"] if drafted else [])]]
    for one in summaries:
        rates = [_rate(one["rates"][name]) if name in one["rates"] else "-" for name in shown]
        tokens, gold, steps, ms = (f"{one['medians'][name]:.0f}" for name in MEDIANS)
        row = [f"  {one['way']}", str(one["spans"]), *rates, f"{tokens}/{gold}", steps, ms]
        row.append(_percent(one["settled"]))
        rows.append([*row, *([_percent(one["origins"].get("draft", 0))] if drafted else [])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(rows[0], widths)]
    for index, (one, row) in enumerate(zip(summaries, rows[1:], strict=True)):
        if index == 0 or one["kind"] != summaries[index - 1]["kind"]:
            lines.append(one["kind"])
        lines.append(_line(row, widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Lay the cells out in columns, the first one to the left."""
    others = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([f"{cells[0]:<{widths[0]}}", *others]).rstrip()


def _summary(results: Sequence[Judgement], kind: str, way: str) -> Summary:
    rates = {}
    for field, name in RATES.items():
        known = [one for one in results if getattr(one, field) is not None]
        values, files = [getattr(one, field) for one in known], [one.file for one in known]
        if known:
            low, high = interval(values, files)
            rates[name] = (round(float(np.mean(values)), 4), round(low, 4), round(high, 4))
    return Summary(
        kind=kind,
        way=way,
        spans=len(results),
        rates=rates,
        medians={
            name: round(float(np.median([getattr(one, name) for one in results])), 2)
            for name in MEDIANS
        },
        settled=round(float(np.mean([one.stopped != "cap" for one in results])), 4),
        origins={
            origin: round(count / len(results), 4)
            for origin, count in sorted(Counter(one.origin for one in results).items())
            if origin
        },
    )


def _rate(rate: tuple[float, float, float]) -> str:
    mean, low, high = rate
    return f"{_percent(mean)} [{100 * low:.0f}–{100 * high:.0f}]"


def _percent(share: float) -> str:
    """Format a share in percent with two digits: 62 and 4.2."""
    return f"{100 * share:.0f}" if round(100 * share, 1) >= 10 else f"{100 * share:.1f}"
