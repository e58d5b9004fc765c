"""The editor's screen: files in tabs, one or two of them side by side, and a status line.

Which file is in front is an attribute, not something asked of a widget: it is right at once, while
tabs and focus follow with the next messages. A file is shown or hidden, never made anew, so that
each keeps its cursor, its scroll and its undo.

Knows editors and words; what happens to files is `saving.py`'s, infills are those of
`infill/controller.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Tabs
from textual.widgets.tabbed_content import ContentTab

from dgedit.config import Settings, unknown
from dgedit.errors import UsageError
from dgedit.files.document import Document, readable
from dgedit.files.editorconfig import Indentation, indentation_of
from dgedit.files.paths import WorkingFolder
from dgedit.text.indentation import uses_tabs
from dgedit.text.visible import visible
from dgedit.tui import keymap
from dgedit.tui.editor.editor import Editor
from dgedit.tui.infill.session import Fill
from dgedit.tui.widgets.footer import Hints
from dgedit.tui.widgets.status import BETWEEN, StatusLine

# How long a notice stands, in seconds, where no key ends it.
_WHILE = 6


class Page(Editor, inherit_bindings=False):
    """An editor as the user wants it: with the settings, and an id for each of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [*keymap.widget(Editor)]

    def __init__(self, path: Path, file: Document, settings: Settings) -> None:
        self._settings = settings
        super().__init__(path, file)

    def indent_as_usual(self) -> None:
        """Indent with what the language, the project and the text want."""
        said = indentation_of(self.path) if self.file.path else Indentation()
        tabs = uses_tabs(self.file.text, self.path.name, said.tabs)
        self.indent_type = "tabs" if tabs else "spaces"
        self.indent_width = said.width or self._settings.tab_width

    def on_mount(self) -> None:
        """Settle in."""
        self.soft_wrap = self._settings.soft_wrap
        self.show_line_numbers = self._settings.line_numbers
        self.cursor_blink = self.app.animation_level != "none"


