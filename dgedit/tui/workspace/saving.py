"""Save files and quit the editor.

A file on disk is checked once more right before it is saved. If it was deleted, it is marked as
such, and its text counts as unsaved until it exists again.

Knows documents and questions; of infills only whether one is open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dgedit.errors import ConflictError, DgeditError
from dgedit.files.disk import instead_of_file
from dgedit.files.document import Document
from dgedit.files.recent import Recent
from dgedit.text.merge import conflicts_in
from dgedit.text.tidying import tidied
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.workspace.disk_changes import DiskChanges
from dgedit.tui.workspace.stdin import Piped
from dgedit.tui.workspace.tabs import Workspace, is_same


class Infills(Protocol):
    """The part of the infill controller that files need."""

    @property
    def is_open(self) -> bool:
        """True if an infill is running or under review."""

    @property
    def is_ready(self) -> bool:
        """True if an infill is under review."""

    def is_in(self, editor: Editor) -> bool:
        """Say whether an infill is open in a file."""

    def drop(self) -> None:
        """Drop the open infill as the editor closes."""


class Saving:
    """Saves files, and quits the editor."""

    def __init__(
        self,
        workspace: Workspace,
        disk: DiskChanges,
        infills: Infills,
        piped: Piped,
        recent: Recent,
    ) -> None:
        self.workspace, self.app, self.disk = workspace, workspace.app, disk
        self.infills, self.piped, self.recent = infills, piped, recent
        self._lock = asyncio.Lock()

    def save_front(self) -> None:
        """Save the current file."""
        self.workspace.work(self.save, self.workspace.editor, group="save", exclusive=False)

    def save_all(self) -> None:
        """Save all files that have anything to save."""
        self.workspace.work(self._save_all, group="save", exclusive=False)

    def save_front_as(self) -> None:
        """Save the current file under another path, and continue with that file."""
        self.workspace.work(self._save_as, self.workspace.editor, group="save-as")

    def ask_leave(self) -> None:
        """Quit; ask first if changes would be lost."""
        self.workspace.work(self._leave_if_sure, group="leave")

    async def save(self, editor: Editor) -> bool:
        """Save a file; return False if it failed, or the user chose not to save."""
        if self.piped.keep(editor):
            self.workspace.mark(editor)
            self.workspace.notice("this will be printed when you quit")
            return True
        if editor.file.path is None:
            return await self._save_as(editor)
        return await self._save_file(editor)

    async def save_quietly(self, editor: Editor) -> None:
        """Save a file as it stands, in a thread, unless another save is under way. One that has
        changed on disk stays, and is asked about.
        """
        if self._lock.locked():
            return
        async with self._lock:
            before = editor.file
            self.disk.writing.add(editor)
            try:
                self.workspace.pages.refuse_other(editor.path)
                saved = await asyncio.to_thread(editor.current.save)
                editor.file = saved if editor.file is before else editor.file
            except ConflictError:
                pass  # of which the look below tells
            except DgeditError as error:
                self.workspace.notice(str(error))
            finally:
                self.disk.writing.discard(editor)
            self.disk.look_at(editor)

    def refuse(self) -> None:
        """Tell why a file cannot be edited or saved."""
        read_only = self.workspace.pages.read_only
        why = "opened with --read-only" if read_only else "you may not write this file"
        self.workspace.notice(f"read-only: {why}")

    async def _save_all(self) -> None:
        dirty = [editor for editor in self.workspace.editors if editor.dirty]
        for done, editor in enumerate(dirty):
            if not await self.save(editor):
                self.workspace.show(editor)
                if done:
                    said = self.workspace.status.notice
                    self.workspace.notice(f"{done} saved; {said or 'the others not'}")
                return
        if len(dirty) != 1:  # of which it was said
            self.workspace.notice(f"saved {len(dirty)} files" if dirty else "nothing to save")

    async def _leave_if_sure(self) -> None:
        dirty = [editor for editor in self.workspace.editors if editor.dirty]
        answer: str | None = "d"
        if dirty:
            names = ", ".join(visible(editor.path.name) for editor in dirty)
            lost = "; the open infill is lost in any case" if self.infills.is_open else ""
            choices = {"s": "save", "d": "discard"}
            answer = await self.app.push_screen_wait(Ask(f"Not saved: {names}{lost}", choices))
        elif self.infills.is_open:
            choices = {"d": "discard"}
            answer = await self.app.push_screen_wait(Ask("An infill is open", choices))
        for editor in dirty if answer == "s" else []:
            if not await self.save(editor):
                self.workspace.show(editor)
                return
        if answer is not None:
            self._leave(dirty if answer == "d" else [])

    def _leave(self, discarded: Sequence[Editor]) -> None:
        """Quit, and discard the unsaved changes of those files."""
        self.workspace.leaving = True
        self.infills.drop()
        self.app.exit(return_code=self.piped.code(self.workspace.editors, discarded))

    async def _save_file(self, editor: Editor) -> bool:
        if editor.locked:
            self.refuse()
            return False
        async with self._lock:
            return await self._write(editor)

    async def _write(self, editor: Editor) -> bool:
        failed: Exception | None = None
        self.disk.is_there(editor)
        editor.file = self._tidied(editor, editor.file)
        try:
            editor.file = await self._saved(editor)
        except (DgeditError, _Kept) as error:
            failed = error
        self.disk.look_at(editor)  # first, as it may show a notice of its own
        if not isinstance(failed, _Kept):
            self.workspace.notice(str(failed) if failed else self._told(editor))
        return failed is None

    def _tidied(self, editor: Editor, file: Document) -> Document:
        """Return a document as the project wants it stored, once the text is as the project wants
        it.
        """
        holes = [(hole.start, hole.end) for hole in editor.holes]
        wanted = self.workspace.pages.tidying(file)
        newline, saved = editor.buffer.newline, editor.file.text
        change = tidied(editor.text, saved, editor.selected, wanted, newline=newline, holes=holes)
        with editor.steady():
            editor.change(change)
        return self.workspace.pages.as_wanted(file)

    def _told(self, editor: Editor) -> str:
        """Word that a file was saved, and what was not included."""
        told = f"saved {editor.path}"
        if count := conflicts_in(editor.text):
            told += f" with {count} conflict{'s' * (count > 1)} marked in it"
        if not self.infills.is_in(editor):
            return told
        return f"{told} without the draft" + ": Alt+Y accepts it" * self.infills.is_ready

    async def _saved(self, editor: Editor) -> Document:
        self.workspace.pages.refuse_other(editor.path)
        try:
            return editor.current.save()
        except ConflictError as error:
            if not os.path.exists(editor.path):  # deleted, so nothing can be overwritten
                return replace(editor.current, fingerprint=None).save()
            self.disk.read_again(editor)
            question = visible(self.workspace.short(str(error)))
        choices = {"k": "keep mine", "r": "reload", "d": "diff", "m": "merge"}
        while (answer := await self.app.push_screen_wait(Ask(question, choices))) == "d":
            diff = self.disk.diff(editor, self.disk.read_again(editor))
            await self.app.push_screen_wait(diff)
        if answer == "k":
            return editor.current.save(overwrite=True)
        if answer is not None:
            self.disk.answer(editor, answer)
        raise _Kept

    async def _save_as(self, editor: Editor) -> bool:
        workspace = self.workspace
        start = workspace.short(editor.path) if editor.file.path else workspace.folder_in_front()
        path = await workspace.ask_path(f"Save {visible(editor.path.name)} as", start)
        if path is None:
            return False
        if editor.file.path is not None and is_same(path, editor.path):
            return await self._save_file(editor)
        if workspace.holding(path):
            workspace.notice(f"{path} is open in another tab")
            return False
        if what := instead_of_file(path):
            workspace.notice(f"{path} is {what}")
            return False
        there = os.path.lexists(path)
        if there:
            question = f"{visible(workspace.short(path))} is there already"
            if await self.app.push_screen_wait(Ask(question, {"o": "overwrite"})) is None:
                return False
        try:
            file = replace(editor.file, path=path)
            if editor.file.path is None:  # else it is a copy
                file = self._tidied(editor, file)
            file = replace(file, text=editor.text, fingerprint=None).save(overwrite=there)
        except DgeditError as error:
            workspace.notice(str(error))
            return False
        editor.rename(path, file)
        self.disk.look_at(editor)
        workspace.relabel()
        self.recent.add([path])
        self.disk.watch_anew()
        workspace.notice(self._told(editor))
        return True


class _Kept(Exception):
    """The user chose not to save."""
