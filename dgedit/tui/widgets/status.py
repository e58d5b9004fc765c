"""The status line: the position in the file, a notice, and the engine's state.

Where you are always stands there, and a notice stands beside it; so does what the look of a draft
means, as long as the look tells how sure the model is. Where the row is too short, the least goes
first: the branch, what the cursor is in, how the file is written, its folders, what the engine says
last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from dgedit.text.drafts import BANDS
from dgedit.text.visible import visible

BETWEEN = " · "
"""The separator of the parts, which are in order of importance."""

_BANDS = len(BANDS) + 1
# The legend is shown only in rows of at least this many cells.
_ROOMY = 60

NO_MODEL = "no model"
"""What is said of the engine where none could be opened."""


class StatusLine(Widget):
    """One row: the place in the file, a notice, and on the right the engine."""

    place = reactive("")
    """File, line and column; then how the file is written."""
    within = reactive("")
    """The name of what the cursor is in there, shown where there is room."""
    branch = reactive("")
    """The branch that is checked out where the file lies."""
    notice = reactive("")
    """A message to the user."""
    problem = reactive("")
    """What is wrong in the line of the cursor; shown where there is no notice."""
    engine = reactive("")
    """The engine's state."""
    heat = reactive(False)
    """True to show the legend of the confidence bands."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"editor--heat-{band}" for band in range(_BANDS)}

    def render(self) -> Content:
        """Render the row."""
        legend = self._legend() if self.heat and self.size.width >= _ROOMY else Content("")
        width = max(0, self.size.width - 2 - legend.cell_length)
        notice = visible(self.notice or self.problem)
        room = 0
        left = right = ""
        place, within, branch, engine = map(
            visible, (self.place, self.within, self.branch, self.engine)
        )
        for left, right in _choices(place, within, branch, engine, width):
            room = width - cell_len(left) - cell_len(right) - 2 * bool(right)
            if cell_len(notice) + 2 * bool(notice) <= room:
                break
        told = f"  {notice}" if notice else ""
        told = told if cell_len(told) <= room else set_cell_size(told, max(0, room - 1)) + "…"
        gap = " " * (width - cell_len(left) - cell_len(told) - cell_len(right))
        return Content.assemble(
            (left, "$foreground 70%"),
            (told, "bold $text-warning" if self.notice else "$text-error"),
            legend,
            gap,
            (right, "$secondary"),
        )

    def _legend(self) -> Content:
        """Return the bands, each in its style."""
        words = *(f" {least:.0%} " for least in BANDS), " less "
        looks = (self.get_visual_style(f"editor--heat-{band}") for band in range(_BANDS))
        return Content.assemble("  sure", *zip(words, looks, strict=True))


def _choices(
    place: str, within: str, branch: str, engine: str, width: int
) -> Iterator[tuple[str, str]]:
    """Yield what may stand left and right, the longest first; at least the file's name and the
    position.
    """
    path, _, rest = place.partition(BETWEEN)
    if branch:
        yield BETWEEN.join(filter(None, (path, within, rest, branch))), engine
    if within:
        yield BETWEEN.join(filter(None, (path, within, rest))), engine
    yield place, engine
    yield path, engine
    name = _end(path.rpartition("/")[2], width // 2)
    parts = engine.split(BETWEEN)
    for count in range(len(parts), -1, -1):
        yield name, BETWEEN.join(parts[:count])


def _end(text: str, width: int) -> str:
    """Return the end of a text that is wider than `width` cells; else the text."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) >= width > 0:
        text = text[1:]
    return "…" + text
