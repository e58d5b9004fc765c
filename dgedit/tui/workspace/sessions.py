"""Open a project as it was left: its tabs, cursors, folds, panes, and what was on the screen.

Files that are gone or cannot be opened are left out. One that has changed since has no folds. What
is where is kept when the editor ends, however it is asked to.

Knows tabs and positions; no text is stored.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

from textual.document._document import Selection
from textual.geometry import Offset

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.files.sessions import Session, SessionStore, SessionTab
from dgedit.text.folding import Fold
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.pages import Pages
from dgedit.tui.workspace.tabs import Workspace


class Sessions:
    """Restores the session of a project, and keeps it."""

    def __init__(self, workspace: Workspace, store: SessionStore | None) -> None:
        """Without a store nothing is restored or kept."""
        self.workspace, self.store = workspace, store
        self._project: Path | None = None
        self._session: Session | None = None
        self._missing = 0
        self._unseen: dict[Editor, SessionTab] = {}
        """Files that have not been on the screen since they were restored."""

    def read(self, project: Path, pages: Pages) -> list[Document]:
        """Return the files that were open in a project and still can be."""
        found = []
        for path in self._paths(project):
            try:
                found.append(pages.load(path))
            except DgeditError:
                self._missing += 1
        return found

    async def resume(self, project: Path, open_file: Callable[[Path], Awaitable[bool]]) -> bool:
        """Open another project as it was left, in place of an empty text; return False if none of
        its files could be opened.
        """
        for path in self._paths(project):
            self._missing += not await open_file(path)
        if self.workspace.editor.file.path is None:
            return False
        self.restore(0)
        self.start()
        return True

    def _paths(self, project: Path) -> list[Path]:
        """Take up a project; return the files that were open in it and are still there."""
        self._project = project
        self._session = self.store.read(project) if self.store else None
        tabs = self._session.tabs if self._session else ()
        there = [Path(tab.path) for tab in tabs if os.path.isfile(tab.path)]
        self._missing = len(tabs) - len(there)
        return there

    def restore(self, named: int) -> None:
        """Restore places and folds in the files behind those that were `named`; the first of these
        stays in front.
        """
        if self._session is None:
            return
        known = {str(one.path): one for one in self.workspace.editors[named:] if one.file.path}
        for tab in self._session.tabs:
            if editor := known.get(tab.path):
                _restore(editor, tab)
                self._unseen[editor] = tab
        if not named and (front := known.get(self._session.tabs[self._session.front].path)):
            self.workspace.put_in_front(front)
        if named:
            self._session = None

    def start(self) -> None:
        """Restore the panes, and what they show; tell if a file was left out."""
        session, front = self._session, self.workspace.editor
        if session is not None and (tab := self._unseen.get(front)):
            self.workspace.show(front)  # whose tab is not the first one
            others = [editor for editor in self._unseen if _is_of(editor, session, session.beside)]
            if others and _is_of(front, session, session.front):
                self.workspace.show_beside(others[0], before=session.before)
            if len(tab.cursors) > 1:
                at = front.buffer.index
                places = [(at((a, b)), at((c, d))) for a, b, c, d in tab.cursors]
                front.cursors.add(*places[1:], places[0])
        self.shown()
        if self._missing and not self.workspace.status.notice:
            files = "a file" if self._missing == 1 else f"{self._missing} files"
            self.workspace.notice(f"{files} of the last session cannot be opened any more")

    def shown(self) -> None:
        """Scroll files to where they were, when they are first on the screen."""
        for editor in self.workspace.visible:
            if tab := self._unseen.pop(editor, None):
                y = editor.rows.y_of(min(tab.top, editor.buffer.line_count - 1))
                self.workspace.app.call_after_refresh(
                    editor.scroll_to, tab.left, y, animate=False, force=True, immediate=True
                )

    def keep(self) -> None:
        """Keep how the project is left, unless it was left for another one."""
        if self.store is None or self._project != self.workspace.folder:
            return
        with contextlib.suppress(Exception):  # or the editor could not be left
            workspace = self.workspace
            files = [one for one in workspace.editors if one.file.path and one.path.is_absolute()]
            tabs = tuple(map(self._tab, files))
            front = files.index(workspace.editor) if workspace.editor in files else 0
            beside, before = -1, False
            if workspace.beside in files and workspace.editor in files:
                beside, order = files.index(workspace.beside), workspace.panes.children
                before = order.index(workspace.beside) < order.index(workspace.editor)
            self.store.keep(self._project, Session(tabs, front, beside, before))

    def _tab(self, editor: Editor) -> SessionTab:
        unseen = self._unseen.get(editor)
        top = editor.rows.offset_to_location(Offset(0, round(editor.scroll_y)))[0]
        state = editor.file.fingerprint
        return SessionTab(
            path=os.path.abspath(editor.path),
            cursors=tuple((*one.start, *one.end) for one in (editor.selection, *editor.others)),
            top=unseen.top if unseen else top,
            left=unseen.left if unseen else round(editor.scroll_x),
            folds=tuple(tuple(one) for one in editor.buffer.folds),
            size=state.size if state else 0,
            time=state.mtime_ns if state else 0,
        )


def _is_of(editor: Editor, session: Session, index: int) -> bool:
    return index >= 0 and str(editor.path) == session.tabs[index].path


def _restore(editor: Editor, tab: SessionTab) -> None:
    state, lines = editor.file.fingerprint, editor.buffer.line_count
    folds = [Fold(head, last) for head, last in tab.folds if head < last < lines]
    same = state is not None and (state.size, state.mtime_ns) == (tab.size, tab.time)
    if same and folds and all(one.head < two.head for one, two in pairwise(folds)):
        editor.buffer.fold(folds)
        editor.rows.wrap(0)
    if tab.cursors:
        (row, column), (last, right) = tab.cursors[0][:2], tab.cursors[0][2:]
        at = editor.buffer.location
        start, end = (editor.buffer.index(one) for one in ((row, column), (last, right)))
        editor.selection = Selection(at(start), at(end))
