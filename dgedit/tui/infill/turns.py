"""Results that were left without an edit, rejected or replaced by a rerun: undo opens them again.

Knows holes and how much there is to undo; nothing of steps or keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dgedit.files.document import Span
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill.session import Fill


@dataclass(frozen=True, slots=True)
class Turn:
    """A result as it was left."""

    fill: Fill
    """The result."""
    holes: tuple[tuple[Editor, OpenHole, Span], ...]
    """Its holes, and where they were."""
    depths: dict[Editor, int]
    """How much each file had to undo."""

    @classmethod
    def of(cls, fill: Fill, editors: Iterable[Editor]) -> Turn:
        """The result is left now; what is edited from now on is undone by itself."""
        every = list(editors)
        for editor in every:
            editor.history.checkpoint()
        holes = tuple((editor, hole, hole.span) for editor, hole in fill.present)
        return cls(fill, holes, {editor: _depth(editor) for editor in every})

    @property
    def gone(self) -> bool:
        """Whether a file of it was closed, or it had no hole left."""
        return not self.holes or not all(editor.is_attached for editor, _, _ in self.holes)

    def is_next(self, editor: Editor) -> bool:
        """Whether it is what an undo in this file undoes: nothing was edited there since, nor where
        its holes are.
        """
        files = {editor, *(one for one, _, _ in self.holes)}
        return all(self.depths.get(one) == _depth(one) for one in files)

    def restore(self) -> None:
        """Open its holes where they were."""
        for editor, hole, span in self.holes:
            editor.put_hole(hole, span)


def _depth(editor: Editor) -> int:
    return len(editor.history.undo_stack)
