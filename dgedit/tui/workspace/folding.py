"""Fold lines of the current file away, and show them again.

What can be folded, the syntax tree says, else the indentation. A hole is never folded away, and a
cursor in what is folded goes to the line that stays.

Knows the file in front; which rows are drawn, `editor/rows.py` knows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tree_sitter import Tree

from dgedit.text.folding import Fold, all_folds, folds_at, levels
from dgedit.text.pairs import Pending
from dgedit.tui.editor.carets import Caret
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Workspace


class Folding:
    """Folds and unfolds."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def fold(self) -> None:
        """Fold what each cursor is in, or, where that is folded, what is around it."""
        editor = self.workspace.editor
        held = _held(editor)
        found, refused = set(), False
        for row in _rows(editor):
            open_ = [
                one
                for one in folds_at(editor.buffer.lines, row, _tree(editor))
                if not editor.buffer.folds.size(one.head)
            ]
            free = [one for one in open_ if _is_free(one, held)]
            found.update(free[:1])
            refused = refused or len(free) < len(open_)
        if found:
            _fold(editor, found)
        else:
            why = "a hole is in there" if refused else "there is nothing to fold here"
            self.workspace.notice(why)

    def unfold(self) -> None:
        """Show again what is folded below each cursor's line."""
        editor = self.workspace.editor
        with editor.steady():
            opened = [editor.buffer.unfold(row) for row in _rows(editor)]
            editor.rows.wrap(0)
        if not any(opened):
            self.workspace.notice("nothing is folded here")

    def fold_all(self) -> None:
        """Fold everything that can be, in each other too."""
        self._fold_those(lambda level: True)

    def fold_to(self, level: int) -> None:
        """Fold what is so deep in other folds, and show what is around it."""
        self.unfold_all()
        self._fold_those(lambda one: one == level)

    def unfold_all(self) -> None:
        """Show all lines."""
        editor = self.workspace.editor
        with editor.steady():
            editor.buffer.unfold_all()
            editor.rows.wrap(0)

    def _fold_those(self, wanted: Callable[[int], bool]) -> None:
        editor = self.workspace.editor
        held = _held(editor)
        folds = all_folds(editor.buffer.lines, _tree(editor))
        found = [one for level, one in levels(folds) if wanted(level) and _is_free(one, held)]
        if found:
            _fold(editor, found, anew=True)
        else:
            self.workspace.notice("there is nothing to fold")


def _fold(editor: Editor, folds: Iterable[Fold], *, anew: bool = False) -> None:
    with editor.steady():
        if anew:  # what is left of a syntax of before may cross these
            editor.buffer.unfold_all()
        editor.buffer.fold(folds)
        editor.rows.wrap(0)
        editor.cursors.place([_outside(editor, one) for one in editor.cursors.all])


def _outside(editor: Editor, caret: Caret) -> Caret:
    """Return a cursor as it is once it has left what is folded."""

    def moved(index: int) -> int:
        row, column = editor.buffer.location(index)
        if not editor.buffer.folds.hides(row):
            return index
        head = editor.buffer.folds.above(row)
        return editor.buffer.index((head, min(column, len(editor.buffer[head]))))

    anchor, cursor = moved(caret.anchor), moved(caret.cursor)
    if (anchor, cursor) == (caret.anchor, caret.cursor):
        return caret
    return replace(caret, anchor=anchor, cursor=cursor, pending=Pending())


def _rows(editor: Editor) -> list[int]:
    """The rows that the cursors are in, without doubles."""
    at = editor.buffer.location
    return list(dict.fromkeys(at(one.cursor)[0] for one in editor.cursors.all))


def _held(editor: Editor) -> list[int]:
    """The rows that holes are in, from top to bottom."""
    at = editor.buffer.location
    spans = ((at(hole.start)[0], at(hole.end)[0]) for hole in editor.holes)
    return [row for first, last in spans for row in range(first, last + 1)]


def _is_free(fold: Fold, held: Sequence[int]) -> bool:
    """Whether no hole would be folded away."""
    return bisect_right(held, fold.head) == bisect_right(held, fold.last)


def _tree(editor: Editor) -> Tree | None:
    return editor.buffer.parse.tree if editor.buffer.parse else None
