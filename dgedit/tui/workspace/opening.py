"""The project around the text: files found, opened, made, closed, and saved by another name.

A file that cannot be opened is a notice and changes nothing. The project is walked in a thread each
time that a file is asked for, while what was found the last time is shown; 50,000 files at most.

Knows tabs, folders and questions; nothing of infills but that one may be open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.widgets import DirectoryTree
from textual.worker import get_current_worker

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.files.project import MOST, files_of
from dgedit.files.recent import Recent
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.path_prompt import AskPath
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace.saving import Filing, instead_of_file

# Seconds between two lists of what was found so far.
_EVERY = 0.5


class Opening(Filing):
    """Opening files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+p", "open", "open"),
        Binding("ctrl+o", "open_path", "open a file by its path", show=False),
        Binding("ctrl+n", "new", "new file", show=False),
        Binding("ctrl+w", "close", "close the file", show=False),
        Binding("f12,ctrl+shift+s", "save_as", "save by another name", show=False),
        Binding("ctrl+b", "tree", "show or hide the project's files", show=False),
    ]

    folder: Path
    """The project's."""
    show_tree = False
    """Whether its files are shown at the start."""
    recent: Recent
    """The files opened last."""
    _tree: FileTree | None = None
    _found: Sequence[str] = ()
    _found_more = ""
    """That there are more, in words, if there are."""

    def on_mount(self) -> None:
        """Remember what is open, and show the project if that is what was asked for."""
        self.recent.add(editor.path for editor in reversed(self.editors) if editor.file.path)
        if self.show_tree:
            alone = self.editors[0].file.path is None
            self.call_after_refresh(self._show_tree, focus=alone)
        self.call_after_refresh(self.editor.scroll_cursor_visible, center=True)
        if new := [_to_make(editor.path) for editor in self.editors if _is_new(editor.file)]:
            self.notice(f"new file: {', '.join(new)}")

    # Open

    @work(exclusive=True, group="open")
    async def action_open(self) -> None:
        """Find a file by a few letters of its name, those opened last first."""
        screen = Choose(
            "letters of a file's name", *self._offer(self._found), note=self._found_more
        )
        self._walk(screen)
        at = await self.push_screen_wait(screen)
        if at is not None:
            await self.open_file(self.folder / screen.choices[at].name)

    @work(exclusive=True, group="open")
    async def action_open_path(self) -> None:
        """Open a file by its path; one that is not there will be made by saving it."""
        path = await self._ask_path("Open", self._beside_front())
        if path is not None:
            await self.open_file(path)

    async def open_file(self, path: Path) -> bool:
        """Open a file in a tab, or bring it to the front; False, and a notice, if it cannot be."""
        if there := self.holding(path):
            self.show(there)
            return True
        try:
            file = self.load(path)
        except DgeditError as error:
            self.notice(str(error))
            return False
        before = self.editor
        await self.add(self.page(path, file))
        if before.file.path is None and not before.text and len(self.editors) == 2:
            await self.remove(before)
        self._note(path)
        if _is_new(file):
            self.notice(f"new file: {_to_make(path)}")
        return True

    @on(DirectoryTree.FileSelected)
    async def _chosen(self, message: DirectoryTree.FileSelected) -> None:
        await self.open_file(message.path)

    def _offer(self, found: Sequence[str]) -> tuple[list[Choice], list[int]]:
        """What there is to choose from, and what comes first while nothing is typed."""
        top = os.path.abspath(self.folder)
        recent = []
        for path in map(str, self.recent.paths()):
            inside = path.startswith(top.rstrip("/") + "/")
            recent.append(os.path.relpath(path, top) if inside else path)
        front = self.editor.file.path and os.path.abspath(self.editor.path)
        first = [name for name in recent if os.path.join(top, name) != front]
        first = [name for name in first if os.path.isfile(os.path.join(top, name))]
        lately = set(first)
        names = [*first, *(name for name in found if name not in lately)]
        choices = [Choice(name, ("opened lately" if name in lately else "",)) for name in names]
        return choices, list(range(min(len(names), 100)))

    @work(thread=True, exclusive=True, group="walk")
    def _walk(self, screen: Choose) -> None:
        worker, told, found = get_current_worker(), monotonic(), list[str]()
        cut = ""
        for name in files_of(self.folder, MOST + 1):
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

    # Close and make

    async def action_new(self) -> None:
        """Begin an empty text; saving it asks for its name."""
        await self.add(self.untitled())

    @work(exclusive=True, group="close")
    async def action_close(self) -> None:
        """Close the file in front; ask first when something would be lost."""
        editor = self.editor
        name = visible(editor.path.name)
        if self.has_draft(editor):
            self.notice(f"an infill is open in {editor.path.name}: accept or reject it first")
            return
        if editor.dirty:
            choices = {"s": "save", "d": "discard"}
            answer = await self.push_screen_wait(Ask(f"Not saved: {name}", choices))
            if answer is None or (answer == "s" and not await self._save(editor)):
                return
        await self.remove(editor)

    # Save by another name

    @work(exclusive=True, group="save-as")
    async def action_save_as(self) -> None:
        """Save the file in front under another path, and go on with that one."""
        await self._save_as(self.editor)

    async def _save(self, editor: Editor) -> bool:
        if editor.file.path is None:
            return await self._save_as(editor)
        return await super()._save(editor)

    async def _save_as(self, editor: Editor) -> bool:
        start = self.short(editor.path) if editor.file.path else self._beside_front()
        path = await self._ask_path(f"Save {visible(editor.path.name)} as", start)
        if path is None:
            return False
        if editor.file.path is not None and _same(path, editor.path):
            return await super()._save(editor)
        if self.holding(path):
            self.notice(f"{path} is open in another tab")
            return False
        if what := instead_of_file(path):
            self.notice(f"{path} is {what}")
            return False
        there = os.path.lexists(path)
        if there:
            question = f"{visible(self.short(path))} is there already"
            if await self.push_screen_wait(Ask(question, {"o": "overwrite"})) is None:
                return False
        try:
            file = replace(editor.current, path=path, fingerprint=None).save(overwrite=there)
        except DgeditError as error:
            self.notice(str(error))
            return False
        editor.rename(path, file)
        self._look_at(editor)
        self.relabel()
        self._note(path)
        self.notice(self.told_saved(editor))
        return True

    # The tree

    async def action_tree(self) -> None:
        """Show the project's files, or hide them."""
        if self._tree is not None and self._tree.display:
            self._tree.display = False
            self.editor.focus()
        else:
            await self._show_tree()

    async def _show_tree(self, *, focus: bool = True) -> None:
        if self._tree is None:
            self._tree = FileTree(self.folder)
            await self.query_one("#middle").mount(self._tree, before=0)
        else:
            self._tree.display = True
            self._tree.reload()
        if focus:
            self._tree.focus()

    @on(FileTree.Left)
    def _leave_tree(self) -> None:
        self.editor.focus()

    # What is where

    def holding(self, path: Path) -> Editor | None:
        """The tab that a file is open in."""
        return next((one for one in self.editors if one.file.path and _same(one.path, path)), None)

    def _beside_front(self) -> str:
        """The folder of the file in front, as the beginning of a path."""
        path = self.editor.path if self.editor.file.path else self.folder / "x"
        return self.short(path).removesuffix(path.name)

    async def _ask_path(self, question: str, start: str) -> Path | None:
        """A path that the user gives; None for none."""
        here = self.started_in.path or self.folder
        path = await self.push_screen_wait(AskPath(question, start, here))
        return None if path is None else here / path

    def _note(self, path: Path) -> None:
        """Remember a file that is open from now on, and watch it."""
        self.recent.add([path])
        self.watch_anew()


def _is_new(file: Document) -> bool:
    """Whether saving will make the file."""
    return file.path is not None and file.fingerprint is None


def _to_make(path: Path) -> str:
    return str(path) if path.parent.is_dir() else f"{path}, in a folder that is not there"


def _same(one: Path, two: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(two)
