"""Finding and replacing in all files of the project.

A search runs in threads and ends when something else is asked; its places are shown as they are
found, in the order of the files. Open files are searched as they are edited, and again after each
edit. What replacing would change is looked at as a diff first. Then an open file is edited, as one
undo, and any other is saved as every file is: one that has changed since the look stays as it is.

Knows panels, editors and documents; how to search is `searching.py`'s and `search.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from time import sleep
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.document._document import Selection
from textual.worker import Worker, get_current_worker

from dgedit.errors import DgeditError
from dgedit.files.document import LARGEST, Document
from dgedit.files.searching import (
    Counts,
    FileHits,
    OpenFile,
    Scope,
    Wanted,
    name_of,
    search_project,
)
from dgedit.text.edits import Change, Part, followed
from dgedit.text.readable_diff import diff_lines
from dgedit.text.search import Hit, Query, SearchError, hits, parts_replaced
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.diffview import DiffView, file_line
from dgedit.tui.widgets.search_panel import SearchPanel
from dgedit.tui.workspace.jumps import Jumps
from dgedit.tui.workspace.tabs import Workspace

# Seconds of rest before a search begins, and before an edited file is searched again.
_REST, _LONG_REST = 0.05, 0.25


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What replacing makes of a file."""

    file: Document
    """The file as it is."""
    name: str
    """Its name in the project."""
    parts: Sequence[Part]
    """What is put in the place of what."""

    @property
    def change(self) -> Change:
        """All of that."""
        return Change(tuple(self.parts), (0, 0))

    @property
    def after(self) -> Document:
        """The file as it will be."""
        return self.file.with_text(self.change.apply(self.file.text))


