"""Files while they are edited: saved, reloaded, watched, left.

Knows documents and questions; nothing of infills but that one may be open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from watchfiles import awatch

from dgedit.document import Document
from dgedit.errors import ConflictError, DgeditError, InputError
from dgedit.tui.desk import Desk
from dgedit.tui.dialogs import Ask
from dgedit.tui.editor import Editor
from dgedit.visible import visible


class Filing(Desk):
    """Saving, and what happens to the files outside."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save"),
        Binding("ctrl+q", "leave", "quit"),
    ]

    watching = True
    """Whether to look at what happens to the files outside."""

    def on_mount(self) -> None:
        """See what changes outside."""
        if self.watching:
            self._watch_folders()

    @work
    async def action_save(self) -> None:
        """Save the file in front."""
        await self._save(self.editor)

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        """Quit; ask first when something would be lost."""
        dirty = [editor for editor in self.editors if editor.dirty]
        if dirty:
            names = ", ".join(visible(editor.path.name) for editor in dirty)
            choices = {"s": "save", "d": "discard"}
            answer = await self.push_screen_wait(Ask(f"Not saved: {names}", choices))
        elif self.fill is not None:
            answer = await self.push_screen_wait(Ask("An infill is open", {"d": "discard"}))
        else:
            answer = "d"
        if answer == "d" or (answer == "s" and all([await self._save(editor) for editor in dirty])):
            self.fill = None  # whoever fills it stops
            self.exit()

    async def _save(self, editor: Editor) -> bool:
        try:
            try:
                editor.file = editor.current.save()
            except ConflictError as error:
                choices = {"o": "overwrite", "r": "reload"}
                answer = await self.push_screen_wait(Ask(visible(str(error)), choices))
                if answer == "r":
                    editor.reload(Document.load(editor.path))
                    return True
                if answer is None:
                    return False
                editor.file = editor.current.save(overwrite=True)
        except DgeditError as error:
            self.notice(str(error))
            return False
        self.mark(editor)
        self.notice(f"saved {editor.path}")
        return True

    @work(group="watch")
    async def _watch_folders(self) -> None:
        folders = {Path(os.path.realpath(editor.path)).parent for editor in self.editors}
        there = [folder for folder in folders if folder.is_dir()]
        # Folders, since a file that is replaced is no longer watched.
        seen = awatch(*there, recursive=False, watch_filter=None, debounce=200, step=50)
        try:
            async for _ in seen:
                self.check_disk()
        except OSError as error:  # no right to read the folder, or too many are watched already
            self.notice(f"changes on disk will only be seen when saving: {error}")

    def check_disk(self) -> None:
        """Take over what changed on disk where nothing would be lost, and tell of it elsewhere."""
        for editor in self.editors:
            if not editor.file.is_stale():
                continue
            live = self.fill is not None and editor in self.fill.editors
            try:
                if editor.dirty or live:
                    self.notice(f"{editor.path} has changed on disk")
                else:
                    editor.reload(Document.load(editor.path))
                    self.notice(f"{editor.path} was reloaded")
            except InputError as error:
                self.notice(str(error))
