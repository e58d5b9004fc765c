"""Edit text from standard input like a file, and print it when the editor ends.

The terminal then replaces standard input, which is at its end. Saving makes the text the result;
the last result is printed, or the input if there is none. If the user quits and discards changes,
the exit code is 130, as after an interrupt, so that a script sees that there is no result.

Knows one text and where it came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection

from dgedit.errors import Exit, InputError, UsageError
from dgedit.files.document import Document
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace


class Piped:
    """The text from standard input, if there is one."""

    def __init__(self, workspace: Workspace, text: Document | None) -> None:
        """Take the text that was read; None if there is none."""
        self.workspace, self.text = workspace, text
        self.editor: Editor | None = None
        """The editor of the text, even if its tab was closed."""
        self._refused: Document | None = None  # the result, if it could not be printed

    def start(self) -> None:
        """Find the editor of the text."""
        editors = self.workspace.editors
        self.editor = next((one for one in editors if one.file is self.text), None)
        assert self.text is None or self.editor is not None

    @property
    def result(self) -> Document | None:
        """The document to print: the text as last saved, once the user has quit."""
        if self.editor is None or not self.workspace.leaving:
            return None
        return self.editor.file

    def give(self, give: Callable[[Document], None]) -> None:
        """Output the result with `give`; if that fails, the result counts as unsaved."""
        if (result := self.result) is None:
            return
        try:
            give(result)
        except BaseException:
            assert self.editor is not None and self.text is not None
            if result.text != self.text.text:
                self._refused, workspace = result, self.workspace
                workspace.editors = [*{*workspace.editors, self.editor}]  # even if it was closed
            raise

    def refused(self, editor: Editor) -> Document | None:
        """Return an editor's result that could not be printed, if there is one."""
        return self._refused if editor is self.editor else None

    def keep(self, editor: Editor) -> bool:
        """Make an editor's text the result; return False if it is not the text from
        standard input.
        """
        if editor is not self.editor or editor.file.path is not None:
            return False
        editor.file = editor.current
        return True

    def code(self, opened: Collection[Editor], discarded: Collection[Editor]) -> int:
        """Return the exit code: that of an interrupt if changes were discarded."""
        editor = self.editor
        if editor is None or not editor.dirty or (editor in opened and editor not in discarded):
            return 0
        return Exit.INTERRUPTED


def read_stdin(*, force: bool = False) -> Document:
    """Read all of standard input, then replace it by the terminal for the keyboard."""
    if sys.stdin.isatty():
        raise UsageError("- reads standard input, which is the terminal: use a pipe, or a file")
    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"cannot read standard input: {error.strerror}") from None
    document = Document.from_bytes(data, binary=force)
    try:
        keyboard = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"the editor needs a terminal: {error.strerror}: /dev/tty") from None
    os.dup2(keyboard, 0)
    os.close(keyboard)
    return document
