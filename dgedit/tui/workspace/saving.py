"""Files while they are edited: opened, saved, watched, left.

What changed outside is taken over where nothing would be lost, and asked about elsewhere, in a bar
that does not stand in the way. A file is looked at once more right before it is saved. One that was
deleted is marked, and its text is not saved until it is there again.

Knows documents and questions; nothing of infills but that one may be open.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from watchfiles import awatch

from dgedit.errors import ConflictError, DgeditError, InputError
from dgedit.files import disk
from dgedit.files.document import LARGEST, Document, UnfitError
from dgedit.text.merge import conflicts_in, merge
from dgedit.text.readable_diff import diff_lines
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.replacing import replace_text
from dgedit.tui.infill.session import Stage
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.locked import Locked
from dgedit.tui.workspace.recovery import Recovery


class Filing(Recovery):
    """Saving, and what happens to the files outside."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save"),
        Binding("ctrl+q", "leave", "quit"),
    ]

    watching = True
    """Whether to look at what happens to the files outside."""
    viewing = False
    """Whether no file may be edited."""
    force = False
    """Whether files are opened that are binary, or too large."""

    @cached_property
    def _gone(self) -> dict[Editor, Document]:
        """Files that were deleted, as they were."""
        return {}

    @cached_property
    def _asked(self) -> dict[Editor, tuple[Question, disk.Fingerprint | None]]:
        """What is asked about which state of a file on disk."""
        return {}

    def on_mount(self) -> None:
        """See what changes outside."""
        if self.watching:
            self._watch_folders()

    def on_app_focus(self) -> None:
        """Look again: on some file systems nobody is told."""
        if self.watching:
            self.check_disk()

    # Open

    def load(self, path: Path) -> Document:
        """A file's document. Raises InputError for what is no text, or too large, and for a folder:
        whoever shows folders asks for that first.
        """
        try:
            path.stat()
        except FileNotFoundError:
            return super().load(path)
        except (OSError, ValueError):
            pass  # reading it fails as well, and says why
        if what := instead_of_file(path):
            raise InputError(f"{path} is {what}")
        return self._read(path)

    def _read(self, path: Path) -> Document:
        try:
            return Document.load(path, largest=None if self.force else LARGEST, binary=self.force)
        except UnfitError as error:
            raise InputError(f"{error}; --force opens it") from None

    def _read_again(self, editor: Editor) -> Document:
        """What became of a file that is open."""
        _refuse_other(editor.path)
        return self._read(editor.path)

    def page(self, path: Path, file: Document) -> Editor:
        """A widget for a file, locked if the file may not be written."""
        if self.viewing or (file.path is not None and not disk.may_write(path)):
            return self.settled(Locked(path, file, self.settings))
        return super().page(path, file)

    def label(self, editor: Editor) -> str:
        """What is on a file's tab."""
        return super().label(editor) + "".join(f" [{word}]" for word in self._badges(editor))

    def tell_place(self) -> None:
        """Say as well that it is read-only, or deleted."""
        super().tell_place()
        self.status.place += "".join(f" · {word}" for word in self._badges(self.editor))

    def _badges(self, editor: Editor) -> list[str]:
        locked = isinstance(editor, Locked) and editor.locked
        return ["read-only"] * locked + ["deleted"] * (editor in self._gone)

    @on(Locked.Refused)
    def _refuse(self) -> None:
        why = "opened with --read-only" if self.viewing else "you may not write this file"
        self.notice(f"read-only: {why}")

    # Save and leave

    @work
    async def action_save(self) -> None:
        """Save the file in front."""
        await self._save(self.editor)

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        """Quit; ask first when something would be lost."""
        dirty = [editor for editor in self.editors if editor.dirty]
        answer: str | None = "d"
        if dirty:
            names = ", ".join(visible(editor.path.name) for editor in dirty)
            lost = "; the open infill is lost in any case" if self.fill is not None else ""
            choices = {"s": "save", "d": "discard"}
            answer = await self.push_screen_wait(Ask(f"Not saved: {names}{lost}", choices))
        elif self.fill is not None:
            answer = await self.push_screen_wait(Ask("An infill is open", {"d": "discard"}))
        for editor in dirty if answer == "s" else []:
            if not await self._save(editor):
                self.show(editor)
                return
        if answer is not None:
            self.leave(dirty if answer == "d" else [])

    def leave(self, discarded: Sequence[Editor]) -> None:
        """End; what is not saved of those files is given up."""
        self.leaving = True
        self.fill = None  # whoever fills it stops
        self.exit()

    async def _save(self, editor: Editor) -> bool:
        """Save a file; False if it was not, or the user wants to look at it first."""
        if isinstance(editor, Locked) and editor.locked:
            self._refuse()
            return False
        failed: Exception | None = None
        self._is_there(editor)
        try:
            editor.file = await self._saved(editor)
        except (DgeditError, _Kept) as error:
            failed = error
        self._look_at(editor)  # before anything is said here: it has words of its own
        if not isinstance(failed, _Kept):
            self.notice(str(failed) if failed else self.told_saved(editor))
        return failed is None

    def told_saved(self, editor: Editor) -> str:
        """That a file was saved, and what of it was not."""
        told = f"saved {editor.path}"
        if count := conflicts_in(editor.text):
            told += f" with {count} conflict{'s' * (count > 1)} marked in it"
        if self.fill is None or not self.has_draft(editor):
            return told
        accepts = ": Alt+Y accepts it" * (self.fill.stage is Stage.READY)
        return f"{told} without the draft{accepts}"

    def has_draft(self, editor: Editor) -> bool:
        """Whether an infill is open in a file."""
        present = self.fill.present if self.fill is not None else ()
        return any(one is editor for one, _ in present)

    async def _saved(self, editor: Editor) -> Document:
        _refuse_other(editor.path)
        try:
            return editor.current.save()
        except ConflictError as error:
            if not os.path.exists(editor.path):  # nothing is there that could be lost
                return replace(editor.current, fingerprint=None).save()
            self._read_again(editor)
            question = visible(self.short(str(error)))
        choices = {"k": "keep mine", "r": "reload", "d": "diff", "m": "merge"}
        while (answer := await self.push_screen_wait(Ask(question, choices))) == "d":
            await self.push_screen_wait(self._diff(editor, self._read_again(editor)))
        if answer == "k":
            return editor.current.save(overwrite=True)
        if answer is not None:
            self._answer(editor, answer)
        raise _Kept

    # What happens outside

    def watch_anew(self) -> None:
        """Watch the folders of the files that are open now."""
        if self.watching:
            self.workers.cancel_group(self, "watch")
            self._watch_folders()

    @work(group="watch")
    async def _watch_folders(self) -> None:
        files = [editor.path for editor in self.editors if editor.file.path is not None]
        folders = {Path(os.path.realpath(path)).parent for path in files}
        there = [folder for folder in folders if folder.is_dir()]
        if not there:
            return
        # Folders, since a file that is replaced is no longer watched.
        seen = awatch(*there, recursive=False, watch_filter=None, debounce=200, step=50)
        try:
            async for _ in seen:
                self.check_disk()
        except OSError as error:  # no right to read the folder, or too many are watched already
            self.notice(f"changes on disk will only be seen when saving: {error}")

    def check_disk(self) -> None:
        """Take over what changed on disk where nothing would be lost; ask elsewhere."""
        for editor in list(self.editors):
            self._look_at(editor)

    def _look_at(self, editor: Editor) -> None:
        """See what became of one file."""
        if isinstance(editor, Locked) and not self.viewing:
            editor.locked = not disk.may_write(editor.path)
        there = self._is_there(editor)
        if not editor.file.is_stale():
            if editor in self._asked:
                self.withdraw(self._asked.pop(editor)[0])
        elif not there:
            self._gone[editor] = editor.file
            editor.file = replace(editor.file, text="", fingerprint=None)
            how = "; saving makes it anew" if editor.path.parent.is_dir() else " with its folder"
            self.notice(f"{editor.path} was deleted{how}")
        else:
            try:
                self._meet_change(editor, self._read_again(editor))
            except InputError as error:
                self.notice(str(error))
        self.mark(editor)
        if editor is self.editor:
            self.tell_place()

    def _is_there(self, editor: Editor) -> bool:
        """Whether there is a file; one that came back is again the one that the text came from."""
        there = os.path.exists(editor.path)
        if there and (before := self._gone.pop(editor, None)):
            if not editor.file.fingerprint:
                editor.file = before
            self.watch_anew()  # its folder may be another
        return there

    def _meet_change(self, editor: Editor, theirs: Document) -> None:
        live = self.has_draft(editor)
        if not editor.dirty and not live:
            self._adopt(editor, theirs)
            self.notice(f"{editor.path} was reloaded")
            return
        if editor in self._asked:
            question, state = self._asked[editor]
            if question in self.questions and state == theirs.fingerprint:
                return
            self.withdraw(question)
        words = f"{visible(editor.path.name)} has changed on disk"
        question = Question(
            words + ", and here" * editor.dirty + "; an infill is open in it" * live,
            {"k": "keep mine", "r": "reload", "d": "diff", "m": "merge"},
            partial(self._answer, editor),
        )
        self._asked[editor] = question, theirs.fingerprint
        self.ask_about(editor, question)
        self.notice(f"{editor.path} has changed on disk")

    def _answer(self, editor: Editor, letter: str) -> None:
        """Do what the user wants about a file that has changed, as it is on disk now."""
        try:
            theirs = self._read_again(editor)
        except InputError as error:
            self.notice(str(error))
            return
        if letter == "d":
            self.push_screen(self._diff(editor, theirs))
            return
        if letter == "k":
            editor.file = replace(theirs, encoding=editor.file.encoding, bom=editor.file.bom)
            self.notice("kept; saving will overwrite what is on disk")
        elif letter == "r":
            self._adopt(editor, theirs)
            self.notice(f"{editor.path} was reloaded; undo brings yours back")
        else:
            self._merge(editor, theirs)
        self._look_at(editor)

    def _merge(self, editor: Editor, theirs: Document) -> None:
        mine = editor.current
        merged = merge(editor.file.text, mine.text, theirs.text, eol=mine.eol)
        self._adopt(editor, theirs, merged.text)
        if merged.conflicts:
            lines = ", ".join(str(line + 1) for line in merged.conflicts[:5])
            more = ", …" if len(merged.conflicts) > 5 else ""
            count = len(merged.conflicts)
            self.notice(f"merged; {count} conflict{'s' * (count > 1)} at line {lines}{more}")
        else:
            self.notice("merged, not saved yet; undo brings yours back")

    def _adopt(self, editor: Editor, theirs: Document, text: str | None = None) -> None:
        """The file is that from now on; its text, or another, takes the place of the text."""
        editor.file = theirs
        replace_text(editor, theirs.text if text is None else text)
        self.mark(editor)

    def _diff(self, editor: Editor, theirs: Document) -> DiffView:
        lines = diff_lines(editor.text, theirs.text)
        return DiffView(f"{editor.path.name}: here, and on disk", lines)


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


def instead_of_file(path: Path) -> str:
    """What is at a path, in words, if it is no file; empty for a file, and for nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return next((words for fits, words in _KINDS if fits(mode)), "")


def _refuse_other(path: Path) -> None:
    """Raise InputError where something else has taken the place of a file."""
    if what := instead_of_file(path):
        raise InputError(f"{path} is {what} now; F12 saves this text elsewhere")


class _Kept(Exception):
    """The user did not save after all."""
