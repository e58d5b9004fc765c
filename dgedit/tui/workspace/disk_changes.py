"""Handle changes that other programs make to the open files.

They are loaded if nothing would be lost; otherwise a bar asks, without interrupting. A deleted file
is marked, and saving creates it anew.

Knows documents and questions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from watchfiles import awatch

from dgedit.errors import InputError
from dgedit.files import disk
from dgedit.files.document import Document
from dgedit.text.merge import merge
from dgedit.text.readable_diff import diff_lines
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.tabs import Workspace


class DiskChanges:
    """Watches the files of the tabs, and handles their changes."""

    def __init__(
        self,
        workspace: Workspace,
        questions: Questions,
        is_filled: Callable[[Editor], bool],
        *,
        watch: bool = True,
    ) -> None:
        """Take `is_filled`, which says whether an infill is open in a file."""
        self.workspace, self.app, self.questions = workspace, workspace.app, questions
        self.is_filled, self.watching = is_filled, watch
        self.looked: Callable[[], object] = lambda: None
        """Called after a file was compared with the disk, or saved."""
        self.writing: set[Editor] = set()
        """Those that are being saved, and so are looked at later."""
        self._gone: dict[Editor, Document] = {}  # files that were deleted, as they were
        # the open question about a file, and the state on disk that it is about
        self._asked: dict[Editor, tuple[Question, disk.Fingerprint | None]] = {}

    def focus(self) -> None:
        """Check again when the terminal gets the focus: some file systems report no changes."""
        if self.watching:
            self.check()

    def read_again(self, editor: Editor) -> Document:
        """Read an open file as it is on disk now. Raises InputError."""
        return self.workspace.pages.read_again(editor.path)

    def reload_front(self) -> None:
        """Load the current file from disk again; ask first if changes here would be undone."""
        self.workspace.work(self._reload, self.workspace.editor, group="reload")

    async def _reload(self, editor: Editor) -> None:
        if editor.file.path is None:
            self.workspace.notice("this text is in no file")
            return
        lost = ["it has unsaved changes"] * editor.dirty
        lost += ["an infill is open in it"] * self.is_filled(editor)
        if lost:
            question = f"Reload {visible(editor.path.name)}? {' and '.join(lost).capitalize()}"
            if await self.app.push_screen_wait(Ask(question, {"r": "reload"})) is None:
                return
        try:
            theirs = await asyncio.to_thread(self.read_again, editor)
        except InputError as error:
            self.workspace.notice(str(error))
            return
        before = editor.text
        self._adopt(editor, theirs)
        same = editor.text == before
        self.workspace.notice(
            f"{editor.path} is on disk as here"
            if same
            else f"{editor.path} was reloaded; undo brings yours back"
        )
        self.look_at(editor)

    def watch_anew(self) -> None:
        """Watch the folders of the files that are open now."""
        if self.watching:
            self.workspace.work(self._watch_folders, group="watch")

    async def _watch_folders(self) -> None:
        files = [editor.path for editor in self.workspace.editors if editor.file.path is not None]
        folders = {Path(os.path.realpath(path)).parent for path in files}
        there = [folder for folder in folders if folder.is_dir()]
        if not there:
            return
        # Watch folders, since a file that is replaced would no longer be watched.
        seen = awatch(*there, recursive=False, watch_filter=None, debounce=200, step=50)
        try:
            async for _ in seen:
                self.check()
        except OSError as error:  # the folder is not readable, or too many are watched already
            self.workspace.notice(f"changes on disk will only be seen when saving: {error}")

    def check(self) -> None:
        """Handle the changes of all files: load them if nothing would be lost, else ask."""
        for editor in list(self.workspace.editors):
            self.look_at(editor)

    def look_at(self, editor: Editor) -> None:
        """Handle the changes of one file."""
        if editor in self.writing:
            return
        # Do not lock a file with unsaved changes: saving will say why it cannot be written.
        if not self.workspace.pages.read_only and (editor.locked or not editor.dirty):
            editor.locked = editor.file.path is not None and not disk.may_write(editor.path)
        there = self.is_there(editor)
        if not editor.file.is_stale():
            if editor in self._asked:
                self.questions.withdraw(self._asked.pop(editor)[0])
        elif not there:
            self._gone[editor], editor.deleted = editor.file, True
            editor.file = replace(editor.file, text="", fingerprint=None)
            how = "; saving makes it anew" if editor.path.parent.is_dir() else " with its folder"
            self.workspace.notice(f"{editor.path} was deleted{how}")
        else:
            try:
                self._meet_change(editor, self.read_again(editor))
            except InputError as error:
                self.workspace.notice(str(error))
        self.workspace.mark(editor)
        if editor is self.workspace.editor:
            self.workspace.tell_place()
        self.looked()

    def is_there(self, editor: Editor) -> bool:
        """Say whether the file exists. One that reappears is compared with its old state."""
        there = os.path.exists(editor.path)
        if there and (before := self._gone.pop(editor, None)):
            editor.deleted = False
            if not editor.file.fingerprint:
                editor.file = before
            self.watch_anew()  # its folder may have been recreated too
        return there

    def _meet_change(self, editor: Editor, theirs: Document) -> None:
        live = self.is_filled(editor)
        if not editor.dirty and not live:
            self._adopt(editor, theirs)
            self.workspace.notice(f"{editor.path} was reloaded")
            return
        if editor in self._asked:
            question, state = self._asked[editor]
            if question in self.questions.asked and state == theirs.fingerprint:
                return
            self.questions.withdraw(question)
        words = f"{visible(editor.path.name)} has changed on disk"
        question = Question(
            words + ", and here" * editor.dirty + "; an infill is open in it" * live,
            {"k": "keep mine", "r": "reload", "d": "diff", "m": "merge"},
            partial(self.answer, editor),
        )
        self._asked[editor] = question, theirs.fingerprint
        self.questions.ask_about(editor, question)
        self.workspace.notice(f"{editor.path} has changed on disk")

    def answer(self, editor: Editor, letter: str) -> None:
        """Carry out the user's answer about a changed file, with what is on disk now."""
        try:
            theirs = self.read_again(editor)
        except InputError as error:
            self.workspace.notice(str(error))
            return
        if letter == "d":
            self.app.push_screen(self.diff(editor, theirs))
            return
        if letter == "k":
            editor.file = replace(theirs, encoding=editor.file.encoding, bom=editor.file.bom)
            self.workspace.notice("kept; saving will overwrite what is on disk")
        elif letter == "r":
            self._adopt(editor, theirs)
            self.workspace.notice(f"{editor.path} was reloaded; undo brings yours back")
        else:
            self._merge(editor, theirs)
        self.look_at(editor)

    def _merge(self, editor: Editor, theirs: Document) -> None:
        mine = editor.current
        merged = merge(editor.file.text, mine.text, theirs.text, eol=mine.eol)
        self._adopt(editor, theirs, merged.text)
        if merged.conflicts:
            lines = ", ".join(str(line + 1) for line in merged.conflicts[:5])
            more = ", …" if len(merged.conflicts) > 5 else ""
            count = len(merged.conflicts)
            self.workspace.notice(
                f"merged; {count} conflict{'s' * (count > 1)} at line {lines}{more}"
            )
        else:
            self.workspace.notice("merged, not saved yet; undo brings yours back")

    def _adopt(self, editor: Editor, theirs: Document, text: str | None = None) -> None:
        """Take over the file's new state, and its text or another one."""
        editor.file = theirs
        editor.replace_text(theirs.text if text is None else text)
        self.workspace.mark(editor)

    def diff(self, editor: Editor, theirs: Document) -> DiffView:
        """Return a screen that compares the text with its file."""
        lines = diff_lines(editor.text, theirs.text)
        return DiffView(f"{editor.path.name}: here, and on disk", lines)
