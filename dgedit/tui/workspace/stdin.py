"""Text from standard input: edited like a file, and printed when the editor ends.

The keyboard is then the terminal itself, since what was standard input is at its end. Saving makes
the text the result; what is printed is the last result, or the input if there is none. Who leaves
and discards ends with 130, as after an interrupt, and a script sees that nothing is to be used.

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
        """`text` is what was read; None for nothing."""
        self.workspace, self.text = workspace, text
        self.editor: Editor | None = None
        """Where it is edited, even when its tab was closed."""
        self._refused: Document | None = None  # the result, if it could not be printed

    def start(self) -> None:
        """Find its tab while it is there."""
        editors = self.workspace.editors
        self.editor = next((one for one in editors if one.file is self.text), None)
        assert self.text is None or self.editor is not None

    @property
    def result(self) -> Document | None:
        """What to print: once the user has left, the text as last saved."""
        if self.editor is None or not self.workspace.leaving:
            return None
        return self.editor.file

    def give(self, give: Callable[[Document], None]) -> None:
        """Give the result away; one that is not taken counts as not saved."""
        if (result := self.result) is None:
            return
        try:
            give(result)
        except BaseException:
            assert self.editor is not None and self.text is not None
            if result.text != self.text.text:
                self._refused, workspace = result, self.workspace
                workspace.editors = [*{*workspace.editors, self.editor}]  # also a closed one
            raise

    def refused(self, editor: Editor) -> Document | None:
        """The result in an editor that could not be printed, if there is one."""
        return self._refused if editor is self.editor else None

    def keep(self, editor: Editor) -> bool:
        """Make an editor's text the result; False where it is not this one's."""
        if editor is not self.editor or editor.file.path is not None:
            return False
        editor.file = editor.current
        return True

    def code(self, opened: Collection[Editor], discarded: Collection[Editor]) -> int:
        """The exit code: that of an interrupt if the result is not what was edited."""
        editor = self.editor
        if editor is None or not editor.dirty or (editor in opened and editor not in discarded):
            return 0
        return Exit.INTERRUPTED


def read_stdin(*, force: bool = False) -> Document:
    """All of standard input, in whose place the keyboard is from now on."""
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
