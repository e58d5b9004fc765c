"""The start page of a project: shown until a file is opened, or text is typed.

Knows recent files, sessions, the tree and the status line; nothing of infills.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dgedit.files.project import project_of
from dgedit.files.recent import Recent
from dgedit.tui.widgets.start_page import Recents, StartPage
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.sessions import Sessions
from dgedit.tui.workspace.tabs import Workspace

# The most entries under a heading.
_MOST = 6


class Welcome:
    """Shows the start page in place of an empty text."""

    def __init__(
        self, workspace: Workspace, opening: Opening, sessions: Sessions, recent: Recent
    ) -> None:
        self.workspace, self.app = workspace, workspace.app
        self.opening, self.sessions, self.recent = opening, sessions, recent
        self._page: StartPage | None = None

    def start(self, keys: Sequence[tuple[str, str]]) -> None:
        """Show the page, unless a file is open; `keys` are keys and what they do."""
        if self.workspace.editor.file.path is None:
            self.workspace.work(self._show, keys, group="welcome")

    async def choose(self, path: Path) -> None:
        """Open a recent file, or a recent project as it was left."""
        if not path.is_dir():
            await self.opening.open_file(path)
        elif page := self._page:
            await self.opening.change_folder(path)
            if not await self.sessions.resume(path, self.opening.open_file):
                await self._show(page.keys)

    def type_text(self, character: str) -> None:
        """Close the page, and type a character in the text below it."""
        self.close()
        self.workspace.editor.focus()
        self.workspace.editor.type_text(character)

    def close(self) -> None:
        """Close the page, if it is shown."""
        if self._page is not None:
            self._page.remove()
            self._page = None
            self.workspace.editor.display = True

    async def _show(self, keys: Sequence[tuple[str, str]]) -> None:
        recents = await asyncio.to_thread(_recents, self.recent.paths(), self.workspace.folder)
        if self.workspace.editor.file.path or self.workspace.editor.text:
            return
        self.close()
        self._page = page = StartPage(keys, recents)
        self.workspace.editor.display = False
        await self.workspace.panes.mount(page)
        page.watch(self.workspace.status, "engine", page.tell)
        if any(some for _, some in recents):
            page.focus_list()
        else:
            self.app.query(FileTree).focus()


def _recents(paths: Iterable[Path], folder: Path) -> Recents:
    """Return the recent files of a project, those elsewhere, and other projects. Reads the disk."""
    there = [path for path in paths if path.is_file()]
    top = os.path.join(os.path.abspath(folder), "")
    here = [path for path in there if str(path).startswith(top)]
    away = [path for path in there if path not in here]
    projects = dict.fromkeys(map(project_of, there))
    others = [path for path in projects if os.path.join(path, "") != top and path != Path.home()]
    return (
        ("Recent files", [(str(path)[len(top) :], path) for path in here[:_MOST]]),
        ("Recent files elsewhere", [(_short(path), path) for path in away[:_MOST]]),
        ("Recent projects", [(_short(path), path) for path in others[:_MOST]]),
    )


def _short(path: Path) -> str:
    """Write a path with ~ for the user's home."""
    home = os.path.join(os.path.expanduser("~"), "")
    return "~/" + str(path)[len(home) :] if str(path).startswith(home) else str(path)
