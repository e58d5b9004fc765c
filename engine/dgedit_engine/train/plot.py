"""`python -m dgedit_engine.train.plot`: draw the loss curves of runs over processed tokens.

    python -m dgedit_engine.train.plot LOG… --out curve.svg

Reads a run's `log.jsonl`. Every value is shown as it was logged, faintly, and smoothed, with its
name at the end of its line. Colours and letters are chosen for light and dark pages alike: the
drawing has no background. Needs matplotlib (`pip install "dgedit[train]"`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CURVES = {
    "causal": ("next token, causal", "#2f81c7"),
    "canvas": ("all slots", "#2da05a"),
    "text": ("noised text", "#c78a1e"),
    "from_noise": ("text from all noise", "#c4554d"),
}
"""The values that are drawn: the name of each line, and its colour."""

_GREY = "#808890"
_POINTS = 300  # of a line: a pixel and a half each, and the file stays small
_SMOOTHED = 0.03  # the share of a line over which it is averaged

Curve = list[tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw. Returns the exit code: 0, 2 for a log that cannot be drawn or no matplotlib."""
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train.plot", description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+", help="log.jsonl of a run, oldest first")
    parser.add_argument("--out", type=Path, required=True, help="curve.svg, or another kind")
    options = parser.parse_args(arguments)
    try:
        curves = read(options.logs)
        draw(curves, options.out)
    except ImportError as error:
        print(f"plot: {error}: pip install 'dgedit[train]'", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"plot: {error}", file=sys.stderr)
        return 2
    return 0


def read(logs: Iterable[Path]) -> dict[str, Curve]:
    """Read the curves, each a list of (tokens, value). Several logs are one run's parts: tokens go
    on.

    A run that resumed from a checkpoint logged some steps twice; the later ones count. Raises
    ValueError for a log that cannot be read.
    """
    curves: dict[str, Curve] = {name: [] for name in CURVES}
    before = 0.0
    for log in logs:
        tokens = 0.0
        for number, line in enumerate(log.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                tokens = float(entry["tokens"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{log}, line {number}: no entry of a run: {error!r}") from error
            for name, curve in curves.items():
                while curve and curve[-1][0] >= before + tokens:
                    curve.pop()
                if name in entry:
                    curve.append((before + tokens, float(entry[name])))
        before += tokens
    if not any(curves.values()):
        raise ValueError(f"{', '.join(map(str, logs))}: no entries to draw")
    return {name: curve for name, curve in curves.items() if curve}


def smoothed(values: Sequence[float], share: float = _SMOOTHED) -> list[float]:
    """Average each value with its neighbours, over that share of the line; at the ends over fewer
    of them.
    """
    reach = max(2, int(len(values) * share / 2))
    parts = (values[max(0, place - reach) : place + reach + 1] for place in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def draw(curves: dict[str, Curve], out: Path) -> None:
    """Write the drawing in the format of the file's ending."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "dgedit", "font.family": "sans-serif"}
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(7.2, 3.4), layout="constrained")
        unit, name = _unit(max(curve[-1][0] for curve in curves.values()))
        for key, curve in curves.items():
            _line(axes, curve, CURVES[key][1], unit)
        _labels(axes, curves, unit)
        _frame(axes, f"{name} processed tokens", "nats a token")
        metadata = {"Date": None} if out.suffix == ".svg" else None
        figure.savefig(out, transparent=True, metadata=metadata, dpi=160)
        pyplot.close(figure)


def _unit(tokens: float) -> tuple[float, str]:
    return next(pair for pair in ((1e9, "billion"), (1e6, "million"), (1, "")) if tokens >= pair[0])


def _line(axes: Any, curve: Curve, colour: str, unit: float) -> None:
    """Draw one curve: the logged values, thin, and their mean."""
    means = smoothed([value for _, value in curve])
    step = -(-len(curve) // _POINTS)
    kept = [*range(0, len(curve) - 1, step), len(curve) - 1]
    tokens = [curve[place][0] / unit for place in kept]
    logged = [curve[place][1] for place in kept]
    axes.plot(tokens, logged, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(tokens, [means[place] for place in kept], color=colour, linewidth=1.8)


def _labels(axes: Any, curves: dict[str, Curve], unit: float) -> None:
    """Write each line's name and last value at its end, moved apart where two would touch."""
    low, high = _limits(curves)
    axes.set_ylim(low, high)
    ends = sorted((smoothed([v for _, v in curve])[-1], name) for name, curve in curves.items())
    place = low - 1.0
    for value, name in ends:
        place = max(value, place + 0.075 * (high - low))
        axes.annotate(
            f"{CURVES[name][0]}  {value:.2f}",
            (curves[name][-1][0] / unit, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=CURVES[name][1],
            fontsize=9,
            annotation_clip=False,
        )


def _limits(curves: dict[str, Curve]) -> tuple[float, float]:
    """Return the axis's limits: from zero to a little above most of the run, whose first steps are
    far higher.
    """
    later = [value for curve in curves.values() for _, value in curve[len(curve) // 50 :]]
    return 0.0, 1.05 * sorted(later)[int(0.995 * (len(later) - 1))]


def _frame(axes: Any, below: str, beside: str) -> None:
    axes.set_xlabel(below.strip(), color=_GREY, fontsize=9)
    axes.set_ylabel(beside, color=_GREY, fontsize=9)
    axes.tick_params(colors=_GREY, labelsize=8, length=0)
    axes.grid(axis="y", color=_GREY, alpha=0.25, linewidth=0.6)
    axes.margins(x=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GREY)


if __name__ == "__main__":
    sys.exit(main())
