"""Create, rename, copy and delete files of the project, from its tree or for the current file.

With the focus in the tree they are for the file or folder at its cursor, else for the current file.
Nothing is overwritten. A file that is open goes along when it or its folder is renamed: its tab
keeps the text, the undo history and, under the new path, its entry in the journal. One that is
deleted stays open, marked as deleted. The tree follows the disk while it is shown.

Knows paths, tabs and the tree; `files/moving.py` and `files/trash.py` do the work.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from watchfiles import Change as FileChange
from watchfiles import awatch

from dgedit.errors import DgeditError
from dgedit.files import moving
from dgedit.files.trash import throw_away, trash_for
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.tabs import Workspace


class FileCommands:
    """Commands on files and folders, and the tree that follows the disk."""

    def __init__(self, workspace: Workspace, opening: Opening) -> None:
        self.workspace, self.app, self.opening = workspace, workspace.app, opening
        self.disk, self.recent = opening.disk, opening.recent
        self._watched: set[str] = set()

    def create_file(self) -> None:
        """Ask for the path of a new file, create it and open it."""
        self.workspace.work(self._create, "New file", moving.create_file, group="files")

    def create_folder(self) -> None:
        """Ask for the path of a new folder, and create it."""
        self.workspace.work(self._create, "New folder", moving.create_folder, group="files")

    def rename(self) -> None:
        """Ask for another path of a file or folder."""
        self.workspace.work(self._rename, group="files")

    def duplicate(self) -> None:
        """Ask for the path of a copy."""
        self.workspace.work(self._duplicate, group="files")

    def delete(self) -> None:
        """Move a file or folder to the trash, or delete it for good, when the user agrees."""
        self.workspace.work(self._delete, group="files")

    def reveal(self) -> None:
        """Show the current file in the tree."""
        self.workspace.work(self._reveal, group="files")

    # What it is done to

    def _pointed(self) -> Path | None:
        """Return the path that a command is for; None, with a notice, if there is none."""
        tree, editor = self.opening.tree, self.workspace.editor
        if tree is not None and self.app.focused is tree:
            if tree.pointed is None:
                self.workspace.notice("the project's own folder stays as it is")
            return tree.pointed
        if editor.file.path is None or not os.path.lexists(editor.path):
            self.workspace.notice("this text has no file yet: save it first")
            return None
        return editor.path

    def _start(self) -> str:
        """Return the folder in which something new is to be, as the start of a path to type."""
        tree = self.opening.tree
        if tree is None or self.app.focused is not tree:
            return self.workspace.folder_in_front()
        folder = tree.pointed or self.workspace.folder
        folder = folder if folder.is_dir() else folder.parent
        return self.workspace.short(folder / "x").removesuffix("x")

    def _affected(self, path: Path) -> dict[Editor, Path]:
        """Return the open files that are a path or in it, with their paths from there."""
        top = _place(path)
        places = {one: _place(one.path) for one in self.workspace.editors if one.file.path}
        return {
            editor: place.relative_to(top)
            for editor, place in places.items()
            if place.is_relative_to(top) and not editor.deleted
        }

    # The commands

    async def _create(self, question: str, create: Callable[[Path], None]) -> None:
        path = await self.workspace.ask_path(question, self._start())
        if path is None or not await self._tried(create, path):
            return
        self.workspace.notice(f"created {path}")
        await self._show(path)
        if create is moving.create_file:
            await self.opening.open_file(path)

    async def _rename(self) -> None:
        source = self._pointed()
        if source is None:
            return
        question = f"Rename or move {visible(source.name)} to"
        target = await self.workspace.ask_path(question, self.workspace.short(source))
        if target is None or _place(target) == _place(source):
            return
        if target.is_dir() and not _is_same_name(source, target):
            target /= source.name
        if (other := self.workspace.holding(target)) and other.path != source:
            self.workspace.notice(f"{target} is open in another tab")
            return
        affected = self._affected(source)
        if not await self._tried(moving.move, source, target):
            return
        for editor, inner in affected.items():
            path = target / inner
            editor.rename(path, replace(editor.file, path=path))
            self.disk.look_at(editor)
        self.workspace.relabel()
        self.recent.add(editor.path for editor in affected)
        self.disk.watch_anew()
        self.workspace.notice(f"{source} is now {target}")
        await self._show(target)

    async def _duplicate(self) -> None:
        source = self._pointed()
        if source is None:
            return
        start = self.workspace.short(moving.free_name(source))
        target = await self.workspace.ask_path(f"Copy {visible(source.name)} to", start)
        if target is None:
            return
        if target.is_dir():
            target /= source.name
        if await self._tried(moving.copy, source, target, long=True):
            self.workspace.notice(f"copied to {target}")
            await self._show(target)

    async def _delete(self) -> None:
        path = self._pointed()
        if path is None:
            return
        trash = trash_for(path)
        name = visible(self.workspace.short(path))
        if path.is_dir() and not path.is_symlink():
            name = f"the folder {name} and all in it"
        unsaved = sum(editor.dirty for editor in self._affected(path))
        stays = "\nUnsaved text in it stays open" if unsaved else ""
        if trash is not None:
            ask = Ask(f"Move {name} to the trash?{stays}", {"d": "move to the trash"})
        else:
            ask = Ask(
                f"Delete {name} for good? There is no trash here{stays}", {"d": "delete for good"}
            )
        if await self.app.push_screen_wait(ask) is None:
            return
        if trash is not None:
            done = await self._tried(throw_away, path, trash, long=True)
        else:
            done = await self._tried(moving.delete, path, long=True)
        if done:
            self.disk.check()
            self.workspace.notice(f"{path} is in the trash" if trash else f"{path} is deleted")
        await self._show(None)

    async def _reveal(self) -> None:
        path = self.workspace.editor.path
        await self.opening.show_tree()
        if self.workspace.editor.file.path is None or not await self._show(path):
            self.workspace.notice(f"{path.name} is not among the project's files")

    async def _tried(self, do: Callable[..., None], *given: Path, long: bool = False) -> bool:
        """Do something with files, in a thread if it may take long; return False, with a notice, if
        that fails.
        """
        try:
            if long:
                await asyncio.to_thread(do, *given)
            else:
                do(*given)
        except DgeditError as error:
            self.workspace.notice(str(error))
            return False
        return True

    # The tree

    async def _show(self, path: Path | None) -> bool:
        """Read the tree anew where it is shown, and put its cursor on a path."""
        tree = self.opening.tree
        if tree is None or not tree.display:
            return False
        await tree.reload()
        return path is not None and await tree.reveal(_place(path))

    def follow_tree(self) -> None:
        """Watch the folders that are open in the tree."""
        tree = self.opening.tree
        folders = tree.open_folders() if tree is not None and tree.display else set()
        if self.disk.watching and folders != self._watched:
            self._watched = folders
            self.workspace.work(self._follow, group="tree")

    async def _follow(self) -> None:
        if not self._watched:
            return
        seen = awatch(*self._watched, recursive=False, watch_filter=None, debounce=400, step=100)
        try:
            async for changes in seen:
                if any(kind is not FileChange.modified for kind, _ in changes):
                    # Not here, as a reload ends this when other folders are open after it.
                    self.workspace.work(self._read_again, group="tree-reload")
        except OSError:  # too many are watched already: the tree is read when it is shown
            pass

    async def _read_again(self) -> None:
        tree = self.opening.tree
        if tree is not None and await asyncio.to_thread(tree.is_outdated):
            await tree.reload()
            self.follow_tree()  # a folder may be gone, or back


def _place(path: Path) -> Path:
    """Return a path whose folder's links are resolved, but not its own."""
    return Path(os.path.realpath(path.parent)) / path.name


def _is_same_name(one: Path, two: Path) -> bool:
    """Say whether two paths are one file, as where upper and lower case are the same."""
    return two.exists() and os.path.samefile(one, two)
