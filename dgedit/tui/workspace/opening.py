"""Find, open, create and close files of the project.

A file that cannot be opened causes a notice and no change. The project is listed in a thread
whenever the user wants to open a file, while the previous list is shown; 50,000 files at most.

Knows tabs, folders and questions; of infills only whether one is open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic

from textual.worker import get_current_worker

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.files.project import MOST, files_of
from dgedit.files.recent import Recent
from dgedit.text.visible import visible
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace.disk_changes import DiskChanges
from dgedit.tui.workspace.saving import Saving
from dgedit.tui.workspace.tabs import Workspace

# Seconds between updates of the list while the project is read.
_EVERY = 0.5


class Opening:
    """Opens, creates and closes files, and shows the project's tree."""

    def __init__(
        self, workspace: Workspace, disk: DiskChanges, saving: Saving, recent: Recent
    ) -> None:
        self.workspace, self.app, self.disk = workspace, workspace.app, disk
        self.saving, self.recent = saving, recent
        self.tree: FileTree | None = None
        """The project's tree, once it was shown."""
        self._found: Sequence[str] = ()
        self._found_more = ""  # a note if the project has more files than are listed

    def start(self, *, show_tree: bool) -> None:
        """Add the open files to the recent ones, and show the tree if a folder was opened."""
        editors = self.workspace.editors
        self.recent.add(editor.path for editor in reversed(editors) if editor.file.path)
        if show_tree:
            alone = editors[0].file.path is None and not self.recent.paths()
            self.app.call_after_refresh(self.show_tree, focus=alone)
        self.app.call_after_refresh(self.workspace.editor.scroll_cursor_visible, center=True)
        new = [_to_make(editor.path) for editor in editors if _is_new(editor.file)]
        told = [f"new file: {', '.join(new)}"] if new else []
        told += dict.fromkeys(editor.warning for editor in editors if editor.warning)
        if told:
            self.workspace.notice("; ".join(told))

    # Open

    def ask_file(self) -> None:
        """Let the user choose a file by letters of its name, recent files first."""
        self.workspace.work(self._ask_file, group="open")

    def ask_path(self) -> None:
        """Open a file by its path; a new one is created when it is saved."""
        self.workspace.work(self._ask_path, group="open")

    async def _ask_file(self) -> None:
        screen = Choose(
            "letters of a file's name", *self._offer(self._found), note=self._found_more
        )
        walk = partial(self._walk, screen)
        self.app.run_worker(walk, group="walk", thread=True, exclusive=True)
        at = await self.app.push_screen_wait(screen)
        if at is not None:
            await self.open_file(self.workspace.folder / screen.choices[at].name)

    async def _ask_path(self) -> None:
        path = await self.workspace.ask_path("Open", self.workspace.folder_in_front())
        if path is not None:
            await self.open_file(path)

    async def open_file(self, path: Path) -> bool:
        """Open a file in a tab, or switch to its tab; return False, with a notice, if
        that fails.
        """
        if there := self.workspace.holding(path):
            self.workspace.show(there)
            return True
        try:
            file = self.workspace.pages.load(path)
        except DgeditError as error:
            self.workspace.notice(str(error))
            return False
        before = self.workspace.editor
        page = self.workspace.pages.page(path, file)
        await self.workspace.add(page)
        if before.file.path is None and not before.text and len(self.workspace.editors) == 2:
            await self.workspace.remove(before)
        self.recent.add([path])
        self.disk.watch_anew()
        told = [f"new file: {_to_make(path)}"] if _is_new(file) else []
        if told := [*told, page.warning] if page.warning else told:
            self.workspace.notice("; ".join(told))
        return True

    def _offer(self, found: Sequence[str]) -> tuple[list[Choice], list[int]]:
        """Return the choices, and the indices of those shown while nothing is typed."""
        top = os.path.abspath(self.workspace.folder)
        recent = []
        for path in map(str, self.recent.paths()):
            inside = path.startswith(top.rstrip("/") + "/")
            recent.append(os.path.relpath(path, top) if inside else path)
        front = self.workspace.editor.file.path and os.path.abspath(self.workspace.editor.path)
        first = [name for name in recent if os.path.join(top, name) != front]
        first = [name for name in first if os.path.isfile(os.path.join(top, name))]
        lately = set(first)
        names = [*first, *(name for name in found if name not in lately)]
        choices = [Choice(name, ("opened lately" if name in lately else "",)) for name in names]
        return choices, list(range(min(len(names), 100)))

    def _walk(self, screen: Choose) -> None:
        worker, told, found = get_current_worker(), monotonic(), list[str]()
        cut = ""
        for name in files_of(self.workspace.folder, MOST + 1):
            if worker.is_cancelled:
                return
            if len(found) == MOST:
                cut = f"stopped at {MOST:,} files: Ctrl+O opens any by its path"
                break
            found.append(name)
            if monotonic() - told > _EVERY and len(found) > len(self._found):
                screen.post_message(Choose.More(*self._offer(found)))
                told = monotonic()
        self._found, self._found_more = found, cut
        screen.post_message(Choose.More(*self._offer(found), note=cut))

    # Close and create

    async def new(self) -> None:
        """Open an empty text; saving it asks for its name."""
        await self.workspace.add(self.workspace.pages.untitled())

    def close(self) -> None:
        """Close the current file; ask first if changes would be lost."""
        self.workspace.work(self._close, group="close")

    async def _close(self) -> None:
        editor = self.workspace.editor
        name = visible(editor.path.name)
        if self.disk.is_filled(editor):
            self.workspace.notice(
                f"an infill is open in {editor.path.name}: accept or reject it first"
            )
            return
        if editor.dirty:
            choices = {"s": "save", "d": "discard"}
            answer = await self.app.push_screen_wait(Ask(f"Not saved: {name}", choices))
            if answer is None or (answer == "s" and not await self.saving.save(editor)):
                return
        await self.workspace.remove(editor)

    # The tree

    async def toggle_tree(self) -> None:
        """Show the tree of the project's files, or hide it."""
        if self.tree is not None and self.tree.display:
            self.tree.display = False
            self.workspace.editor.focus()
        else:
            await self.show_tree()

    async def change_folder(self, folder: Path) -> None:
        """Make another folder the project's, and show its tree."""
        self.workspace.folder, self._found = folder, ()
        if self.tree is not None:
            await self.tree.remove()
            self.tree = None
        await self.show_tree(focus=False)

    async def show_tree(self, *, focus: bool = True) -> None:
        """Show the tree as the folder is now."""
        if self.tree is None:
            self.tree = FileTree(self.workspace.folder)
            await self.app.query_one("#middle").mount(self.tree, before=0)
        else:
            self.tree.display = True
            self.tree.reload()
        if focus:
            self.tree.focus()

    def leave_tree(self) -> None:
        """Move the focus from the tree to the text."""
        self.workspace.editor.focus()


def _is_new(file: Document) -> bool:
    """Say whether saving will create the file."""
    return file.path is not None and file.fingerprint is None


def _to_make(path: Path) -> str:
    return str(path) if path.parent.is_dir() else f"{path}, in a folder that is not there"
