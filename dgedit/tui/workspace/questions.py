"""Questions about files that may wait, in the bar below the text.

The question shown is the oldest about the file in front, or else about any other.
"""

from __future__ import annotations

from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.question_bar import Question
from dgedit.tui.workspace.tabs import Workspace


class Questions:
    """What is asked, and about which file."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.bar = workspace, workspace.bar
        self.asked: dict[Question, Editor | None] = {}
        """The questions with their files, None for all; the oldest first."""

    def ask_about(self, editor: Editor | None, question: Question) -> None:
        """Ask something about a file, or about all of them."""
        self.asked[question] = editor
        self.show()

    def withdraw(self, question: Question) -> None:
        """Ask it no longer."""
        if question in self.asked:
            del self.asked[question]
            self.show()

    def enter(self) -> None:
        """Go to the bar."""
        self.bar.enter()

    def leave(self) -> None:
        """Go back from the bar to the text."""
        editor = self.workspace.editor
        if self.bar.left:
            editor.screen.set_focus(editor)  # a diff may be in front of it

    def show(self) -> None:
        """Show the question for the file that is in front now."""
        editors, front, app = self.workspace.editors, self.workspace.editor, self.workspace.app
        for question, editor in list(self.asked.items()):
            if editor not in (None, *editors):
                del self.asked[question]
        first = [one for one, editor in self.asked.items() if editor in (None, front)]
        if self.bar.is_mounted and app.screen_stack:  # a tab's last word may come at the very end
            self.bar.ask(next(iter([*first, *self.asked]), None))
