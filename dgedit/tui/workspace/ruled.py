"""Mark what breaks the rules of a file's kind, such as a number twice in a row of a Sudoku.

Knows editors; what the rules are is in `text/rules.py`.
"""

from __future__ import annotations

from dgedit.protocol.replies import Problem, Severity
from dgedit.text.rules import breaks, ruled
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace


class Ruled:
    """Marks the problems of files that have rules, beside the language servers for others."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def look(self) -> None:
        """Look at the visible files."""
        for editor in self.workspace.visible:
            self.note_edit(editor)

    def note_edit(self, editor: Editor) -> None:
        """Look at a file as it is now."""
        if not ruled(editor.file_name):
            return
        found = [
            Problem(one.start, one.start + 1, Severity.ERROR, one.words, "rules")
            for one in breaks(editor.file_name, editor.text)
        ]
        if found or len(editor.problems):
            editor.take_problems(found)
