"""The status line: where you are, and what the engine does."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from dgedit.visible import visible


class StatusLine(Widget):
    """One row: the place in the file, or a notice, and right of it the state of the engine."""

    place = reactive("")
    """File, line and column."""
    notice = reactive("")
    """Something to be told, in place of the place."""
    engine = reactive("")
    """What the engine does."""

    def render(self) -> Content:
        """The row; what the engine does goes first when space is short."""
        width = self.size.width - 2
        right = visible(self.engine)
        room = max(0, width - cell_len(right) - 2)
        left = visible(self.notice or self.place)
        left = left if cell_len(left) <= room else set_cell_size(left, max(0, room - 1)) + "…"
        gap = " " * max(2, width - cell_len(left) - cell_len(right))
        style = "bold $text-warning" if self.notice else "$foreground 70%"
        return Content.assemble((left, style), gap, (right, "$secondary"))
