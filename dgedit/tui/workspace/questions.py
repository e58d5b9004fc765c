"""Queue questions about files that need no immediate answer, and show one in the bar below the
text.

The question shown is the oldest about the current file, or else about any other.
"""

from __future__ import annotations

from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.tabs import Workspace


class Questions:
    """The open questions, and the files that they are about."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.bar = workspace, workspace.bar
        self.asked: dict[Question, Editor | None] = {}
        """The questions, oldest first, each with its file; None for all files."""

    def ask_about(self, editor: Editor | None, question: Question) -> None:
        """Ask a question about a file, or about all of them."""
        self.asked[question] = editor
        self.show()

    def withdraw(self, question: Question) -> None:
        """Remove a question."""
        if question in self.asked:
            del self.asked[question]
            self.show()

    def enter(self) -> None:
        """Move the focus to the bar."""
        self.bar.enter()

    def leave(self) -> None:
        """Move the focus from the bar to the text."""
        editor = self.workspace.editor
        if self.bar.left:
            editor.screen.set_focus(editor)  # the editor's screen, as a diff may be on top

    def show(self) -> None:
        """Show the question that suits the current file."""
        editors, front, app = self.workspace.editors, self.workspace.editor, self.workspace.app
        for question, editor in list(self.asked.items()):
            if editor not in (None, *editors):
                del self.asked[question]
        first = [one for one, editor in self.asked.items() if editor in (None, front)]
        if self.bar.is_mounted and app.screen_stack:  # a tab's message may arrive at shutdown
            self.bar.ask(next(iter([*first, *self.asked]), None))
