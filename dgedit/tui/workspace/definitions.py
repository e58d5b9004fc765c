"""Going to the definition of a name, and to all its uses, by the syntax of the files.

A name is one word: what it stands for at the cursor is not known, and so all definitions of that
name are offered, those of the file in front before those of other files of its language; for a
variable or a parameter, the place that binds it. Nothing is resolved, but where a language server
runs that knows better, it is asked first.

Knows editors, symbols and places; where they are looked for is `searching.py`'s.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from time import monotonic

from textual.document._document import Location, Selection

from dgedit.files.searching import OpenFile, Scope, Wanted, search_project
from dgedit.text.edits import word_at
from dgedit.text.languages import kind_of, names_of
from dgedit.text.local_names import bound
from dgedit.text.search import Query
from dgedit.text.symbols import Symbol, defined, named, symbols
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.workspace.jumps import Jumps
from dgedit.tui.workspace.language_servers import LanguageServers
from dgedit.tui.workspace.project_search import ProjectSearch
from dgedit.tui.workspace.tabs import Workspace

# Definitions of one name that are offered, and seconds that are spent on them.
_MOST, _SECONDS = 200, 5.0


class Definitions:
    """Goes to definitions, and lists uses."""

    def __init__(
        self, workspace: Workspace, jumps: Jumps, search: ProjectSearch, servers: LanguageServers
    ) -> None:
        self.workspace, self.app = workspace, workspace.app
        self.jumps, self.search, self.servers = jumps, search, servers

    def go(self) -> None:
        """Go to the definition of the name at the cursor, or choose one of several."""
        self.workspace.work(self._go, group="definition")

    def list_uses(self) -> None:
        """List all places with the name at the cursor, in files of the same language."""
        editor = self.workspace.editor
        name, language = _name_at(editor), kind_of(editor.file_name).language
        if not name:
            self.workspace.notice("there is no name at the cursor")
            return
        where = " ".join(names_of(language)) if language else f"*{editor.path.suffix}"
        self.search.show(Query(name, case=True, words=True), where)
        self.search.panel.action_to_places()

    async def _go(self) -> None:
        editor = self.workspace.editor
        name, language = _name_at(editor), kind_of(editor.file_name).language
        if name and await self._served(editor):
            return
        if not name or language is None or editor.syntax is None or editor.buffer.parse is None:
            known = "no definitions are known in this kind of file"
            self.workspace.notice(known if name else "there is no name at the cursor")
            return
        cursor = editor.selection.end
        all_ = named(symbols(editor.buffer.parse.tree, editor.buffer.lines, language), name)
        found = [(editor.path, one) for one in all_ if not _is_at(one, name, cursor)]
        if not all_ and (local := _bound(editor, name)):
            await self.jumps.go(editor.path, Selection.cursor(local))
            return
        if not found:
            self.workspace.notice(f"looking for {name}…")
            found = await asyncio.to_thread(
                self._elsewhere, editor, name, language, self.search.held()
            )
            if editor is not self.workspace.editor or cursor != editor.selection.end:
                return  # one has gone on
        if not found:
            here = f"this is the only definition of {name}"
            self.workspace.notice(
                here if all_ else f"no function, class or the like named {name} was found"
            )
            return
        self.workspace.notice("")
        at: int | None = 0
        if len(found) > 1:
            at = await self.app.push_screen_wait(Choose(f"which {name}", self._choices(found)))
        if at is not None:
            path, one = found[at]
            place = (one.row, one.column)
            await self.jumps.go(path, Selection.cursor(place))

    async def _served(self, editor: Editor) -> bool:
        """Go where a language server says; return False where it knows nothing."""
        cursor, text = editor.selection.end, editor.text
        found = await self.servers.definition(editor)
        if not found:
            return False
        if editor is not self.workspace.editor or (cursor, text) != (
            editor.selection.end,
            editor.text,
        ):
            return True  # one has gone on
        short = self.workspace.short
        at: int | None = 0
        if len(found) > 1:
            choices = [Choice(short(f"{path}:{place[0] + 1}")) for path, place in found]
            at = await self.app.push_screen_wait(Choose("which definition", choices))
        if at is not None:
            path, place = found[at]
            await self.jumps.go(path, Selection.cursor(place))
        return True

    def _elsewhere(
        self, editor: Editor, name: str, language: str, held: list[OpenFile]
    ) -> list[tuple[Path, Symbol]]:
        """Definitions in other files."""
        wanted = Wanted(partial(defined, language=language, name=name), name.encode())
        until, folder = monotonic() + _SECONDS, self.workspace.folder
        found: list[tuple[Path, Symbol]] = []
        search = search_project(folder, wanted, Scope.of(" ".join(names_of(language))), held)
        for batch in search:
            for file in batch.found:
                path = folder / file.name
                found += [(path, one) for one in file.hits if path != editor.path]
            if len(found) >= _MOST or monotonic() > until:
                search.close()
        return found[:_MOST]

    def _choices(self, found: list[tuple[Path, Symbol]]) -> list[Choice]:
        short = self.workspace.short
        return [Choice(one.name, (one.kind, short(f"{path}:{one.row + 1}"))) for path, one in found]


def _name_at(editor: Editor) -> str:
    """Return the name at the cursor, or the one that is selected; empty for none."""
    start, end = sorted(editor.selected)
    if start == end:
        start, end = word_at(editor.text, start)
    name = editor.text[start:end]
    return name if name.isidentifier() else ""


def _bound(editor: Editor, name: str) -> Location | None:
    """Return where a variable or parameter at the cursor is bound, if that is not there."""
    assert editor.buffer.parse is not None
    start = word_at(editor.text, min(editor.selected))[0]
    if editor.text[:start].endswith("."):
        return None  # an attribute
    row, column = editor.buffer.location(start)
    place = bound(editor.buffer.parse.tree, editor.buffer.lines, name, row, column)
    return None if place == (row, column) else place


def _is_at(one: Symbol, name: str, cursor: Location) -> bool:
    """Return whether the cursor is at a symbol's name."""
    row, column = cursor
    return row == one.row and one.column <= column <= one.column + len(name)
