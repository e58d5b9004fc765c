"""Keep unsaved text while it is edited, offer it after a crash, and show who else edits a file.

Within a second after an edit the unsaved text is written to the journal, in a thread; when it is
saved, equals its file again, or is discarded on quitting, the entry is deleted. On a signal or an
internal error it is written at once.

Leftover text is looked up before a file is first drawn, so that the question is there from the
first frame on: this reads one folder. Who else has a file open is found out later, in a thread.

Knows editors and the journal; `saving.py` handles the files on disk. Costs nothing between edits: a
text is only looked at after one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from time import localtime, strftime

from dgedit.files.document import Document
from dgedit.files.journal import Entry, Journal, Process
from dgedit.text.readable_diff import diff_lines
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.stdin import Piped
from dgedit.tui.workspace.tabs import Workspace

# Seconds between checks for edited texts. Even with a slow disk, what is typed is safe within two.
_EVERY = 1.0


class Recovery:
    """Keeps unsaved text, and offers text that was kept."""

    def __init__(
        self,
        workspace: Workspace,
        questions: Questions,
        piped: Piped,
        journal: Journal | None,
    ) -> None:
        """Take the journal that stores unsaved text; None to keep nothing."""
        self.workspace, self.app, self.questions = workspace, workspace.app, questions
        self.piped, self.journal = piped, journal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._code: int | None = None  # the exit code of a signal, which may come before the start
        self._told = False  # whether the user was told that nothing can be kept
        # the known editors, each with its file as of the last time its text was kept
        self._known: dict[Editor, Document] = {}
        self._edited: set[Editor] = set()  # editors with edits that are not in the journal yet
        # The entry that a text was restored from, and its file then. It is deleted only when that
        # text is saved or discarded: if the restoration is undone, it is offered again.
        self._recovered: dict[Editor, tuple[Entry, Document]] = {}
        # the known entries, each with the question about it, if there was one
        self._offered: dict[Entry, Question | None] = {}
        self._company: dict[Editor, list[Process]] = {}  # other processes with the file open
        self._announced: dict[Editor, Question] = {}
        self._slots: dict[Editor, int] = {}

    def start(self) -> None:
        """Offer leftover text, and start keeping unsaved text."""
        self._loop = asyncio.get_running_loop()
        if self._code is not None:
            self._leave_at_once(self._code)
        for editor in self.workspace.editors:
            self.offer_left(editor)
        if self.journal is not None:
            self.workspace.work(self._keep_all, self.journal, group="journal")

    def offer_left(self, editor: Editor) -> None:
        """Offer the leftover text of a file."""
        if self.journal is not None:
            self._offer_left(editor, self.journal.left(editor.file.path))

    def end_by_signal(self, code: int) -> None:
        """Keep unsaved text, and quit with an exit code. May be called from a signal handler."""
        self._code = code
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave_at_once, code)

    def secure(self) -> list[Editor]:
        """Keep unsaved text at once, unless the user chose to discard it; return the editors
        concerned.
        """
        kept: list[Editor] = []
        if self.journal is None:
            return kept
        for editor in self.workspace.editors:
            slot, unsaved = self._slot(editor, editor.file), self.unsaved(editor)
            kept += [editor] * (unsaved is not None)
            with contextlib.suppress(Exception):  # the entry kept before has to suffice then
                if unsaved is not None:
                    self.journal.keep(unsaved, slot)
                else:
                    self.journal.drop(editor.file.path, slot)
        return kept

    def unsaved(self, editor: Editor) -> Document | None:
        """Return the unsaved text of a file that must be kept; None if there is none."""
        if refused := self.piped.refused(editor):
            return refused
        return editor.current if editor.dirty and not self.workspace.leaving else None

    def retire(self) -> list[Editor]:
        """Keep unsaved text and close all files in the journal, once the screen is gone."""
        kept = self.secure()
        for editor in self._recovered.keys() - {*kept}:
            self._settle(editor, gone=True)
        for editor, file in self._known.items():
            if editor not in kept:
                self._forget(editor, file)
            elif self.journal and file.path:
                with contextlib.suppress(OSError):
                    self.journal.close(file.path)
        return kept

    def _leave_at_once(self, code: int) -> None:
        self.secure()
        self.app.exit(return_code=code)

    def note_edit(self, editor: Editor) -> None:
        """Mark a file as edited, so that its text is kept soon."""
        self._edited.add(editor)

    async def _keep_all(self, journal: Journal) -> None:
        while True:
            await self._keep_each(journal)
            await asyncio.sleep(_EVERY)

    async def _keep_each(self, journal: Journal) -> None:
        for editor in [editor for editor in self._known if editor not in self.workspace.editors]:
            self._settle(editor, gone=True)
            self._forget(editor, self._known.pop(editor))
        for editor in list(self.workspace.editors):
            known = self._known.get(editor)
            if known is None or known.path != editor.file.path:
                await self._meet(journal, editor)
            elif any(not one.runs for one in self._company.get(editor, [])):
                await self._look_around(journal, editor)
            if editor in self._edited or known is not editor.file:
                await self._keep(journal, editor)

    async def _keep(self, journal: Journal, editor: Editor) -> None:
        self._edited.discard(editor)
        self._known[editor] = editor.file
        current, slot = editor.current, self._slot(editor, editor.file)
        try:
            if current.text != editor.file.text:
                await asyncio.to_thread(journal.keep, current, slot)
            if not editor.dirty or editor not in self.workspace.editors:  # saved or closed by now
                journal.drop(current.path, slot)
                self._settle(editor)
        except OSError as error:
            self._edited.add(editor)
            self._complain(error)

    async def _meet(self, journal: Journal, editor: Editor) -> None:
        """Record a newly opened file; look for other processes and leftover text."""
        if editor in self._known:
            self._forget(editor, self._known[editor])
        self._known[editor] = editor.file
        await self._look_around(journal, editor)

    async def _look_around(self, journal: Journal, editor: Editor) -> None:
        path = editor.file.path
        try:
            others = await asyncio.to_thread(journal.open, path) if path else []
        except OSError as error:
            others = []
            self._complain(error)
        # Only those on this machine: their end can be noticed.
        self._company[editor] = [one for one in others if one.runs]
        self._offer_left(editor, await asyncio.to_thread(journal.left, path))
        if editor in self._announced:
            self.questions.withdraw(self._announced.pop(editor))
        if others:
            who = visible(", ".join(f"pid {one.pid} on {one.host}" for one in others))
            words = f"{visible(editor.path.name)} is open in another dgedit: {who}"
            self._announced[editor] = question = Question(
                words, {"i": "hide this"}, lambda letter: self.questions.withdraw(question)
            )
            self.questions.ask_about(editor, question)

    def _offer_left(self, editor: Editor, entries: Sequence[Entry]) -> None:
        """Offer each leftover text that is new to us, the latest first."""
        texts = set[str]()
        for entry in entries:
            if entry.text in texts:  # restored and left unsaved again: a later entry holds it
                self._discard(entry)
            elif entry not in self._offered:
                self._offered[entry] = None
                self._offer_text(editor, entry)
            texts.add(entry.text)

    def put_back_unchanged(self, editor: Editor, entry: Entry) -> bool:
        """Restore a text without asking; return False if its file has changed since then."""
        question = self._offered.get(entry)
        if question not in self.questions.asked or entry.base != _base(editor):
            return False
        self._recover(editor, entry, "r", question)
        return True

    def _offer_text(self, editor: Editor, entry: Entry) -> None:
        """Ask what to do with a leftover text."""
        name = visible(editor.path.name)
        if entry.text == editor.text:
            self._discard(entry)
            return
        if editor.locked:
            self.workspace.notice(
                f"{editor.path} has unsaved text, to be recovered where it can be edited"
            )
            return
        when = strftime("%Y-%m-%d %H:%M", localtime(entry.written))
        since = "" if entry.base == _base(editor) else "; the file has changed since then"
        host = entry.process.host
        where = "" if self.journal and host == self.journal.process.host else f" on {host}"
        question = Question(
            f"{name}: changes of {when}{visible(where)} were never saved, but kept{since}",
            {"r": "put them back", "d": "compare", "x": "throw them away"},
            lambda letter: self._recover(editor, entry, letter, question),
        )
        self._offered[entry] = question
        self.questions.ask_about(editor, question)

    def _recover(self, editor: Editor, entry: Entry, letter: str, question: Question) -> None:
        if letter == "d":
            title = f"{editor.path.name}: the text here, and what was not saved"
            self.app.push_screen(DiffView(title, diff_lines(editor.text, entry.text)))
            return
        self.questions.withdraw(question)
        if letter == "x":
            self._discard(entry)
            self.workspace.notice(f"{editor.path.name} is as it was saved last")
        elif editor.file.path is None and editor.text:
            self.workspace.work(
                self._recover_apart, editor, entry, group="recover", exclusive=False
            )
        else:
            self._put_back(editor, entry)

    async def _recover_apart(self, editor: Editor, entry: Entry) -> None:
        """Restore a text without a file in a tab of its own."""
        apart = self.workspace.pages.untitled()
        await self.workspace.add(apart)
        self._put_back(apart, entry)
        if editor in self.questions.asked.values():
            self.workspace.show(editor)

    def _put_back(self, editor: Editor, entry: Entry) -> None:
        if editor.file.fingerprint is None:
            editor.file = replace(editor.file, encoding=entry.encoding, bom=entry.bom)
        before = self._recovered.get(editor)
        self._recovered[editor] = entry, editor.file
        editor.replace_text(entry.text)
        if before is not None:  # another restored text, which this one has replaced
            self._offer_text(editor, before[0])
        self.workspace.mark(editor)
        self.workspace.notice("put back, not saved yet: Ctrl+S saves, Ctrl+Z undoes")

    def _settle(self, editor: Editor, *, gone: bool = False) -> None:
        """Delete or offer again the entry that a text was restored from, once the text is
        unchanged, or its tab closed (`gone`).
        """
        if editor not in self._recovered or (editor.dirty and not gone):
            return
        entry, file = self._recovered.pop(editor)
        if editor.dirty or editor.file is not file:  # the user discarded or saved it
            self._discard(entry)
        elif not gone:  # the restoration was undone
            self._offer_text(editor, entry)

    def _discard(self, entry: Entry) -> None:
        if self.journal is not None:
            with contextlib.suppress(OSError):  # if that fails, it is offered again
                self.journal.discard(entry)

    def _forget(self, editor: Editor, file: Document) -> None:
        if self.journal is not None:
            with contextlib.suppress(OSError):
                self.journal.drop(file.path, self._slot(editor, file))
                if file.path is not None:
                    self.journal.close(file.path)

    def _slot(self, editor: Editor, file: Document) -> int:
        """Return the number that identifies a text without a file; 0 for a file's text."""
        if file.path is not None:
            return 0
        return self._slots.setdefault(editor, len(self._slots) + 1)

    def _complain(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self.workspace.notice(
                f"unsaved text cannot be kept for a crash: {error.strerror or error}"
            )


def _base(editor: Editor) -> str:
    fingerprint = editor.file.fingerprint
    return fingerprint.digest.hex() if fingerprint else ""
