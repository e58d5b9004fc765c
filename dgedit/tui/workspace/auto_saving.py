"""Save files by themselves, once no edit has come for so many seconds.

Only files that are on disk already, as they were read or saved last. Nothing is tidied, and nothing
asked: where there is a question about a file, it is left alone. Knows files and questions.
"""

from __future__ import annotations

from textual.timer import Timer

from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.saving import Saving


class AutoSaving:
    """Saves the files that were edited."""

    def __init__(self, saving: Saving, questions: Questions, seconds: float) -> None:
        """`seconds` is how long no edit has come before a file is saved; 0 for never."""
        self.saving, self.workspace, self.questions = saving, saving.workspace, questions
        self.seconds = seconds
        self._edited: set[Editor] = set()
        self._timer: Timer | None = None

    def note_edit(self, editor: Editor) -> None:
        """Save a file in a while."""
        if not self.seconds:
            return
        self._edited.add(editor)
        if self._timer is None:
            self._timer = self.workspace.app.set_interval(self.seconds, self._save_edited)
        else:
            self._timer.reset()
            self._timer.resume()

    def _save_edited(self) -> None:
        assert self._timer is not None
        if not self.workspace.app.screen.is_modal:  # else later: it may ask about the file
            self._timer.pause()
            edited, self._edited = self._edited, set()
            self.workspace.work(self._save, edited, group="save", exclusive=False)

    async def _save(self, edited: set[Editor]) -> None:
        for editor in edited:
            if self._may_save(editor):
                await self.saving.save_quietly(editor)

    def _may_save(self, editor: Editor) -> bool:
        """Say whether a file is on disk, has unsaved changes, and nothing is asked about it."""
        file = editor.file
        is_there = file.path is not None and file.fingerprint is not None and not editor.deleted
        is_ours = editor in self.workspace.editors and not editor.locked
        asked = any(about in (None, editor) for about in self.questions.asked.values())
        return is_there and is_ours and not asked and editor.dirty
