"""Find and replace, and go to a line or a symbol.

Typing searches from where the cursor was; Escape returns there, unless the user has gone on to
another match (Enter, F3) or into the text. Searches run in a thread and end at a deadline, so that
no expression blocks the screen; a result for an outdated text or query is dropped.

Ctrl+H replaces as Ctrl+R does, but many terminals send it for Backspace, and then it deletes. Knows
bars, editors and places; `search.py` knows how to search.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from textual.document._document import Location, Selection
from textual.geometry import Offset

from dgedit.text.edits import Change, Part, followed
from dgedit.text.languages import kind_of
from dgedit.text.search import Found, Query, SearchError, replacements, search
from dgedit.text.symbols import symbols
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.highlighting import LINE_END
from dgedit.tui.widgets.find_bar import FindBar, LineBar
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.workspace.tabs import Workspace

_LINE = re.compile(r"(?P<sign>[+-])?(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?", re.ASCII)
# Seconds for finding the one match that is replaced again.
_ONE = 0.3


Origin = tuple[Editor, Selection, Offset]
"""An editor with its selection and scroll offset, to return to."""


class Finder:
    """Finds and replaces in the current file, and goes to places in it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.app = workspace, workspace.app
        self.find_bar, self.line_bar = FindBar(self), LineBar(self)
        self.found = Found(Query(""))
        """The result of the last search."""
        self._searched: tuple[Editor, Sequence[str]] | None = None  # the text searched
        # where the user was when the bar was opened; None after going on from there
        self._origin: Origin | None = None
        # matches to go on by when the search is done; 0 is the first match after the origin
        self._steps = 0
        self._stepped = Query("")  # what these are for; that it was typed may be told later
        self._jump = False  # whether to go to a match at all

    @property
    def is_open(self) -> bool:
        """True if the find bar is open."""
        return self.find_bar.display

    # Finding

    def find(self) -> None:
        """Open the find bar."""
        self._open_find(replacing=False)

    def replace(self) -> None:
        """Open the find bar with a field for the replacement."""
        self._open_find(replacing=True)

    def step(self, by: int) -> None:
        """Go to the next match, or the previous one."""
        if not self.find_bar.query_asked.text:
            self.find()
        elif self._is_current:
            self._step_found(by)
        else:
            self._jump, self._steps = True, self._asked_steps() + by
            self._stepped = self.find_bar.query_asked
            self._find_all()

    def close(self) -> None:
        """Close the bar; return to the origin, unless the user has gone on from it."""
        if self._origin is not None and self.find_bar.has_focus_within:
            self._go_back(*self._origin)
        self._origin, self._searched = None, None
        self.find_bar.display = False
        self._mark_found(None)
        self.to_text()

    def to_text(self) -> None:
        """Go back to the text."""
        self._go_on()
        self.app.screen.set_focus(self.workspace.editor)

    def _go_on(self) -> None:
        """Let the place where one was be one that can be gone back to, no longer by Escape."""
        if self._origin is not None:
            self.workspace.left(*self._origin[:2])
        self._origin = None

    def _open_find(self, *, replacing: bool) -> None:
        editor = self.workspace.editor
        if self._origin is None:
            self._origin = (editor, editor.selection, editor.scroll_offset)
        text = "" if self.find_bar.has_focus_within else editor.selected_text
        several = "\n" in text or "\r" in text
        self.line_bar.display = False
        self.find_bar.open("" if several else text, replacing=replacing)
        self.app.call_after_refresh(editor.scroll_cursor_visible)  # the bar may have hidden it
        self._find_all()

    def query_changed(self) -> None:
        """Search for the bar's new query."""
        if not self.find_bar.display:
            return
        self._jump, self._steps = True, self._asked_steps()
        self._find_all()

    def _asked_steps(self) -> int:
        """Return the steps that were asked for in matches of the present query."""
        return self._steps if self._stepped == self.find_bar.query_asked else 0

    def text_changed(self, editor: Editor) -> None:
        """Search again in a text that was edited."""
        if self.find_bar.display and editor is self.workspace.editor:
            self._find_all()

    def _find_all(self) -> None:
        """Search for all matches, then go to the one that was asked for."""
        self.workspace.work(self._search, group="find")

    async def _search(self) -> None:
        editor, query = self.workspace.editor, self.find_bar.query_asked
        lines = list(editor.buffer.lines)
        try:
            found = await asyncio.to_thread(search, lines, query)
        except SearchError as error:
            self.found, self._searched = Found(query), None
            self._jump, self._steps = False, 0
            self._mark_found(None)
            self.find_bar.complain(str(error))
            return
        self.found, self._searched = found, (editor, lines)
        self._mark_found(editor if self.find_bar.display else None)
        jump, by = self._jump, self._steps
        self._jump, self._steps = False, 0
        if jump and self._origin is not None and self._origin[0] is editor:
            self._show_first_found(self._origin)
        for _ in range(abs(by)):
            self._step_found(1 if by > 0 else -1)
        if not jump:
            self._tell_found(found.which(*sorted(editor.selection)))

    @property
    def _is_current(self) -> bool:
        """True if the last result is for the present query and text."""
        if self._searched is None or self.found.query != self.find_bar.query_asked:
            return False
        editor, lines = self._searched
        return (
            editor is self.workspace.editor and lines == editor.buffer.lines
        )  # unchanged lines are the same objects, so this takes 0.5 ms

    def _show_first_found(self, origin: Origin) -> None:
        """Select the first match after the origin; return to it if there is none."""
        editor, selection, scroll = origin
        count = len(self.found.spans)
        if not count:
            self._go_back(editor, selection, scroll)
            self._tell_found(None)
            return
        at = self.found.after(min(selection))
        self._select_found(at % count)
        self._tell_found(at % count, "from the top" if at == count else "")

    def _step_found(self, by: int) -> None:
        found, editor = self.found, self.workspace.editor
        count = len(found.spans)
        self._go_on()
        if not count:
            self._tell_found(None)
            return
        start, end = sorted(editor.selection)
        here = found.which(start, end)
        if here is not None:
            at = here + by
        else:
            at = found.after(end) if by > 0 else found.after(start) - 1
        word = "from the top" if at >= count else "from the end" if at < 0 else ""
        self._select_found(at % count)
        self._tell_found(at % count, word)

    def _select_found(self, at: int) -> None:
        self.workspace.arrive(Selection(*self.found.place(at)))

    def _go_back(self, editor: Editor, selection: Selection, scroll: Offset) -> None:
        if editor is not self.workspace.editor:  # the user switched tabs or closed this one
            return
        editor.selection = selection
        editor.scroll_to(*scroll, animate=False, force=True)

    def _mark_found(self, editor: Editor | None) -> None:
        """Highlight the matches in this file only."""
        for other in self.workspace.editors:
            found = self.found.columns if other is editor else None
            if found is not None or other.found is not None:
                other.found = found
                other.refresh()

    def _tell_found(self, at: int | None, word: str = "") -> None:
        count = f"{len(self.found.spans):,}" + ("+" if self.found.more else "")
        if not self.found.query.text:
            words = ""
        elif not self.found.spans:
            words = "not found"
        else:
            words = count if at is None else f"{at + 1:,} of {count}"
        words = " · ".join(filter(None, (words, word)))
        self.find_bar.tell(words, bad=words == "not found")
        if not self.find_bar.display:
            self.workspace.notice(words)

    # Replacing

    def replace_one(self) -> None:
        """Replace the selected match, and go to the next; if none is selected, select one."""
        editor = self.workspace.editor
        start, end = sorted(editor.selection)
        if editor.read_only or not self._is_current or self.found.which(start, end) is None:
            self.step(1)
            return
        query, template = self.found.query, self.find_bar.by.value
        try:
            found = replacements(
                editor.buffer.lines, query, template, only=(start, end), seconds=_ONE
            )
        except SearchError as error:
            self.find_bar.complain(str(error))
            return
        parts = self._replacement_parts(editor, found)
        if parts:
            after = parts[0].start + len(parts[0].text)
            editor.change(Change(tuple(parts), (after, after)))
            self._go_on()
        self._jump, self._steps = True, 1
        self._find_all()

    def replace_all(self) -> None:
        """Replace every match, as one undo."""
        self.workspace.work(self._replace_all, group="replace")

    async def _replace_all(self) -> None:
        editor, query, template = (
            self.workspace.editor,
            self.find_bar.query_asked,
            self.find_bar.by.value,
        )
        lines = list(editor.buffer.lines)
        try:
            found = await asyncio.to_thread(replacements, lines, query, template)
        except SearchError as error:
            self.find_bar.complain(str(error))
            return
        if lines != editor.buffer.lines or editor.read_only:
            self.find_bar.complain("the text changed meanwhile: nothing was replaced")
            return
        parts = self._replacement_parts(editor, found)
        if change := followed(parts, editor.selected):
            with editor.steady(change.map):
                editor.change(change)
        self._go_on()
        self.workspace.notice(f"{len(parts):,} replaced")

    def _replacement_parts(
        self, editor: Editor, found: Sequence[tuple[Location, Location, str]]
    ) -> list[Part]:
        buffer, newline = editor.buffer, editor.buffer.newline
        # Ask the buffer once per row: once per match took 0.2 s more for 50,000 matches.
        rows = {row for start, end, _ in found for row in (start[0], end[0])}
        at = {row: buffer.index((row, 0)) for row in rows}
        return [
            Part(
                at[start[0]] + start[1],
                at[end[0]] + end[1],
                LINE_END.sub(newline, text) if "\n" in text or "\r" in text else text,
            )
            for start, end, text in found
        ]

    # Lines and symbols

    def ask_line(self) -> None:
        """Open the bar that asks for a line."""
        editor = self.workspace.editor
        self._origin = (editor, editor.selection, editor.scroll_offset)
        self.find_bar.display = False
        self._mark_found(None)
        self.line_bar.open()

    def show_line(self) -> None:
        """Go to the line typed so far."""
        if self._origin is None:
            return
        text = self.line_bar.field.value
        where = place_of(text, self._origin[1].end[0])
        self.line_bar.tell("" if where or not text else "a line, as in 12, 12:5, +5 or -5")
        if where is None:
            self._go_back(*self._origin)
        else:
            last = self.workspace.editor.document.line_count - 1
            self.workspace.arrive(Selection.cursor((max(0, min(where[0], last)), where[1])))

    def leave_line(self, *, stay: bool) -> None:
        """Close the bar; stay at the line, or return to the origin."""
        if stay:
            self.show_line()
        elif self._origin is not None:
            self._go_back(*self._origin)
            self._origin = None
        self.line_bar.display = False
        self.to_text()

    def ask_symbol(self) -> None:
        """Let the user choose a function, class or heading, and go there."""
        self.workspace.work(self._ask_symbol, group="commands")

    async def _ask_symbol(self) -> None:
        editor = self.workspace.editor
        if editor.syntax is None or editor.buffer.parse is None:
            self.workspace.notice("no symbols are known in this kind of file")
            return
        tree = editor.buffer.parse.tree
        all_ = symbols(tree, editor.buffer.lines, kind_of(editor.file_name).language)
        if not all_:
            self.workspace.notice("there are no symbols here")
            return
        origin = (editor, editor.selection, editor.scroll_offset)
        looked = False

        def peek(at: int | None) -> None:
            nonlocal looked
            if at is None:
                self._go_back(*origin)
            elif looked or at > 0:
                looked = True
                self.workspace.arrive(Selection.cursor((all_[at].row, all_[at].column)))

        choices = [Choice(one.name, (one.kind, str(one.row + 1))) for one in all_]
        at = await self.app.push_screen_wait(Choose("letters of a symbol", choices, peek=peek))
        if at is not None:
            self.workspace.left(*origin[:2])
            self.workspace.arrive(Selection.cursor((all_[at].row, all_[at].column)))


def place_of(text: str, row: int) -> Location | None:
    """Parse a line as typed, relative to a row; return row and column, or None if invalid."""
    match = _LINE.fullmatch(text.strip())
    if match is None:
        return None
    line, sign = int(match["line"]), match["sign"]
    row = line - 1 if sign is None else row + line if sign == "+" else row - line
    return row, max(0, int(match["column"] or 1) - 1)
