"""Draw how a step's time, a fill's and the memory grow: a column for what grows, a row for each.

Letters and colours are for light and dark pages alike, without a background. Needs matplotlib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dgedit_engine.bench.curves import GROWING, UNITS, GrowthPoint, grouped

_ROWS = {"step_ms": "a step, ms", "fill_ms": "a fill, ms", "memory_mb": "memory, MB"}
_COLOURS = ("#2f81c7", "#2da05a", "#c78a1e", "#c4554d")
_GREY = "#808890"


def draw(points: list[GrowthPoint], out: Path) -> None:
    """Write the drawing in the format of the file's ending. Raises ImportError without
    matplotlib.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    matplotlib.use("agg")
    from matplotlib import pyplot

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "dgedit", "font.size": 7}
    names = list(dict.fromkeys(one.model for one in points))
    colours = dict(zip(names, _COLOURS, strict=False))
    with matplotlib.rc_context(style):
        shape: Any = {"figsize": (11, 5), "layout": "constrained", "sharey": "row"}
        figure, axes = pyplot.subplots(len(_ROWS), len(GROWING), **shape)
        for (model, growing), row in grouped(points).items():
            column = list(GROWING).index(growing)
            for place, figures in enumerate(_ROWS):
                pairs = [(one.value, getattr(one, figures)) for one in row]
                known = [(value, found) for value, found in pairs if found is not None]
                if known:
                    line: Any = {"color": colours[model], "marker": "o", "markersize": 2.5}
                    axes[place][column].plot(*zip(*known, strict=True), linewidth=1.4, **line)
        for column, growing in enumerate(GROWING):
            ticks: Any = {"ticks": GROWING[growing], "labels": [*map(_short, GROWING[growing])]}
            for place, name in enumerate(_ROWS.values()):
                _frame(axes[place][column], "" if column else name)
                axes[place][column].set_xticks(**ticks)
            axes[-1][column].set_xlabel(UNITS[growing], color=_GREY)
        handles = [Line2D([], [], color=colours[name], label=name) for name in names]
        figure.legend(
            handles=handles, loc="outside upper left", ncols=4, frameon=False, labelcolor=_GREY
        )
        metadata = {"Date": None} if out.suffix == ".svg" else None
        figure.savefig(out, transparent=True, metadata=metadata, dpi=160)
        pyplot.close(figure)


def _short(value: int) -> str:
    return f"{value // 1000:,}k" if value >= 1000 else str(value)


def _frame(axes: Any, name: str) -> None:
    """Both axes go by factors: a straight line is a power, a level one is flat."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(name, color=_GREY)
    axes.tick_params(colors=_GREY, which="both", labelsize=6)
    axes.grid(color=_GREY, alpha=0.2, linewidth=0.5)
    axes.minorticks_off()
    for side in axes.spines.values():
        side.set_visible(False)
