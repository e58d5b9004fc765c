"""The name of what the cursor is in, for the status line.

It is looked up when keys rest, from the syntax tree that the colours have; where there is none yet,
a little is parsed each time. Knows the file in front and its tree.
"""

from __future__ import annotations

from textual.timer import Timer

from dgedit.text.languages import kind_of
from dgedit.text.symbols import around
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace

REST = 0.3
"""Seconds without a key until it is looked up."""

# Seconds of parsing at a time, where the tree is not there yet.
_SLICE = 0.005


class Crumbs:
    """Tells the status line what the cursor is in."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.app = workspace, workspace.app
        self._timer: Timer | None = None
        self._editor: Editor | None = None

    def moved(self) -> None:
        """Look again, in a while: the cursor has gone elsewhere, or another file is in front."""
        if self._editor is not self.workspace.editor:
            self._editor = self.workspace.editor
            self.workspace.status.within = ""
        if self._timer is None:
            self._timer = self.app.set_interval(REST, self._look)
        else:
            self._timer.reset()
            self._timer.resume()

    def _look(self) -> None:
        assert self._timer is not None
        editor = self.workspace.editor
        parse = editor.buffer.parse
        if parse is not None and not parse.step(_SLICE):
            return  # and go on the next time
        self._timer.pause()
        row, column = editor.cursor_location
        language, lines = kind_of(editor.file_name).language, editor.buffer.lines
        within = around(parse.tree, lines, language, row, column) if parse is not None else ""
        self.workspace.status.within = within
