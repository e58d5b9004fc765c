"""A line that asks for words. Up and Down bring back those that were given before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from dgedit.tui.widgets.dialogs import Modal
from dgedit.tui.widgets.line_input import LineInput


class AskLine(Modal[str | None]):
    """A line of words; None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", show=False),
        Binding("up", "recall(-1)", "earlier", show=False),
        Binding("down", "recall(1)", "later", show=False),
    ]

    def __init__(self, question: str, earlier: Sequence[str] = ()) -> None:
        super().__init__()
        self.question, self.lines = question, [*earlier, ""]
        self.at = len(earlier)

    def compose(self) -> ComposeResult:
        """Yield the question above its line."""
        with Vertical() as box:
            yield Static(Content(self.question), classes="question")
            yield LineInput()
        box.border_subtitle = "Enter take · ↑ ↓ earlier · Esc close"

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        if message.value.strip():
            self.dismiss(message.value)

    def action_recall(self, by: int) -> None:
        """Bring back an earlier line, or what was being written."""
        line = self.query_one(Input)
        self.lines[self.at] = line.value
        self.at = max(0, min(len(self.lines) - 1, self.at + by))
        line.value = self.lines[self.at]
        line.cursor_position = len(line.value)

    def action_leave(self) -> None:
        """No words."""
        self.dismiss(None)
