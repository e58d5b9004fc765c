"""Unsaved text of files that are not open: one question for all of them, before any of a file's.

Who has lost several files with one crash need not know their names. All are opened, and each asks
for itself, or is put back at once; of a file that has changed since then it is always asked.

Knows the journal's entries and tabs; what becomes of one text is `recovery.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from textual import work

from dgedit.errors import DgeditError
from dgedit.files.journal import Entry, real
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.opening import Opening

# Names that the question gives.
_NAMED = 2


class LeftOver(Opening):
    """What is left over in the project."""

    def on_mount(self) -> None:
        """Ask about all files at once, unless there is only one and it asks for itself."""
        if self.journal is None or self.viewing:
            return
        latest: dict[str, Entry] = {}
        for entry in self.journal.left_below(self.folder):
            if self._is_unsaved(entry):
                latest.setdefault(entry.path, entry)
        front = real(self.editor.file.path)
        entries = sorted(latest.values(), key=lambda entry: entry.path != front)
        if len(entries) > 1 or any(not self.holding(Path(entry.path)) for entry in entries):
            self._ask_about_all(entries)

    def _is_unsaved(self, entry: Entry) -> bool:
        try:
            return self.load(Path(entry.path)).text != entry.text
        except DgeditError:
            return True  # opening it says why

    def _ask_about_all(self, entries: Sequence[Entry]) -> None:
        names = [os.path.relpath(one.path, real(self.folder)) for one in entries]
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
        self.ask_about(None, question)

    def _answer_for_all(self, entries: Sequence[Entry], letter: str, question: Question) -> None:
        self.withdraw(question)
        if letter != "i":
            self._open_all(entries, put_back=letter == "r")

    @work(group="recover")
    async def _open_all(self, entries: Sequence[Entry], *, put_back: bool) -> None:
        """Open the files, and bring the first to the front."""
        opened: list[Editor] = []
        count = 0
        for entry in entries:
            path = Path(entry.path)
            # By its path: while it was opened, another file may have come to the front.
            if await self.open_file(path) and (editor := self.holding(path)):
                opened.append(editor)
                count += put_back and self.put_back_unchanged(editor, entry)
        if opened:
            self.show(opened[0])
        if count:
            of = f"{count} of {len(entries)}" if count < len(entries) else str(count)
            texts = "text" if len(entries) == 1 else "texts"
            ask = any(editor in self.questions.values() for editor in opened)
            asked = "; what has changed since then asks" * ask
            self.notice(f"put back {of} {texts}, not saved yet: Ctrl+S saves, Ctrl+Z undoes{asked}")
