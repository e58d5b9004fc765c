"""Colour texts without a grammar by Pygments, in a process of its own that may be ended.

A text is read from its start to the last row in view and a few more, up to a bound; what lies
further down has no colours. One that takes too long has none from then on. Knows editors and rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from textual.geometry import Offset

from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.lexed import Lexed
from dgedit.tui.workspace.lexers import Lexers
from dgedit.tui.workspace.tabs import Workspace

# Characters that are read at most, and rows beyond those in view.
_MOST = 200_000
_MORE = 100


class Colouring:
    """Finds the colours of the rows in view."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.lexers = Lexers()
        """The process that is asked."""

    def color(self, editor: Editor) -> None:
        """Find the colours of a text's rows in view, unless that is under way."""
        lexed = editor.buffer.lexed
        if lexed is not None and (version := lexed.ask()) is not None:
            work = self.workspace.work
            work(self._color, editor, lexed, version, group="colours", exclusive=False)

    def close(self) -> None:
        """End the process."""
        self.lexers.close()

    async def _color(self, editor: Editor, lexed: Lexed, version: int) -> None:
        top, bottom = _in_view(editor)
        lines = editor.buffer.lines
        read = list(_bounded(lines[:bottom]))
        rows = range(min(top, len(read)), bottom)
        found: Sequence[list[tuple[int, int, str]]] | None = []
        if rows.start < len(read):
            found = await asyncio.to_thread(
                self.lexers.rows_of, editor.file_name, "\n".join(read), rows.start
            )
        if found is None:
            lexed.give_up()
        else:
            lexed.take(version, rows, [[*row] for row in found])
        editor.refresh()  # which asks again if the text has changed meanwhile


def _in_view(editor: Editor) -> tuple[int, int]:
    """Return the first row of the document in view, and that behind the last, with some more."""
    y, height = round(editor.scroll_y), editor.size.height
    first, last = (editor.rows.offset_to_location(Offset(0, at))[0] for at in (y, y + height))
    return max(0, first - _MORE), min(last + 1 + _MORE, editor.buffer.line_count)


def _bounded(lines: Sequence[str]) -> Iterator[str]:
    left = _MOST
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            return
        yield line
