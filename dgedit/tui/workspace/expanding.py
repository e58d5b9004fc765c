"""Selections that grow by the parts of the text, and shrink again to what they were.

Knows the file in front; which part is the next larger one, `text/expanding.py` says.
"""

from __future__ import annotations

from dgedit.text.edits import Selection
from dgedit.text.expanding import expanded
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace


class Expanding:
    """Expands the selection of the file in front, and shrinks it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._steps: list[tuple[Editor, Selection, Selection]] = []  # from what to what, last last

    def expand(self) -> None:
        """Select the next larger part."""
        editor = self.workspace.editor
        before = editor.selected
        after = expanded(editor.buffer.text, before, _parts(editor, before))
        if after != tuple(sorted(before)):
            self._steps = [*self._steps, (editor, before, after)] if self._is_at_last() else []
            self._steps = self._steps or [(editor, before, after)]
            self._select(editor, after)

    def shrink(self) -> None:
        """Select what was selected before it was expanded."""
        if self._steps and self._is_at_last():
            editor, before, _ = self._steps.pop()
            self._select(editor, before)
        else:
            self.workspace.notice("the selection was not expanded")

    def _is_at_last(self) -> bool:
        """Return whether what was expanded last is selected still."""
        editor = self.workspace.editor
        return bool(self._steps) and self._steps[-1][::2] == (editor, editor.selected)

    def _select(self, editor: Editor, selected: Selection) -> None:
        with editor.steady():
            editor.selected = selected


def _parts(editor: Editor, selected: Selection) -> list[Selection] | None:
    """Return the parts around a selection that the grammar has; None without one."""
    parse, buffer = editor.buffer.parse, editor.buffer
    if parse is None:
        return None
    first, last = map(buffer.location, sorted(selected))
    around = parse.around(first, last)
    return [(buffer.index(start), buffer.index(end)) for start, end in around]
