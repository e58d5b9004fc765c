"""The diff of a result, hunk by hunk: each can be accepted by itself.

Knows hunks and keys; what becomes of one that is accepted is its owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.hunks import Hunk
from dgedit.tui.widgets.diffview import DiffView, file_line

Cut = Sequence[tuple[Editor, Sequence[Hunk]]]
"""The hunks of each file."""

_CHOSEN = "   ◂ A accepts this hunk"


class Picking(DiffView):
    """Shows the hunks, one of them marked, until a key closes it or none is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "pick", "accept the hunk")]
    KEYS = "N P next, previous hunk   A accept it   ↑ ↓ scroll   Esc close"

    def __init__(self, cut: Cut, pick: Callable[[Editor, Hunk], Cut]) -> None:
        """`pick` accepts a hunk, and says which are left."""
        files = f", in {len(cut)} files" if len(cut) > 1 else ""
        self._cut, self._pick, self._at = cut, pick, 0
        super().__init__(f"what is accepted{files}", self._lines()[0])

    def action_change(self, by: int) -> None:
        """Mark the next hunk, or the one before."""
        self._at = max(0, min(self._at + by, len(self._hunks()) - 1))
        self._show()

    def action_pick(self) -> None:
        """Accept the hunk that is marked."""
        hunks = self._hunks()
        if hunks:
            self._cut = self._pick(*hunks[self._at])
            self._at = min(self._at, max(0, len(hunks) - 2))
        if self._hunks():
            self._show()
        else:
            self.dismiss()

    def _show(self) -> None:
        lines, marked = self._lines()
        self.show(lines, marked)

    def _hunks(self) -> list[tuple[Editor, Hunk]]:
        return [(editor, hunk) for editor, hunks in self._cut for hunk in hunks]

    def _lines(self) -> tuple[list[str], int]:
        """All lines, and where the head of the marked hunk is."""
        lines: list[str] = []
        at = marked = 0
        for editor, hunks in self._cut:
            lines.append(file_line(editor.shown))
            for head, *rest in (hunk.lines for hunk in hunks):
                if at == self._at:
                    marked = len(lines)
                    head += _CHOSEN
                lines += [head, *rest]
                at += 1
            if not hunks:
                lines.append(" no difference")
        return lines, marked
