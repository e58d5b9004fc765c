"""A dialog that asks for a path, with completion by Tab and a list of matching names.

Knows folders and names; the caller uses the path. Each key reads only the names of one folder: 2 ms
for a thousand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from dgedit.text.visible import visible
from dgedit.tui.widgets.dialogs import Modal
from dgedit.tui.widgets.line_input import LineInput

_SHOWN = 8


class AskPath(Modal[Path | None]):
    """A dialog for a path; the answer is None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "stay", show=False),
        Binding("tab", "complete", "complete", show=False),
    ]

    def __init__(self, question: str, start: str, folder: Path) -> None:
        super().__init__()
        self.question, self.start = question, start
        self.folder = folder
        """The folder that relative paths start from."""

    def compose(self) -> ComposeResult:
        """Lay out the question, the line and the completions."""
        with Vertical() as box:
            yield Static(Content(self.question), classes="question")
            yield LineInput(self.start, select_on_focus=False)
            yield Static(classes="names")
        box.border_subtitle = "Tab complete · Enter take · Esc close"

    def on_mount(self) -> None:
        """Show the completions at first; an empty line would send no change."""
        self._show_names(self.start)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._show_names(message.value)

    def _show_names(self, typed: str) -> None:
        names = completions(typed, self.folder)
        more = [f"and {len(names) - _SHOWN + 1:,} more"] if len(names) > _SHOWN else []
        shown = names[: _SHOWN - len(more)] if more else names
        self.query_one(".names", Static).update(Content("\n".join([*map(visible, shown), *more])))

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        if message.value.strip():
            self.dismiss(Path(os.path.expanduser(message.value)))

    def action_complete(self) -> None:
        """Insert the longest common start of all completions."""
        line = self.query_one(Input)
        names = completions(line.value, self.folder)
        if names:
            least, most = min(names), max(names)  # their common start is that of all names
            end = next((i for i, c in enumerate(least) if c != most[i]), len(least))
            line.value = line.value[: line.value.rfind("/") + 1] + least[:end]
            line.cursor_position = len(line.value)

    def action_leave(self) -> None:
        """Close without a path."""
        self.dismiss(None)


def completions(typed: str, start: Path) -> list[str]:
    """Return the names in the typed folder that begin with the typed name; folders end in /.

    Hidden names are left out unless the typed name begins with a dot.
    """
    folder, _, begun = typed.rpartition("/")
    place = start / os.path.expanduser(folder + "/") if "/" in typed else start
    try:
        with os.scandir(place) as entries:
            return sorted(
                entry.name + ("/" if _is_folder(entry) else "")
                for entry in entries
                if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
            )
    except (OSError, ValueError):  # ValueError: a NUL
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
