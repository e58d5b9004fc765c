"""A file that may be read but not written: shown like any other, and every edit is refused aloud.

All edits pass one method here, whatever key or command they come from. Only what is taken from the
disk goes in. Knows one editor; why the file is locked is told to it.
"""

from __future__ import annotations

from pathlib import Path

from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.message import Message

from dgedit.config import Settings
from dgedit.files.document import Document
from dgedit.tui.editor.replacing import Replacing
from dgedit.tui.workspace.tabs import Page


class Locked(Page):
    """An editor that refuses edits while it is locked."""

    class Refused(Message):
        """Somebody tried to edit."""

    def __init__(self, path: Path, file: Document, settings: Settings) -> None:
        super().__init__(path, file, settings)
        self.locked = True
        """Whether edits are refused."""

    def edit(self, edit: Edit) -> EditResult:
        """Refuse; what was to go is still there, and so cutting copies."""
        if not self.locked or isinstance(edit, Replacing):
            return super().edit(edit)
        self.post_message(self.Refused())
        there = self.buffer.get_text_range(edit.from_location, edit.to_location)
        return EditResult(self.selection.end, there)

    def undo(self) -> None:
        """Nothing was done here."""
        if self.locked:
            self.post_message(self.Refused())
        else:
            super().undo()

    def redo(self) -> None:
        """Nothing was undone here."""
        if self.locked:
            self.post_message(self.Refused())
        else:
            super().redo()
