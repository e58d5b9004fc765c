"""Editors for files, with the user's settings, and locked if the file may not be edited.

All edits pass through one method here, whichever key or command they come from, and so can be
refused. Text loaded from disk is accepted all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.message import Message

from dgedit.config import Files, Settings
from dgedit.errors import InputError
from dgedit.files.disk import instead_of_file, may_write
from dgedit.files.document import LARGEST, Document, UnfitError
from dgedit.files.editorconfig import EditorConfig, said_of
from dgedit.files.paths import WorkingFolder
from dgedit.text.indentation import uses_tabs
from dgedit.text.tidying import Tidying
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.transaction import Transaction

STDIN = Path("-")
"""The path that stands for standard input."""


class Page(Editor):
    """An editor with the user's settings that refuses edits while it is locked."""

    class Refused(Message):
        """An edit of a locked file was refused."""

    def __init__(self, path: Path, file: Document, settings: Settings) -> None:
        self._settings = settings
        super().__init__(path, file)

    def type_as_usual(self) -> None:
        """Indent, pair signs and draw rulers as the language, the project, the text and the user
        want.
        """
        said = said_of(self.path) if self.file.path else EditorConfig()
        self.warning = said.broken
        length = said.line_length if self._settings.editorconfig_max_line_length else None
        self.rulers = tuple(sorted({*self._settings.columns, *((length,) if length else ())}))
        if not self._settings.editorconfig_indent:
            said = EditorConfig()
        self.indent_width = said.tab_width or self._settings.tab_width
        super().type_as_usual()
        tabs = uses_tabs(self.file.text, self.file_name, said.tabs)
        self.indent_type = "tabs" if tabs else "spaces"
        self.indent_size = said.size or self.indent_size
        if not self._settings.auto_pairs:
            self.keystrokes.pairs = {}

    def on_mount(self) -> None:
        """Apply the settings."""
        self.soft_wrap = self._settings.soft_wrap
        self.show_line_numbers = bool(self._settings.line_numbers)
        self.relative_numbers = self._settings.line_numbers == "relative"
        self.whitespace = self._settings.whitespace
        self.scroll_margin = self._settings.scroll_margin
        self.cursor_blink = self.app.animation_level != "none"

    def edit(self, edit: Edit) -> EditResult:
        """Apply an edit, or refuse it. A refused one reports the text that is still there, so that
        cutting still copies it.
        """
        if not self.locked or (isinstance(edit, Transaction) and edit.loaded):
            return super().edit(edit)
        self.post_message(self.Refused())
        there = self.buffer.get_text_range(edit.from_location, edit.to_location)
        return EditResult(self.selection.end, there)

    def undo(self) -> None:
        """Undo an edit; refused in a locked file."""
        if self.locked:
            self.post_message(self.Refused())
        else:
            super().undo()

    def redo(self) -> None:
        """Redo an edit; refused in a locked file."""
        if self.locked:
            self.post_message(self.Refused())
        else:
            super().redo()


class Pages:
    """Makes pages for files."""

    first: Callable[[str], Awaitable[bool]]
    """Takes a key before the text of any page does, see `Editor.first`."""
    line_copied: Callable[[str], None]
    """Told what was copied as a line, see `Writing.line_copied`."""
    uncoloured: Callable[[Editor], object]
    """Finds the colours of a text without a grammar."""
    open_result: Callable[[], object | None]
    """Returns the open result, see `Editor.open_result`."""
    reopen: Callable[[object], bool]
    """Reopens a result, see `Editor.reopen`."""

    def __init__(
        self,
        settings: Settings,
        started_in: WorkingFolder,
        *,
        read_only: bool = False,
        force: bool = False,
        piped: Document | None = None,
    ) -> None:
        """Take the settings; `read_only` locks every file, `force` also opens binary and very large
        files, and `piped` is the document of `STDIN`.
        """
        self.settings, self.started_in = settings, started_in
        self.read_only, self.force, self.piped = read_only, force, piped

    def load(self, path: Path) -> Document:
        """Return a file's document, which is empty for a new file.

        Raises InputError for a file that is not text or too large, and for a folder: a caller that
        can show folders checks that first.
        """
        if self.piped is not None and path == STDIN:
            return self.piped
        try:
            path.stat()
        except FileNotFoundError:
            return self.as_wanted(Document.from_text("", path))
        except (OSError, ValueError):
            pass  # reading it will fail as well, with a reason
        if what := instead_of_file(path):
            raise InputError(f"{path} is {what}")
        return self._read(path)

    def read_again(self, path: Path) -> Document:
        """Read an open file as it is on disk now. Raises InputError."""
        self.refuse_other(path)
        return self._read(path)

    def refuse_other(self, path: Path) -> None:
        """Raise InputError if something else has replaced a file."""
        if what := instead_of_file(path):
            raise InputError(f"{path} is {what} now; F12 saves this text elsewhere")

    def page(self, path: Path, file: Document) -> Page:
        """Make a widget for a file, locked if the file may not be written."""
        page = Page(path, file, self.settings)
        page.started_in = self.started_in
        page.locked = self.read_only or (file.path is not None and not may_write(path))
        page.first, page.line_copied = self.first, self.line_copied
        page.uncoloured = partial(self.uncoloured, page)
        page.open_result, page.reopen = self.open_result, self.reopen
        return page

    def untitled(self) -> Page:
        """Make a page for an empty text without a file."""
        return self.page(Path("untitled"), Document.from_text(""))

    def as_wanted(self, file: Document) -> Document:
        """Return a document as the project wants it stored: one that no file holds yet, or any
        where the user says so.
        """
        if file.path is None:
            return file
        said, settings = said_of(file.path), self.settings
        if self._is_for(file, settings.editorconfig_end_of_line) and said.newline:
            file = replace(file, newline=said.newline)
        if self._is_for(file, settings.editorconfig_charset):
            file = file.stored_as(said.charset)
        return file

    def tidying(self, file: Document) -> Tidying:
        """Return what is wanted of a text that is saved: by the project, else by the user."""
        said, settings = said_of(file.path) if file.path else EditorConfig(), self.settings
        trim = said.trim if settings.editorconfig_trim else None
        final_newline = said.final_newline if settings.editorconfig_final_newline else None
        return Tidying(
            trim=settings.trim if trim is None else trim,
            final_newline=settings.final_newline if final_newline is None else final_newline,
            newline=said.newline if self._is_for(file, settings.editorconfig_end_of_line) else None,
        )

    def _is_for(self, file: Document, which: Files) -> bool:
        return which == "all" or (which == "new" and file.fingerprint is None)

    def _read(self, path: Path) -> Document:
        try:
            return Document.load(path, largest=None if self.force else LARGEST, binary=self.force)
        except UnfitError as error:
            raise InputError(f"{error}; --force opens it") from None
