"""Show beside the text which lines differ from git's last commit, go from one to the next, and take
one back.

A file's committed text is read when the file is first shown, has another state on disk or another
path than before, and whenever the terminal gets the focus, as a commit may have been made there.
Reading and comparing happen in threads, a moment after the last edit; a result for a text that has
changed meanwhile is dropped. Until the next one the signs move with their lines. Where there is no
git, no repository or no such file in the last commit, there are no signs and no message.

Knows editors and lines; `files/git.py` knows git, `text/line_changes.py` compares.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from textual.timer import Timer

from dgedit.errors import InputError
from dgedit.files import git
from dgedit.files.disk import Fingerprint
from dgedit.files.document import LINE_END, Document
from dgedit.text.edits import Change, Part
from dgedit.text.line_changes import (
    ChangedLines,
    change_at,
    line_changes,
    marks,
    next_change,
    taken_back,
)
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace

_PAUSE = 0.3  # seconds without an edit after which the lines are compared again
_MOST = 8_000_000  # bytes of a committed file; a larger one has no signs


@dataclass(slots=True)
class _Committed:
    """What git has of a file."""

    of: tuple[Path, Fingerprint | None]
    """The file's path and its state on disk when git was asked."""
    lines: list[str] | None = None
    """Its lines in the last commit, without their endings; None if it has none."""
    branch: str = ""
    """The branch that is checked out."""


class GitGutter:
    """The signs of the lines that differ from git's last commit, and what can be done with them."""

    def __init__(self, workspace: Workspace, *, on: bool = True) -> None:
        """Take `on`, without which git is never asked."""
        self.workspace, self.app, self.on = workspace, workspace.app, on
        self._known: WeakKeyDictionary[Editor, _Committed] = WeakKeyDictionary()
        self._edited: set[Editor] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Read what git has of the visible files, after the first frame."""
        if self.on:
            self._timer = self.app.set_interval(_PAUSE, self._compare_edited, pause=True)
            self.app.call_after_refresh(self.look)

    # Reading and comparing

    def look(self) -> None:
        """Ask git about the visible files that it was not asked about as they are now."""
        if self._timer is None:
            return
        for editor in self.workspace.visible:
            of = editor.path, editor.file.fingerprint
            known = self._known.get(editor)
            if known is None or known.of != of:
                # Kept until there is an answer, so that no sign flickers.
                self._known[editor] = (
                    _Committed(of, known.lines, known.branch) if known else _Committed(of)
                )
                self.workspace.work(self._read, editor, group=f"git-{id(editor)}")
        self._tell_branch()

    def read_again(self) -> None:
        """Ask git about all files anew, those that are not visible when they are shown."""
        for known in self._known.values():
            known.of = Path(), None
        self.look()

    def note_edit(self, editor: Editor) -> None:
        """Compare a file's lines again once no edit has come for a moment."""
        if self._timer is not None and editor in self._known:
            self._edited.add(editor)
            self._timer.reset()

    def _compare_edited(self) -> None:
        assert self._timer is not None
        self._timer.pause()
        for editor in self._edited:
            self.workspace.work(self._compare, editor, group=f"git-lines-{id(editor)}")
        self._edited.clear()

    async def _read(self, editor: Editor) -> None:
        path, known = editor.path, self._known[editor]
        if editor.file.path is None:
            known.lines, known.branch = None, ""
        else:
            known.lines, known.branch = await asyncio.to_thread(_committed, str(path))
        self._tell_branch()
        await self._compare(editor)

    async def _compare(self, editor: Editor) -> list[ChangedLines] | None:
        """Compare a file's lines with the committed ones, and mark those that differ; None if
        either has changed meanwhile.
        """
        known = self._known.get(editor)
        if known is None or known.lines is None:
            editor.mark_lines(bytearray(editor.buffer.line_count))
            return []
        committed, lines = known.lines, editor.buffer.lines[:]
        found, marked = await asyncio.to_thread(_compared, committed, lines)
        # Unchanged lines are the same objects, so this takes 0.5 ms.
        if known.lines is not committed or editor.buffer.lines != lines:
            return None
        editor.mark_lines(marked)
        return found

    def _tell_branch(self) -> None:
        known = self._known.get(self.workspace.editor)
        self.workspace.status.branch = known.branch if known else ""

    # Going to changes, and taking them back

    async def step(self, by: int) -> None:
        """Go to the next change of the current file, or the previous one."""
        editor = self.workspace.editor
        found = await self._found(editor)
        change = next_change(found, editor.cursor_location[0], by)
        if change is not None:
            editor.move_cursor((change.rows.start, 0), center=True)
            at = found.index(change) + 1
            self.workspace.notice(f"change {at:,} of {len(found):,}")

    async def revert(self) -> None:
        """Put the committed lines back in place of those at the cursor."""
        editor = self.workspace.editor
        found = await self._found(editor)
        change = change_at(found, editor.cursor_location[0])
        if change is None:
            if found:
                self.workspace.notice("no change since the last commit at the cursor")
            return
        buffer = editor.buffer
        top, bottom, text = taken_back(change, buffer.lines, buffer.newline)
        start = buffer.index(top)
        editor.change(Change((Part(start, buffer.index(bottom), text),), (start, start)))
        if not editor.locked:
            self.workspace.notice("back to the last commit; undo brings yours back")

    async def _found(self, editor: Editor) -> list[ChangedLines]:
        """Return the present changes, or none and say why."""
        known = self._known.get(editor)
        if known is None or known.lines is None:
            none = f"git has no {editor.path.name} to compare with"
            self.workspace.notice(none if self.on else "git is off in the settings")
            return []
        while (found := await self._compare(editor)) is None:
            pass
        if not found:
            self.workspace.notice(f"{editor.path.name} is as in the last commit")
        return found


def _committed(path: str) -> tuple[list[str] | None, str]:
    """Return a file's committed lines, if it has some that are text, and its branch."""
    data = git.committed(path, most=_MOST)
    lines = None
    if data is not None:
        with suppress(InputError):
            lines = LINE_END.split(Document.from_bytes(data).text)
    return lines, git.branch(path)


def _compared(old: list[str], new: list[str]) -> tuple[list[ChangedLines], bytearray]:
    found = line_changes(old, new)
    return found, marks(found, len(new))
