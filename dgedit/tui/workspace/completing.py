"""Complete the word before the cursor from the words of the open files, one press after another.

The first press puts in how the nearest word goes on that begins like it, the next one the ending
of the next; behind the last comes the word as it was typed. What is shown when another key is
pressed stays, and is one undo. With several cursors the same is put in at each that stands behind
the same letters.

Knows the open files; which words there are, `text/words.py` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dgedit.text.edits import Change, Part, Selection
from dgedit.text.words import begun_at, endings
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace


@dataclass(frozen=True, slots=True)
class _Run:
    """A word that is being completed."""

    editor: Editor
    begun: str
    """What was typed of it."""
    endings: list[str]
    """How it may go on."""
    at: int
    """Which ending is in the text; -1 for none."""
    state: tuple[int, Selection, int]
    """The history, the selection and the number of cursors that the last press left."""


class Completing:
    """Completes words in the file in front."""

    def __init__(self, workspace: Workspace, refuse: Callable[[], None]) -> None:
        """`refuse` says why a file cannot be edited."""
        self.workspace, self._refuse = workspace, refuse
        self._run: _Run | None = None

    def step(self, by: int) -> None:
        """Put in the next ending, or the one before."""
        editor = self.workspace.editor
        if editor.locked:
            self._refuse()
            return
        run = self._run
        if run is None or run.editor is not editor or run.state != _state(editor):
            run = self._begin(editor)
        if run is None:
            return
        count = len(run.endings)
        at = (run.at + 1 + by) % (count + 1) - 1
        if run.at >= 0:
            editor.undo()
        if at >= 0:
            self._put(editor, run.begun, run.endings[at])
        self._run = replace(run, at=at, state=_state(editor))
        word = run.begun + (run.endings[at] if at >= 0 else "")
        self.workspace.notice(f"{at + 1} of {count}: {word}" if at >= 0 else f"as typed: {word}")

    def cursor_moved(self) -> None:
        """Keep what is in the text, once the cursor has gone elsewhere."""
        if self._run is not None and self._run.state != _state(self.workspace.editor):
            self._run = None

    def _begin(self, editor: Editor) -> _Run | None:
        row, column = editor.cursor_location
        begun = begun_at(editor.buffer[row], column) if editor.selection.is_empty else ""
        why_not = "" if begun else "no word is begun before the cursor"
        if editor.in_hole(editor.selected[1]) and (editor.filling or editor.has_drafts):
            why_not = "not in a hole with a draft: the model fills it"
        found: list[str] = []
        if not why_not:
            others = [one for one in self.workspace.editors if one is not editor]
            texts = (one.buffer.lines for one in (editor, *others))
            found = endings(begun, (row, column), texts)
            why_not = "" if found else f"no other word begins with {begun}"
        if why_not:
            self.workspace.notice(why_not)
            return None
        return _Run(editor, begun, found, -1, _state(editor))

    def _put(self, editor: Editor, begun: str, ending: str) -> None:
        for _ in editor.cursors.each():
            row, column = editor.cursor_location
            if editor.selection.is_empty and begun_at(editor.buffer[row], column) == begun:
                cursor = editor.selected[1]
                behind = cursor + len(ending)
                editor.change(Change((Part(cursor, cursor, ending),), (behind, behind)))


def _state(editor: Editor) -> tuple[int, Selection, int]:
    return editor.history.count, editor.selected, editor.cursors.count