class Desk(App[None], inherit_bindings=False):
    """Files side by side."""

    TITLE = "dgedit"

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+backslash", "split", "split screen, or no longer", show=False, id="split"),
        Binding("f8", "other_side", "go to the file beside", show=False, id="other-side"),
        Binding("ctrl+pagedown", "app.turn(1)", "next file", show=False, id="next-file"),
        Binding("ctrl+pageup", "app.turn(-1)", "previous file", show=False, id="previous-file"),
    ]

    started_in = WorkingFolder()
    """What relative paths start from, also when it was removed meanwhile."""

    def __init__(self, paths: Iterable[Path], settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        """What the user has set."""
        if self.settings.theme not in self.available_themes:
            raise UsageError(unknown("theme", self.settings.theme, self.available_themes))
        if self.settings.reduced_motion:
            self.animation_level = "none"
        unique = {os.path.realpath(path) if path.is_absolute() else "": path for path in paths}
        self.editors: list[Editor] = [self.page(path, self.load(path)) for path in unique.values()]
        """The files, in the order of their tabs."""
        if not self.editors:
            self.editors = [self.untitled()]
        self.editor: Editor = self.editors[0]
        """The file in front."""
        self.beside: Editor | None = None
        """The other file shown, while there are two."""
        self.fill: Fill | None = None
        """The infill that is open."""
        self.status = StatusLine()
        self._quiet: Timer | None = None
        self._tabs: dict[Editor, ContentTab] = {}
        self._strip = Tabs()
        self._panes = Horizontal(id="panes")

    def page(self, path: Path, file: Document) -> Editor:
        """A widget for a file."""
        return self.settled(Page(path, file, self.settings))

    def settled(self, page: Page) -> Page:
        """A widget that shows its path as all are shown here."""
        page.started_in = self.started_in
        return page

    def load(self, path: Path) -> Document:
        """A file's document; an empty one for a file yet to be made. Raises InputError."""
        try:
            path.stat()
        except FileNotFoundError:
            return Document.from_text("", path)
        except (OSError, ValueError):
            pass  # reading it fails as well, and says why
        return Document.load(path)

    def untitled(self) -> Editor:
        """An empty text that has no file yet."""
        return self.page(Path("untitled"), Document.from_text(""))

    def compose(self) -> ComposeResult:
        """Tabs, the files shown, status line, keys."""
        for editor in self.editors:
            editor.display = editor is self.editor
        self._strip = Tabs(*map(self._new_tab, self.editors))
        self._panes = Horizontal(*self.editors, id="panes")
        yield self._strip
        with Horizontal(id="middle"):
            yield self._panes
        yield self.status
        yield Hints()

    def on_mount(self) -> None:
        """Show the first file."""
        self.theme = self.settings.theme
        self._strip.can_focus = False
        self.editor.focus()

    def copy_to_clipboard(self, text: str) -> None:
        """Copy; the terminal's clipboard cannot hold bytes that are no text, ours can."""
        super().copy_to_clipboard(readable(text))
        self._clipboard = text

    # Files shown

    def show(self, editor: Editor) -> None:
        """Bring a file to the front, in the place of the one that is there."""
        old, other = self.editor, self.beside
        if editor is other:
            self.beside = old
        elif editor is not old and other is not None:
            order = self._panes.children
            if order.index(old) < order.index(other):
                self._panes.move_child(editor, before=other)
            else:
                self._panes.move_child(editor, after=other)
        self.editor = editor
        self._lay_out()

    def action_turn(self, by: int) -> None:
        """Bring the next file to the front."""
        self.show(self.editors[(self.editors.index(self.editor) + by) % len(self.editors)])

    def action_split(self) -> None:
        """Show the next file beside this one; again, this one alone."""
        if self.beside is not None:
            self.beside = None
        elif len(self.editors) == 1:
            self.notice("there is no other file to show beside this one")
        else:
            after = self.editors.index(self.editor) + 1
            self.beside = self.editors[after % len(self.editors)]
            self._panes.move_child(self.beside, after=self.editor)
        self._lay_out()

    def action_other_side(self) -> None:
        """Go to the other of two files shown; show it if there is only one."""
        if self.beside is None:
            self.action_split()
        if self.beside is not None:
            self.show(self.beside)

    async def add(self, editor: Editor) -> None:
        """Put another file on the desk, and in front."""
        editor.display = False
        await self._strip.add_tab(self._new_tab(editor))
        await self._panes.mount(editor)
        self.editors.append(editor)  # last: what has no tab must not be turned to
        self.show(editor)
        self.relabel()

    async def remove(self, editor: Editor) -> None:
        """Take a file from the desk; the last one leaves an empty text behind."""
        at = self.editors.index(editor)
        if len(self.editors) == 1:
            await self.add(self.untitled())
        self.editors.remove(editor)
        if editor is self.editor:
            next_one = self.beside or self.editors[min(at, len(self.editors) - 1)]
            self.beside, self.editor = None, next_one
        elif editor is self.beside:
            self.beside = None
        self._lay_out()
        await self._strip.remove_tab(self._tabs.pop(editor))
        await editor.remove()
        self.relabel()

    def _lay_out(self) -> None:
        for one in self.editors:
            one.display = one is self.editor or one is self.beside
        self._panes.set_class(self.beside is not None, "-split")
        self._strip.active = self._tabs[self.editor].id or ""
        if not self.screen.is_modal:
            self.give_keyboard()
        self.tell_place()

    def give_keyboard(self) -> None:
        """Let the file in front have the keyboard, now: `focus` would miss the next key."""
        self.screen.set_focus(self.editor)

    def _new_tab(self, editor: Editor) -> ContentTab:
        label = self.label(editor)
        self._tabs[editor] = tab = ContentTab(Content(label), f"file-{id(editor)}")
        editor.border_title = Content(f" {label} ")
        return tab

    # What is said

    @on(Editor.Changed)
    def _changed(self, message: Editor.Changed) -> None:
        assert isinstance(message.text_area, Editor)
        self.mark(message.text_area)

    @on(Editor.SelectionChanged)
    def _moved(self) -> None:
        self.tell_place()

    @on(Tabs.TabActivated)
    def _turned(self) -> None:
        # The tab that is active now: the message may be older than the last turn.
        for editor in self.editors:
            if self._tabs[editor].id == self._strip.active and editor is not self.editor:
                self.show(editor)
        self.tell_place()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The file beside is clicked on."""
        if event.widget is self.beside and self.beside is not None:
            self.show(self.beside)

    def mark(self, editor: Editor) -> None:
        """Show on its tab, and above it in a split, whether a file has anything to save."""
        tab = self._tabs.get(editor)
        label = self.label(editor)
        if tab is not None and tab.label_text != label:
            tab.label, editor.border_title = Content(label), Content(f" {label} ")
            if self.beside is not None:  # the name above is no text, which alone is painted anew
                editor.refresh(layout=True)

    def relabel(self) -> None:
        """Names, which may have become unclear or clear."""
        for editor in self.editors:
            self.mark(editor)

    def label(self, editor: Editor) -> str:
        """What is on a file's tab: its name, with as much of its folder as tells it apart."""
        parts = _parts(editor)
        others = [_parts(one) for one in self.editors if one is not editor]
        count = 1
        while count < len(parts) and any(one[-count:] == parts[-count:] for one in others):
            count += 1
        dot = "● " if editor.dirty else ""
        return dot + visible("/".join(parts[-count:]))

    def tell_place(self) -> None:
        """Say which file is in front, and where the cursor is."""
        editor = self.editor
        row, column = editor.cursor_location
        ends = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[editor.buffer.newline]
        at = self.short(f"{editor.path}:{row + 1}:{column + 1}")
        self.status.place = BETWEEN.join((at, ends, editor.file.encoding))

    async def on_event(self, event: events.Event) -> None:
        """A key or a click ends what the one before had to say, before it does anything itself."""
        ends = isinstance(event, events.Key | events.Paste | events.MouseDown)
        if ends and not event.is_forwarded:
            self.notice("")
        await super().on_event(event)

    def short(self, words: str | Path) -> str:
        """Words about files, each named from the folder that we were started in."""
        return self.started_in.shortened(str(words))

    def notice(self, words: str) -> None:
        """Say something, until the next key and not for long."""
        self.status.notice = self.short(words)
        if self._quiet is not None:
            self._quiet.stop()
        self._quiet = self.set_timer(_WHILE, partial(self.notice, "")) if words else None


def _parts(editor: Editor) -> tuple[str, ...]:
    """A file's absolute path, but of a text without a file its name alone."""
    path = editor.path
    return path.parts if editor.file.path is None else Path(os.path.abspath(path)).parts
