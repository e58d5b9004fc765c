"""Going back to where one was, and forth again, over all files.

A place is remembered when one leaves it for one far away: for another file, a line or a symbol that
was asked for, something that was found. It stays on its text while that is edited, and on its line
and column after its file was closed; going back opens that again.

Knows places, tabs and opening; who leaves a place says so by `Workspace.left`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.document._document import Location, Selection

from dgedit.tui.editor.anchors import Anchor
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.tabs import Workspace

# Places that one can go back to.
_MOST = 100


@dataclass(slots=True, eq=False)
class Spot:
    """A place that was left."""

    path: Path
    """Its file's."""
    editor: Editor | None
    """The tab of that file, while there is one."""
    anchor: Anchor
    """Where it is there."""
    location: Location = (0, 0)
    """Where it was when the file was closed."""

    @property
    def place(self) -> Location:
        """Its row and column."""
        return self.editor.buffer.location(self.anchor.index) if self.editor else self.location


class Jumps:
    """Goes to places, and back to those that were left for them."""

    def __init__(self, workspace: Workspace, opening: Opening) -> None:
        self.workspace, self.opening = workspace, opening
        self._before: list[Spot] = []
        self._behind: list[Spot] = []
        self._going = False
        workspace.left, workspace.removed = self.leave, self._close

    def leave(self, editor: Editor, selection: Selection) -> None:
        """Remember a place; from it there is no way forth but the one that is taken now."""
        if not self._going and editor in self.workspace.editors:
            self._before.append(_spot(editor, selection))
            del self._before[:-_MOST]
            self._behind.clear()

    async def go(self, path: Path, selection: Selection) -> bool:
        """Go to a place in a file, which is opened if it has to be; False, and a notice, if it
        cannot be.
        """
        editor = self.workspace.editor
        here = _spot(editor, editor.selection)
        self._going = True
        try:
            if not await self.opening.open_file(path):
                return False
        finally:
            self._going = False
        if here.editor in self.workspace.editors:
            self.leave(editor, Selection.cursor(here.place))
        self.workspace.arrive(selection)
        return True

    async def back(self) -> None:
        """Go back to the place that was left last."""
        await self._turn(self._before, self._behind, "there is no place to go back to")

    async def forth(self) -> None:
        """Go forth again to the place that one went back from."""
        await self._turn(self._behind, self._before, "there is no place to go forth to")

    async def _turn(self, there: list[Spot], here: list[Spot], nowhere: str) -> None:
        left = _spot(self.workspace.editor, self.workspace.editor.selection)
        self._going = True
        try:
            while there:
                spot = there.pop()
                if _are_near(spot, left) or not await self._open(spot):
                    continue
                if left.editor in self.workspace.editors:
                    here.append(left)
                self.workspace.arrive(Selection.cursor(spot.place))
                return
            self.workspace.notice(nowhere)
        finally:
            self._going = False

    async def _open(self, spot: Spot) -> bool:
        """Bring a place's file to the front; False where there is none any more."""
        if spot.editor is not None:
            self.workspace.show(spot.editor)
            return True
        return spot.path.is_file() and await self.opening.open_file(spot.path)

    def _close(self, editor: Editor) -> None:
        """Keep the places of a file that is closed, by line and column."""
        for spots in (self._before, self._behind):
            for spot in spots:
                if spot.editor is editor:
                    spot.path, spot.location, spot.editor = editor.path, spot.place, None
            if editor.file.path is None:
                spots[:] = [one for one in spots if one.editor or one.path != editor.path]


def _spot(editor: Editor, selection: Selection) -> Spot:
    return Spot(editor.path, editor, editor.anchors.at(editor.buffer.index(selection.end)))


def _are_near(one: Spot, two: Spot) -> bool:
    """Return whether they are in one line."""
    same = one.editor is two.editor if one.editor and two.editor else one.path == two.path
    return same and one.place[0] == two.place[0]
