"""Offer unsaved text of files that are not open, in one question before those about single files.

A user who lost several files in one crash need not know their names. All are opened, and each asks
for itself, or its text is restored at once; a file that has changed since then always asks.

Knows the journal's entries and tabs; `recovery.py` restores a text.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dgedit.errors import DgeditError
from dgedit.files.journal import Entry, real
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.recovery import Recovery
from dgedit.tui.workspace.tabs import Workspace

# The most names that the question lists.
_NAMED = 2


class LeftOver:
    """Offers the unsaved texts of the project."""

    def __init__(
        self, workspace: Workspace, questions: Questions, opening: Opening, recovery: Recovery
    ) -> None:
        self.workspace, self.questions = workspace, questions
        self.opening, self.recovery = opening, recovery

    def start(self) -> None:
        """Ask about all files at once, unless it is only one that is open and asks for itself."""
        journal, workspace = self.recovery.journal, self.workspace
        if journal is None or workspace.pages.read_only:
            return
        latest: dict[str, Entry] = {}
        for entry in journal.left_below(workspace.folder):
            if self._is_unsaved(entry):
                latest.setdefault(entry.path, entry)
        front = real(workspace.editor.file.path)
        entries = sorted(latest.values(), key=lambda entry: entry.path != front)
        if len(entries) > 1 or any(not workspace.holding(Path(one.path)) for one in entries):
            self._ask_about_all(entries)

    def _is_unsaved(self, entry: Entry) -> bool:
        try:
            return self.workspace.pages.load(Path(entry.path)).text != entry.text
        except DgeditError:
            return True  # opening it will say why it cannot be read

    def _ask_about_all(self, entries: Sequence[Entry]) -> None:
        names = [os.path.relpath(one.path, real(self.workspace.folder)) for one in entries]
        more = len(names) - _NAMED
        if more > 0:
            names[_NAMED:] = [f"{more} more file{'s' * (more > 1)}"]
        *before, last = map(visible, names)
        listed = f"{', '.join(before)} and {last}" if before else last
        them, all_of_them = ("them", "all") if before else ("it", "it")
        question = Question(
            f"changes of {listed} were never saved, but kept",
            {"r": f"put {all_of_them} back", "o": f"open {them}", "i": "hide this"},
            lambda letter: self._answer_for_all(entries, letter, question),
        )
        self.questions.ask_about(None, question)

    def _answer_for_all(self, entries: Sequence[Entry], letter: str, question: Question) -> None:
        self.questions.withdraw(question)
        if letter != "i":
            back = letter == "r"
            self.workspace.work(self._open_all, entries, back, group="recover", exclusive=False)

    async def _open_all(self, entries: Sequence[Entry], put_back: bool) -> None:
        """Open the files, and bring the first one to the front."""
        opened: list[Editor] = []
        count = 0
        for entry in entries:
            path = Path(entry.path)
            # Find the tab by path: the user may have switched tabs in the meantime.
            if await self.opening.open_file(path) and (editor := self.workspace.holding(path)):
                opened.append(editor)
                count += put_back and self.recovery.put_back_unchanged(editor, entry)
        if opened:
            self.workspace.show(opened[0])
        if count:
            of = f"{count} of {len(entries)}" if count < len(entries) else str(count)
            texts = "text" if len(entries) == 1 else "texts"
            ask = any(editor in self.questions.asked.values() for editor in opened)
            asked = "; what has changed since then asks" * ask
            self.workspace.notice(
                f"put back {of} {texts}, not saved yet: Ctrl+S saves, Ctrl+Z undoes{asked}"
            )
