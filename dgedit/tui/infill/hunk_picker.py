"""Show the diff of a result, hunk by hunk, each of which can be accepted on its own.

Knows hunks and keys; its owner accepts a hunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

from textual.binding import Binding, BindingType

from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.hunks import Hunk
from dgedit.tui.widgets.diffview import DiffView, file_line

Cut: TypeAlias = "Sequence[tuple[Editor, Sequence[Hunk]]]"
"""The files of a result, each with its hunks."""

_CHOSEN = "   ◂ A accepts this hunk"


class Picking(DiffView):
    """A view of the hunks, one of them marked, that closes on a key or when none is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "pick", "accept the hunk")]
    KEYS = "N P next, previous hunk   A accept it   ↑ ↓ scroll   Esc close"

    def __init__(self, cut: Cut, pick: Callable[[Editor, Hunk], Cut]) -> None:
        """Take the hunks; `pick` accepts one, and returns those that are left."""
        files = f", in {len(cut)} files" if len(cut) > 1 else ""
        self._cut, self._pick, self._at = cut, pick, 0
        super().__init__(f"what is accepted{files}", self._lines()[0])

    def action_change(self, by: int) -> None:
        """Mark the next or the previous hunk."""
        self._at = max(0, min(self._at + by, len(self._hunks()) - 1))
        self._show()

    def action_pick(self) -> None:
        """Accept the marked hunk."""
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
        """Return all lines, and the index of the marked hunk's head."""
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
