"""Text from standard input: edited like a file, and printed when the editor ends.

The keyboard is then the terminal itself, since what was standard input is at its end. Saving makes
the text the result; what is printed is the last result, or the input if there is none. Who leaves
and discards ends with 130, as after an interrupt, and a script sees that nothing is to be used.

Knows one text and where it came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from dgedit.errors import Exit, InputError, UsageError
from dgedit.files.document import Document
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.saving import Filing

STDIN = Path("-")
"""What stands for it among the files."""


class Piping(Filing):
    """The text from standard input, if there is one."""

    piped: Document | None = None
    """As it was read."""
    _refused: Document | None = None
    """The result, if it could not be printed."""

    @cached_property
    def piped_editor(self) -> Editor | None:
        """Where it is edited, even when its tab was closed."""
        return next((one for one in self.editors if one.file is self.piped), None)

    def on_mount(self) -> None:
        """Find it while it is there."""
        assert self.piped is None or self.piped_editor is not None

    @property
    def result(self) -> Document | None:
        """What to print: once the user has left, the text as last saved."""
        if self.piped is None or not self.leaving:
            return None
        assert self.piped_editor is not None
        return self.piped_editor.file

    def give(self, give: Callable[[Document], None]) -> None:
        """Give the result away; one that is not taken counts as not saved."""
        if (result := self.result) is None:
            return
        try:
            give(result)
        except BaseException:
            editor = self.piped_editor
            if editor is not None and self.piped is not None and result.text != self.piped.text:
                self._refused = result
                self.editors = [*{*self.editors, editor}]  # also where its tab was closed
            raise

    def unsaved(self, editor: Editor) -> Document | None:
        """Also what could not be printed."""
        if editor is self.piped_editor and self._refused is not None:
            return self._refused
        return super().unsaved(editor)

    def load(self, path: Path) -> Document:
        """A file's document, or what was read from standard input."""
        return self.piped if self.piped is not None and path == STDIN else super().load(path)

    def leave(self, discarded: Sequence[Editor]) -> None:
        """End, and say so if the result is not what was edited."""
        super().leave(discarded)
        editor = self.piped_editor
        if (
            editor is not None
            and editor.dirty
            and (
                editor in discarded or editor not in self.editors  # as its tab was closed
            )
        ):
            self.exit(return_code=Exit.INTERRUPTED)

    async def _save(self, editor: Editor) -> bool:
        if editor is not self.piped_editor or editor.file.path is not None:
            return await super()._save(editor)
        editor.file = editor.current
        self.mark(editor)
        self.notice("this will be printed when you quit")
        return True


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