class Agreeing(DiffView):
    """Shows what would change, and asks whether it may."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "agree", "replace")]
    KEYS = "Enter replace all   ↑ ↓ PgUp PgDn scroll   N next change   P previous   Esc leave"
    agreed = False

    def action_agree(self) -> None:
        """It may."""
        self.agreed = True
        self.dismiss()


class ProjectSearch:
    """Finds and replaces in the project."""

    def __init__(self, workspace: Workspace, jumps: Jumps) -> None:
        self.workspace, self.app, self.jumps = workspace, workspace.app, jumps
        self.panel = SearchPanel(self)
        self.running = False
        """Whether a search goes on."""
        self._worker: Worker[object] | None = None
        self._asked = 0  # so many times: what comes in for an earlier one is dropped
        self._counts, self._cut = Counts(), ""
        self._refused = ""  # what was not replaced, and why

    # Finding

    def open(self) -> None:
        """Show the panel, or go to it; close it where one is in it."""
        if self.panel.display and self.panel.has_focus_within:
            self.close()
            return
        if self.panel.display:
            self.panel.enter()
            return
        text = self.workspace.editor.selected_text
        several = not text or "\n" in text or "\r" in text
        asked = self.panel.query_asked
        query = asked if several else Query(text, case=asked.case, words=asked.words)
        self.show(query)

    def show(self, query: Query, where: str | None = None) -> None:
        """Show the panel, and find this."""
        self.panel.open(query, where)
        self.app.call_after_refresh(self.workspace.editor.scroll_cursor_visible)
        self.ask()

    def close(self) -> None:
        """Close the panel; the search ends."""
        self._end()
        self.panel.display = False
        self.to_text()

    def to_text(self) -> None:
        """Go back to the text."""
        self.app.screen.set_focus(self.workspace.editor)

    def ask(self) -> None:
        """Find what the panel asks for now."""
        self._end()
        self._counts, self._cut, self._refused = Counts(), "", ""
        self.panel.places.begin()
        query = self.panel.query_asked
        try:
            scope = Scope.of(self.panel.where.value)
            next(hits("", query), None)  # which finds what is wrong with it
        except ValueError as error:
            self.panel.tell(str(error), bad=True)
            return
        self.running = bool(query.text)
        self._tell()
        if self.running:
            run = partial(self._run, self._asked, query, scope, self.held())
            self._worker = self.app.run_worker(run, group="project-search", thread=True)

    def held(self) -> list[OpenFile]:
        """Return the open files, as they are being edited."""
        return [
            OpenFile(editor.path, list(editor.buffer.lines))
            for editor in self.workspace.editors
            if editor.file.path is not None
        ]

    def _end(self) -> None:
        self._asked += 1
        self.running = False
        if self._worker is not None:
            self._worker.cancel()

    def _run(self, asked: int, query: Query, scope: Scope, held: list[OpenFile]) -> None:
        """Search, in a thread."""
        worker, wrong = get_current_worker(), ""
        wanted = Wanted(partial(hits, query=query), *query.needle)
        found = search_project(self.workspace.folder, wanted, scope, held)
        try:
            sleep(_REST)
            for batch in found if not worker.is_cancelled else ():
                if worker.is_cancelled:
                    return
                self.app.call_later(self._take, asked, batch.found, batch.counts, batch.cut)
        except ValueError as error:
            wrong = str(error)
        finally:
            found.close()
        self.app.call_later(self._finish, asked, wrong)

    def _take(self, asked: int, found: list[FileHits[Hit]], counts: Counts, cut: str) -> None:
        if asked == self._asked:
            self._counts.add(counts)
            self._cut = cut or self._cut
            self.panel.places.extend(found)
            self._tell()

    def _finish(self, asked: int, wrong: str) -> None:
        if asked == self._asked:
            self.running, self._cut = False, wrong or self._cut
            self._tell()

    def _tell(self) -> None:
        """Say how many places there are, and what was left out."""
        counts, places = self._counts, self.panel.places
        out = (
            (counts.binary, "binary"),
            (counts.large, "too large"),
            (counts.unread, "unreadable"),
        )
        left_out = ", ".join(f"{count:,} {word}" for count, word in out if count)
        words = f"{places.count:,} in {_files(places.files)}"
        parts = (
            self._refused,
            "searching…" if self.running else "",
            words if places.count else "" if self.running else "not found",
            self._cut,
            f"left out: {left_out}" if left_out else "",
        )
        asked = bool(self.panel.query_asked.text)
        self.panel.tell(
            " · ".join(filter(None, parts)) if asked else "", bad=bool(self._cut or self._refused)
        )

    # What was found

    def choose(self, name: str, hit: Hit) -> None:
        """Go to a place."""
        go = partial(self.jumps.go, self.workspace.folder / name, Selection(hit.start, hit.end))
        self.workspace.work(go, group="open")

    def text_changed(self, editor: Editor) -> None:
        """Find anew in a file that was edited."""
        if self.panel.display and self.panel.query_asked.text and editor.file.path is not None:
            self.workspace.work(self._search_again, editor, self._asked, group="search-again")

    async def _search_again(self, editor: Editor, asked: int) -> None:
        await asyncio.sleep(_LONG_REST)
        name, query = name_of(editor.path, self.workspace.folder), self.panel.query_asked
        lines, places = list(editor.buffer.lines), self.panel.places
        try:
            found = await asyncio.to_thread(lambda: tuple(hits("\n".join(lines), query)))
        except SearchError:
            return
        if asked == self._asked and not self.running:
            new = [FileHits(name, found)] if found else []
            there = any(one.name == name for one in places.files)
            if not there and Scope.of(self.panel.where.value).holds(name):
                places.extend(new)
            elif there:
                files = ([one] if one.name != name else new for one in places.files)
                places.show(list(chain.from_iterable(files)))
            self._tell()

    # Replacing

    def replace_all(self) -> None:
        """Show what replacing would change, and do it if that is agreed to."""
        self.workspace.work(self._replace_all, group="replace")

    async def _replace_all(self) -> None:
        if self.running or self._cut or not self.panel.places.files:
            why = "wait for the search to end" if self.running else "nothing to replace"
            why = f"{self._cut}: narrow it, and then replace" if self._cut else why
            self.panel.tell(why, bad=True)
            return
        query, template = self.panel.query_asked, self.panel.by.value
        names = [one.name for one in self.panel.places.files]
        held = {
            name_of(editor.path, self.workspace.folder): (editor.current, editor.buffer.newline)
            for editor in self.workspace.editors
            if editor.file.path is not None
        }
        make = partial(self._rewrites, names, held, query, template)
        try:
            rewrites, wrong, lines = await asyncio.to_thread(make)
        except ValueError as error:
            self.panel.tell(str(error), bad=True)
            return
        count = sum(len(one.parts) for one in rewrites)
        screen = Agreeing(f"{count:,} to replace in {_files(rewrites)}", lines)
        await self.app.push_screen_wait(screen)
        if not screen.agreed:
            return
        done, more = await self._write(rewrites)
        wrong += more
        places = sum(len(one.parts) for one in done)
        self.workspace.notice(f"{places:,} replaced in {_files(done)}")
        self.ask()
        if wrong:
            told = "; ".join(self.workspace.short(one) for one in wrong[:3])
            rest = f"; and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
            self._refused = f"not replaced: {told}{rest}"
            self._tell()

    def _rewrites(
        self,
        names: list[str],
        held: Mapping[str, tuple[Document, str]],
        query: Query,
        template: str,
    ) -> tuple[list[Rewrite], list[str], list[str]]:
        """Return what becomes of each file, why some cannot be read, and the lines of the diff."""
        rewrites, wrong, lines = list[Rewrite](), list[str](), list[str]()
        for name in names:
            try:
                if name in held:
                    file, newline = held[name]
                else:
                    file = Document.load(self.workspace.folder / name, largest=LARGEST)
                    newline = file.eol
            except DgeditError as error:
                wrong.append(str(error))
                continue
            parts = parts_replaced(file.text, query, template, newline)
            if parts:
                one = Rewrite(file, name, parts)
                rewrites.append(one)
                lines += [file_line(name), *diff_lines(file.text, one.after.text)]
        return rewrites, wrong, lines

    async def _write(self, rewrites: list[Rewrite]) -> tuple[list[Rewrite], list[str]]:
        """Edit those that are open and save the others: those that were done, and why the rest was
        not.
        """
        done, wrong, others = list[Rewrite](), list[str](), list[Rewrite]()
        for one in rewrites:
            editor = self.workspace.holding(self.workspace.folder / one.name)
            if editor is None:
                others.append(one)
            elif editor.locked or editor.text != one.file.text:
                why = "is read-only" if editor.locked else "was edited meanwhile"
                wrong.append(f"{editor.path} {why}")
            elif change := followed(list(one.parts), editor.selected):
                with editor.steady(change.map):
                    editor.change(change)
                done.append(one)
        saved, unsaved = await asyncio.to_thread(_save, others)
        return done + saved, wrong + unsaved


def _files(files: Sequence[object]) -> str:
    return f"{len(files):,} file{'s' * (len(files) != 1)}"


def _save(rewrites: list[Rewrite]) -> tuple[list[Rewrite], list[str]]:
    done, wrong = list[Rewrite](), list[str]()
    for one in rewrites:
        try:
            one.after.save()
            done.append(one)
        except DgeditError as error:
            wrong.append(str(error))
    return done, wrong
