"""The open files in tabs, one or two of them side by side, and the status line.

The current file is an attribute, not looked up in a widget: it changes at once, while tabs and
focus follow with the next messages. Editors are shown and hidden, never recreated, so that each
keeps its cursor, its scroll offset and its undo history.

Knows editors and messages; `saving.py` handles files, `infill/controller.py` infills.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from textual.app import App
from textual.containers import Horizontal
from textual.content import Content
from textual.document._document import Selection
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Tabs
from textual.widgets.tabbed_content import ContentTab

from dgedit.files.document import Document
from dgedit.text.languages import kind_of
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.path_prompt import AskPath
from dgedit.tui.widgets.question_bar import Bar
from dgedit.tui.widgets.status import BETWEEN, StatusLine
from dgedit.tui.workspace.pages import Pages

# Seconds until a notice disappears, if no key is pressed before.
_WHILE = 6


class Workspace:
    """The open files, their tabs and panes."""

    def __init__(self, app: App[None], pages: Pages) -> None:
        self.app, self.pages, self.started_in = app, pages, pages.started_in
        self.folder = Path()
        """The project's folder."""
        self.editors: list[Editor] = []
        """The editors, in the order of their tabs."""
        self.editor: Editor
        """The current file's editor."""
        self.beside: Editor | None = None
        """The second visible editor, if the screen is split."""
        self.added: Callable[[Editor], object] = lambda editor: None
        """Called with each file that was added later, before it is first drawn."""
        self.left: Callable[[Editor, Selection], object] = lambda editor, selection: None
        """Called with each place that was left for one far away."""
        self.removed: Callable[[Editor], object] = lambda editor: None
        """Called with each file that is closed, while its text is still there."""
        self.shown: Callable[[], object] = lambda: None
        """Called when other files are visible than before."""
        self.status, self.bar = StatusLine(), Bar()
        self.strip: Tabs
        self.panes: Horizontal
        self.leaving = False
        """True once the user has chosen to quit, and so what to do with unsaved changes."""
        self._quiet: Timer | None = None
        self._tabs: dict[Editor, ContentTab] = {}

    def begin(self, paths: Iterable[Path], again: Iterable[Document] = ()) -> int:
        """Open the first files, each once, then those of a session `again`; an empty text if there
        is none. Return how many of the first there are. Raises InputError.
        """
        pages = self.pages
        unique = {os.path.realpath(path) if path.is_absolute() else "": path for path in paths}
        self.editors = [pages.page(path, pages.load(path)) for path in unique.values()]
        named = len(self.editors)
        for file in again:
            if file.path is not None and os.path.realpath(file.path) not in unique:
                unique[os.path.realpath(file.path)] = file.path
                self.editors.append(pages.page(file.path, file))
        self.editors = self.editors or [pages.untitled()]
        self.editor = self.editors[0]
        for editor in self.editors:
            editor.display = editor is self.editor
        self.strip = Tabs(*map(self._new_tab, self.editors))
        self.strip.can_focus = False
        self.panes = Horizontal(*self.editors, id="panes")
        return named

    def put_in_front(self, editor: Editor) -> None:
        """Make one of the first files the current one, before any is on the screen."""
        self.editor.display, editor.display = False, True
        self.editor = editor

    def work(
        self,
        do: Callable[..., Coroutine[Any, Any, object]],
        *given: object,
        group: str,
        exclusive: bool = True,
    ) -> None:
        """Run a coroutine while keys are read; `exclusive` cancels the group's running one."""
        task: Any = partial(do, *given)  # no coroutine is made if it is cancelled before it starts
        self.app.run_worker(task, group=group, exclusive=exclusive)

    # Tabs and panes

    def show(self, editor: Editor) -> None:
        """Make a file the current one, in the current pane."""
        old, other = self.editor, self.beside
        if editor is not old:
            self.left(old, old.selection)
            old.cursors.drop()
        if editor is other:
            self.beside = old
        elif editor is not old and other is not None:
            order = self.panes.children
            if order.index(old) < order.index(other):
                self.panes.move_child(editor, before=other)
            else:
                self.panes.move_child(editor, after=other)
        self.editor = editor
        self._lay_out()

    def turn(self, by: int) -> None:
        """Switch to the next tab, or by `by` tabs."""
        self.show(self.editors[(self.editors.index(self.editor) + by) % len(self.editors)])

    def arrive(self, selection: Selection) -> None:
        """Select something in the file in front; in mid-screen, if it was not on the screen."""
        editor = self.editor
        top, height = round(editor.scroll_y), editor.size.height
        last = editor.document.end
        editor.selection = Selection(min(selection.start, last), min(selection.end, last))
        y = editor.rows.location_to_offset(editor.selection.end).y
        if not height:  # it is not on the screen yet
            self.app.call_after_refresh(editor.scroll_cursor_visible, center=True)
        elif not top <= y < top + height:
            editor.scroll_cursor_visible(center=True)

    def split(self) -> None:
        """Show the next file beside the current one or, if split already, undo the split."""
        if self.beside is not None:
            self.beside = None
        elif len(self.editors) == 1:
            self.notice("there is no other file to show beside this one")
        else:
            after = self.editors.index(self.editor) + 1
            self.show_beside(self.editors[after % len(self.editors)])
            return
        self._lay_out()

    def show_beside(self, editor: Editor, *, before: bool = False) -> None:
        """Show a file beside the current one, on its left if `before`."""
        self.beside = editor
        if before:
            self.panes.move_child(editor, before=self.editor)
        else:
            self.panes.move_child(editor, after=self.editor)
        self._lay_out()

    def other_side(self) -> None:
        """Go to the other pane; split the screen if there is only one."""
        if self.beside is None:
            self.split()
        if self.beside is not None:
            self.show(self.beside)

    async def add(self, editor: Editor) -> None:
        """Add a file in a new tab, and make it the current one."""
        editor.display = False
        await self.strip.add_tab(self._new_tab(editor))
        await self.panes.mount(editor)
        self.editors.append(editor)  # last: no switching to an editor that has no tab yet
        self.show(editor)
        self.relabel()
        self.added(editor)

    async def remove(self, editor: Editor) -> None:
        """Close a file's tab; after the last one, an empty text is opened."""
        at = self.editors.index(editor)
        if len(self.editors) == 1:
            await self.add(self.pages.untitled())
        elif editor is self.editor:
            self.left(editor, editor.selection)
        self.removed(editor)
        self.editors.remove(editor)
        if editor is self.editor:
            next_one = self.beside or self.editors[min(at, len(self.editors) - 1)]
            self.beside, self.editor = None, next_one
        elif editor is self.beside:
            self.beside = None
        self._lay_out()
        await self.strip.remove_tab(self._tabs.pop(editor))
        await editor.remove()
        self.relabel()

    def _lay_out(self) -> None:
        for one in self.editors:
            one.display = one is self.editor or one is self.beside
            if self.beside is not None:  # else no title is shown
                one.border_title = Content(f" {self.label(one)} ")
        self.panes.set_class(self.beside is not None, "-split")
        self.strip.active = self._tabs[self.editor].id or ""
        if not self.app.screen.is_modal:
            self.give_keyboard()
        self.tell_place()
        self.shown()

    @property
    def visible(self) -> list[Editor]:
        """The editors that are on the screen."""
        return [self.editor, *([self.beside] if self.beside else [])]

    def give_keyboard(self) -> None:
        """Focus the current file at once, since `focus` would miss the next key, but not while the
        user answers a question.
        """
        if self.app.focused is not self.bar or self.bar.left:
            self.app.screen.set_focus(self.editor)

    def _new_tab(self, editor: Editor) -> ContentTab:
        label = self.label(editor)
        self._tabs[editor] = tab = ContentTab(Content(label), f"file-{id(editor)}")
        return tab

    def follow_tab(self) -> None:
        """Make the file of the active tab the current one."""
        # Use the tab that is active now: the message may be older than the last switch.
        for editor in self.editors:
            if self._tabs[editor].id == self.strip.active and editor is not self.editor:
                self.show(editor)
        self.tell_place()

    def follow_focus(self, widget: Widget) -> None:
        """Make the second visible file the current one when it is clicked."""
        if widget is self.beside and self.beside is not None:
            self.show(self.beside)

    # Paths

    def holding(self, path: Path) -> Editor | None:
        """Return the editor in which a file is open."""
        files = (one for one in self.editors if one.file.path)
        return next((one for one in files if is_same(one.path, path)), None)

    def folder_in_front(self) -> str:
        """Return the current file's folder, as the start of a path to type."""
        path = self.editor.path if self.editor.file.path else self.folder / "x"
        return self.short(path).removesuffix(path.name)

    async def ask_path(self, question: str, start: str) -> Path | None:
        """Ask the user for a path; None if cancelled."""
        here = self.started_in.path or self.folder
        path = await self.app.push_screen_wait(AskPath(question, start, here))
        return None if path is None else here / path

    # Labels and messages

    def mark(self, editor: Editor) -> None:
        """Update the labels of a file's tab and pane, which show unsaved changes."""
        tab = self._tabs.get(editor)
        label = self.label(editor)
        if tab is not None and tab.label_text != label:
            tab.label = Content(label)
            if self.beside is not None:  # a plain refresh repaints only the text, not the title
                editor.border_title = Content(f" {label} ")
                editor.refresh(layout=True)

    def relabel(self) -> None:
        """Update all labels, as names may have become ambiguous or unique."""
        for editor in self.editors:
            self.mark(editor)

    def label(self, editor: Editor) -> str:
        """Return a tab's label: the file's name, with as much of its folder as tells it apart, and
        signs of unsaved changes and of an infill that is running in it.
        """
        parts = _parts(editor)
        others = [_parts(one) for one in self.editors if one is not editor]
        count = 1
        while count < len(parts) and any(one[-count:] == parts[-count:] for one in others):
            count += 1
        dot = "● " if editor.dirty else ""
        filling = "⋯ " if editor.filling else ""
        return "".join([filling, dot, visible("/".join(parts[-count:])), *_badges(editor, " [{}]")])

    def tell_place(self) -> None:
        """Show the current file and the cursor's position in the status line."""
        editor = self.editor
        row, column = editor.cursor_location
        ends = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[editor.buffer.newline]
        at = self.short(f"{editor.path}:{row + 1}:{column + 1}")
        several = [f"{editor.cursors.count} cursors"] if editor.cursors.several else []
        badges = _badges(editor, BETWEEN + "{}")
        how = (*_unusual(editor), ends, editor.file.encoding)
        self.status.place = "".join([BETWEEN.join((at, *several, *how)), *badges])

    def short(self, words: str | Path) -> str:
        """Return a message in which paths are relative to the folder we were started in."""
        return self.started_in.shortened(str(words))

    def notice(self, words: str) -> None:
        """Show a message, until the next key or for some seconds."""
        self.status.notice = self.short(words)
        if self._quiet is not None:
            self._quiet.stop()
        self._quiet = self.app.set_timer(_WHILE, partial(self.notice, "")) if words else None


def is_same(one: Path, two: Path) -> bool:
    """Say whether two paths lead to the same file."""
    return os.path.realpath(one) == os.path.realpath(two)


def _unusual(editor: Editor) -> list[str]:
    """Return what is unusual of how a file is written: no four blanks, another language."""
    tabs, size = editor.indent_type == "tabs", editor.indent_size
    words = ["tabs"] * tabs + [f"{size} blanks"] * (not tabs and size != 4)
    other = editor.file_name != editor.path.name
    name = PurePath(editor.file_name)
    return [*words, *[f"as {kind_of(name.name).language or name.suffix or name}"] * other]


def _badges(editor: Editor, form: str) -> list[str]:
    """Return a file's states to show beside its name."""
    words = ["read-only"] * editor.locked + ["deleted"] * editor.deleted
    return [form.format(word) for word in words]


def _parts(editor: Editor) -> tuple[str, ...]:
    """Return the parts of a file's absolute path, or only the name of a text without a file."""
    path = editor.path
    return path.parts if editor.file.path is None else Path(os.path.abspath(path)).parts
