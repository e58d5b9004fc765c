"""The editor: files in tabs, holes in the files, and each step of an infill drawn where its text
will be. Nothing reaches a document before Enter.

Knows the editors, the infill and the keys; threads are `stream.py`'s, files `document.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Footer, TabbedContent, TabPane, Tabs
from watchfiles import awatch

from dgedit.document import Document, readable
from dgedit.errors import ConflictError, DgeditError, InputError
from dgedit.tui.dialogs import Ask
from dgedit.tui.editor import Editor
from dgedit.tui.fill import Fill, Stage
from dgedit.tui.status import StatusLine
from dgedit.tui.stream import Connected, Failed, Refined, Source
from dgedit.visible import visible
from dgedit_engine.types import Backend

# No more than 30 drawings a second.
_FRAME = 1 / 30
# How long a notice stands, in seconds.
_WHILE = 10


def run(
    paths: list[Path], *, model: str | None, device: str | None, effort: float, seed: int
) -> int:
    """Edit files until the user leaves; returns the exit code. Raises InputError for a file that
    cannot be opened.
    """
    from dgedit.backend import connect

    app = DgeditApp(paths, connect=partial(connect, model, device), effort=effort, seed=seed)
    app.run()
    return app.return_code or 0


class DgeditApp(App[None], inherit_bindings=False):
    """The editor's screen and keys."""

    TITLE = "dgedit"

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "mask", "mask", key_display="F2"),
        Binding("f5", "fill", "fill", key_display="F5"),
        Binding("enter", "accept", "accept", key_display="Enter"),
        Binding("escape", "cancel", "reject", key_display="Esc"),
        Binding("ctrl+s", "save", "save"),
        Binding("ctrl+q", "leave", "quit"),
    ]

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        connect: Callable[[], Backend],
        effort: float = 0.5,
        seed: int = 0,
        watch: bool = True,
    ) -> None:
        super().__init__()
        unique = {os.path.realpath(path): path for path in paths}
        self.editors = [Editor(path, _opened(path)) for path in unique.values()]
        self.fill: Fill | None = None
        self.effort = effort
        self.seed = seed
        self._watch = watch
        self._source = Source(connect, self.post_message)
        self._waiting: Refined | None = None
        self._frame: Timer | None = None
        self._status = StatusLine()
        self._quiet: Timer | None = None

    def compose(self) -> ComposeResult:
        """Tabs, status line, keys."""
        with TabbedContent():
            for i, editor in enumerate(self.editors):
                with TabPane(Content(visible(editor.path.name)), id=f"file-{i}"):
                    yield editor
        yield self._status
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the first file, then load the engine."""
        self.theme = "tokyo-night"
        self.query_one(Tabs).can_focus = False
        self.editors[0].focus()
        self._status.engine = "loading model…"
        self.call_after_refresh(self._open_engine)
        if self._watch:
            self._watch_folders()

    @property
    def editor(self) -> Editor:
        """The file in front."""
        active = self.query_one(TabbedContent).active
        return self.editors[int(active.rpartition("-")[2])]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter and Escape are ours while there is an infill; no key is before a question."""
        if self.screen.is_modal:
            return False
        return self.fill is not None if action in ("accept", "cancel") else True

    def copy_to_clipboard(self, text: str) -> None:
        """Copy; the terminal's clipboard cannot hold bytes that are no text, ours can."""
        super().copy_to_clipboard(readable(text))
        self._clipboard = text

    # Holes and infills

    def action_mask(self) -> None:
        """Mask the selection, or close the hole at the cursor."""
        if self.fill is not None:
            self._notice("an infill is open: Enter accepts, Esc rejects")
        else:
            self.editor.toggle_hole()
            self._notice("")

    def action_fill(self) -> None:
        """Fill all holes of all files; after a result, once more with the next seed."""
        try:
            if self.fill is None:
                self._start(Fill.ask(self.editors, effort=self.effort, seed=self.seed))
            elif self.fill.stage is Stage.READY:
                self._start(self.fill.again())
        except (DgeditError, ValueError) as error:
            self._notice("select something and press F2 first" if not self._holed else str(error))

    def action_accept(self) -> None:
        """Put the infill into the texts."""
        assert self.fill is not None
        fill = self.fill
        if not fill.intact:  # and the message that says so is still on its way
            self._outdate()
        elif fill.stage is Stage.READY:
            self._end()
            fill.accept()
        else:
            self._notice("not settled yet: Esc cancels")

    def action_cancel(self) -> None:
        """Stop the engine and show the documents again."""
        assert self.fill is not None
        running = self.fill.stage is not Stage.READY
        self.fill.clear()
        self._end()
        self._notice("cancelled" if running else "rejected")

    @on(Editor.Touched)
    def _outdate(self) -> None:
        if self.fill is not None and not self.fill.intact:
            self.action_cancel()
            self._notice("cancelled: the hole was edited")

    @property
    def _holed(self) -> bool:
        return any(editor.holes for editor in self.editors)

    def _start(self, fill: Fill) -> None:
        self.fill = fill
        self._notice("")
        self._tell_engine()
        self.refresh_bindings()
        self._refine(fill)

    def _end(self) -> None:
        self.fill = None
        self._waiting = None
        self._tell_engine()
        self.refresh_bindings()

    # Daemons, not workers: who quits does not wait until a large model is loaded.

    def _refine(self, fill: Fill) -> None:
        work = partial(self._source.refine, fill, lambda: self.fill is not fill)
        Thread(target=work, daemon=True).start()

    def _open_engine(self) -> None:
        Thread(target=self._source.open, daemon=True).start()

    @on(Connected)
    def _tell_engine(self) -> None:
        backend = self._source.backend
        parts = [self.fill.progress()] if self.fill and backend else []
        parts += [backend.name, backend.device] if backend else []
        self._status.engine = " · ".join(parts) or "loading model…"

    @on(Refined)
    def _draw_step(self, message: Refined) -> None:
        """Draw a step now, or with the next frame."""
        if message.fill is not self.fill:
            return
        self._waiting = message
        if self._frame is None:
            self._draw_waiting()

    def _draw_waiting(self) -> None:
        message, self._waiting, self._frame = self._waiting, None, None
        if message is None or message.fill is not self.fill or self.fill is None:
            return
        self.fill.draw(message.step, message.seconds)
        self._tell_engine()
        if not message.step.last:
            self._frame = self.set_timer(_FRAME, self._draw_waiting)

    @on(Failed)
    def _give_up(self, message: Failed) -> None:
        if self.fill is not None and message.fill in (None, self.fill):
            self.fill.clear()
            self._end()
        words = " ".join(str(message.error).split()) or type(message.error).__name__
        self._notice(words)
        if self._source.backend is None:
            self._status.engine = "no model"

    # Files

    def action_turn(self, by: int) -> None:
        """Bring the next file to the front."""
        at = (self.editors.index(self.editor) + by) % len(self.editors)
        self.query_one(TabbedContent).active = f"file-{at}"
        self.screen.set_focus(self.editors[at])

    @work
    async def action_save(self) -> None:
        """Save the file in front."""
        await self._save(self.editor)

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        """Quit; ask first when something would be lost."""
        dirty = [editor for editor in self.editors if editor.dirty]
        if dirty:
            names = ", ".join(visible(editor.path.name) for editor in dirty)
            choices = {"s": "save", "d": "discard"}
            answer = await self.push_screen_wait(Ask(f"Not saved: {names}", choices))
        elif self.fill is not None:
            answer = await self.push_screen_wait(Ask("An infill is open", {"d": "discard"}))
        else:
            answer = "d"
        if answer == "d" or (answer == "s" and all([await self._save(editor) for editor in dirty])):
            self._end()
            self.exit()

    async def _save(self, editor: Editor) -> bool:
        try:
            try:
                editor.file = editor.current.save()
            except ConflictError as error:
                choices = {"o": "overwrite", "r": "reload"}
                answer = await self.push_screen_wait(Ask(visible(str(error)), choices))
                if answer == "r":
                    editor.reload(Document.load(editor.path))
                    return True
                if answer is None:
                    return False
                editor.file = editor.current.save(overwrite=True)
        except DgeditError as error:
            self._notice(str(error))
            return False
        self._mark(editor)
        self._notice(f"saved {editor.path}")
        return True

    @work(group="watch")
    async def _watch_folders(self) -> None:
        folders = {Path(os.path.realpath(editor.path)).parent for editor in self.editors}
        there = [folder for folder in folders if folder.is_dir()]
        # Folders, since a file that is replaced is no longer watched.
        seen = awatch(*there, recursive=False, watch_filter=None, debounce=200, step=50)
        try:
            async for _ in seen:
                self.check_disk()
        except OSError as error:  # no right to read the folder, or too many are watched already
            self._notice(f"changes on disk will only be seen when saving: {error}")

    def check_disk(self) -> None:
        """Take over what changed on disk where nothing would be lost, and tell of it elsewhere."""
        for editor in self.editors:
            if not editor.file.is_stale():
                continue
            live = self.fill is not None and editor in self.fill.editors
            try:
                if editor.dirty or live:
                    self._notice(f"{editor.path} has changed on disk")
                else:
                    editor.reload(Document.load(editor.path))
                    self._notice(f"{editor.path} was reloaded")
            except InputError as error:
                self._notice(str(error))

    # What is said

    @on(Editor.Changed)
    def _changed(self, message: Editor.Changed) -> None:
        assert isinstance(message.text_area, Editor)
        self._mark(message.text_area)

    @on(Editor.SelectionChanged)
    def _moved(self) -> None:
        self._tell_place()

    @on(TabbedContent.TabActivated)
    def _turned(self) -> None:
        if not self.screen.is_modal:
            self.editor.focus()
        self._tell_place()

    def _mark(self, editor: Editor) -> None:
        pane = f"file-{self.editors.index(editor)}"
        dot = "● " if editor.dirty else ""
        self.query_one(TabbedContent).get_tab(pane).label = Content(dot + visible(editor.path.name))

    def _tell_place(self) -> None:
        editor = self.editor
        row, column = editor.cursor_location
        ends = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[editor.buffer.newline]
        encoding = editor.file.encoding
        self._status.place = f"{editor.path}:{row + 1}:{column + 1} · {ends} · {encoding}"

    def _notice(self, words: str) -> None:
        """Say something for a while."""
        self._status.notice = words
        if self._quiet is not None:
            self._quiet.stop()
        self._quiet = self.set_timer(_WHILE, partial(self._notice, "")) if words else None


def _opened(path: Path) -> Document:
    """The file's document; an empty one for a file yet to be made."""
    try:
        path.stat()
    except FileNotFoundError:
        return Document.from_text("", path)
    except OSError:
        pass  # reading it fails as well, and says why
    return Document.load(path)
