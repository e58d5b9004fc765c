"""A selection that goes through a shell command, and is replaced by what that prints.

The command runs in a process of its own, in the project's folder, while a key can cancel it. What
it prints is shown as a diff first, and is one undo when it is taken. Where it fails, nothing is
changed, nor where the text was changed meanwhile, as from the disk.

Knows files and questions; processes are `files/shell.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from dgedit.errors import DgeditError
from dgedit.files.document import ERRORS, LARGEST
from dgedit.files.shell import piped
from dgedit.text.edits import Change, Part
from dgedit.text.piping import given, taken
from dgedit.text.readable_diff import diff_lines
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.dialogs import Waiting
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.line_prompt import AskLine
from dgedit.tui.workspace.tabs import Workspace

# Seconds that a command may take, and commands that are remembered.
_PATIENCE = 30.0
_MOST = 50


class Proposal(DiffView):
    """Shows what would be changed, and whether it is to be."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "take", "replace")]
    KEYS = "Enter replace   ↑ ↓ PgUp PgDn scroll   N P next, previous change   Esc leave as it is"
    accepted = False
    """Whether it is."""

    def action_take(self) -> None:
        """It is to be changed."""
        self.accepted = True
        self.dismiss()


class Filtering:
    """Filters the selection of the file in front."""

    def __init__(self, workspace: Workspace, refuse: Callable[[], None]) -> None:
        """`refuse` says why a file cannot be edited."""
        self.workspace, self.app, self._refuse = workspace, workspace.app, refuse
        self._earlier: tuple[str, ...] = ()
        self.patience = _PATIENCE
        """Seconds that a command may take."""

    def ask(self) -> None:
        """Ask for a command, and filter the selection through it."""
        self.workspace.work(self._ask, group="filter")

    async def _ask(self) -> None:
        editor = self.workspace.editor
        if editor.locked:
            self._refuse()
            return
        if editor.selection.is_empty:
            self.workspace.notice("select what a command is to filter; Ctrl+A selects all")
            return
        question = AskLine("Filter the selection through the command", self._earlier)
        command = await self.app.push_screen_wait(question)
        if command is not None:
            others = [one for one in self._earlier if one != command]
            self._earlier = (*others[1 - _MOST :], command)
            await self._filter(editor, command)

    async def _filter(self, editor: Editor, command: str) -> None:
        before, (start, end) = editor.text, sorted(editor.selected)
        old, errors = before[start:end], ERRORS[editor.file.encoding]
        try:
            printed = await self._run(command, given(old, errors))
            if printed is None:
                self.workspace.notice("cancelled: nothing changed")
                return
            new = taken(printed, old, errors, editor.buffer.newline)
            editor.file.with_text(new).encode()  # which is refused where it cannot be stored
        except DgeditError as error:
            self.workspace.notice(str(error))
            return
        if new == old:
            self.workspace.notice("the command leaves the selection as it is")
            return
        lines = await asyncio.to_thread(list, diff_lines(old, new))
        shown = Proposal(command, lines)
        await self.app.push_screen_wait(shown)
        if not shown.accepted:
            return
        if editor not in self.workspace.editors or editor.text != before:
            self.workspace.notice("the text was changed meanwhile: nothing is replaced")
            return
        editor.change(Change((Part(start, end, new),), (start, start + len(new))))

    async def _run(self, command: str, data: bytes) -> bytes | None:
        """Return what the command prints; None when the user cancels it."""
        run = asyncio.ensure_future(
            piped(command, data, self.workspace.folder, patience=self.patience, most=LARGEST)
        )
        waiting = Waiting(f"{visible(command)} is running", "cancel")

        def cancel(_: None) -> None:
            run.cancel()

        self.app.push_screen(waiting, cancel)
        try:
            return await run
        except asyncio.CancelledError:
            if waiting.left:
                return None
            raise
        finally:
            waiting.dismiss()
