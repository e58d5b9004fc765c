"""The editor's screen: files in tabs, a status line, and which file is in front.

Knows editors and words; what happens to files is `filing.py`'s, infills are `infilling.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from textual import on
from textual.app import App, ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Footer, TabbedContent, TabPane, Tabs

from dgedit.document import Document, readable
from dgedit.tui.editor import Editor
from dgedit.tui.fill import Fill
from dgedit.tui.status import StatusLine
from dgedit.visible import visible

# How long a notice stands, in seconds.
_WHILE = 10


class Desk(App[None], inherit_bindings=False):
    """What every part of the editor works at."""

    TITLE = "dgedit"

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, paths: Iterable[Path]) -> None:
        super().__init__()
        unique = {os.path.realpath(path): path for path in paths}
        self.editors = [Editor(path, _opened(path)) for path in unique.values()]
        self.fill: Fill | None = None
        """The infill that is open."""
        self.status = StatusLine()
        self._quiet: Timer | None = None

    def compose(self) -> ComposeResult:
        """Tabs, status line, keys."""
        with TabbedContent():
            for i, editor in enumerate(self.editors):
                with TabPane(Content(visible(editor.path.name)), id=f"file-{i}"):
                    yield editor
        yield self.status
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the first file."""
        self.theme = "tokyo-night"
        self.query_one(Tabs).can_focus = False
        self.editors[0].focus()

    @property
    def editor(self) -> Editor:
        """The file in front."""
        active = self.query_one(TabbedContent).active
        return self.editors[int(active.rpartition("-")[2])]

    def copy_to_clipboard(self, text: str) -> None:
        """Copy; the terminal's clipboard cannot hold bytes that are no text, ours can."""
        super().copy_to_clipboard(readable(text))
        self._clipboard = text

    def action_turn(self, by: int) -> None:
        """Bring the next file to the front."""
        at = (self.editors.index(self.editor) + by) % len(self.editors)
        self.query_one(TabbedContent).active = f"file-{at}"
        self.screen.set_focus(self.editors[at])

    # What is said

    @on(Editor.Changed)
    def _changed(self, message: Editor.Changed) -> None:
        assert isinstance(message.text_area, Editor)
        self.mark(message.text_area)

    @on(Editor.SelectionChanged)
    def _moved(self) -> None:
        self._tell_place()

    @on(TabbedContent.TabActivated)
    def _turned(self) -> None:
        if not self.screen.is_modal:
            self.editor.focus()
        self._tell_place()

    def mark(self, editor: Editor) -> None:
        """Show on its tab whether a file has anything to save."""
        pane = f"file-{self.editors.index(editor)}"
        dot = "● " if editor.dirty else ""
        self.query_one(TabbedContent).get_tab(pane).label = Content(dot + visible(editor.path.name))

    def _tell_place(self) -> None:
        editor = self.editor
        row, column = editor.cursor_location
        ends = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[editor.buffer.newline]
        encoding = editor.file.encoding
        self.status.place = f"{editor.path}:{row + 1}:{column + 1} · {ends} · {encoding}"

    def notice(self, words: str) -> None:
        """Say something for a while."""
        self.status.notice = words
        if self._quiet is not None:
            self._quiet.stop()
        self._quiet = self.set_timer(_WHILE, partial(self.notice, "")) if words else None


def _opened(path: Path) -> Document:
    """The file's document; an empty one for a file yet to be made."""
    try:
        path.stat()
    except FileNotFoundError:
        return Document.from_text("", path)
    except OSError:
        pass  # reading it fails as well, and says why
    return Document.load(path)
