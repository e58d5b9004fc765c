"""Review a result before it is accepted or rejected.

    Enter               accept all of it, if the cursor is at one of its holes; Alt+Y from anywhere
    Alt+A, Alt+Enter    accept one hole: the one at the cursor, or the nearest
    Ctrl+Right, Alt+W   accept its next word; Ctrl+Down, Alt+L its next line
    Alt+N, Alt+]        the next candidate of one hole; Alt+P, Alt+[ the one before
    ] [                 back and forth through its steps; what is shown is what is accepted
    Alt+R               refine the selected part of a draft again
    Alt+H               hold the selected part, refine the rest of that draft again
    Alt+D               the result as a diff; A accepts the hunk that is marked in it
    Alt+C               the model's confidence in each piece

With the cursor at a hole, Left and Right walk over its draft piece by piece, and with Shift they
select pieces; so do a click and a drag. Enter, `[`, `]` and the arrows act on the text again as
soon as the cursor has left the holes. After a part was accepted, the rest of the draft stays under
review.

Only terminals with the newer keyboard protocol send Alt with punctuation or Enter: from others
Textual reads Alt+Enter as Enter and Alt+] as ]. All send Alt with a letter.

Knows results and keys; `session.py` changes the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import actions
from textual.document._document import Location, Selection

from dgedit.errors import DgeditError
from dgedit.text.drafts import first_line, first_word
from dgedit.tui.editor.accepting import accept_hunk
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.editor.hunks import Hunk, hunks
from dgedit.tui.infill.controller import Holed, InfillController
from dgedit.tui.infill.hunk_picker import Cut, Picking
from dgedit.tui.infill.session import Fill
from dgedit.tui.keymap import Action

# The `needs` of actions whose keys are handled before the text sees them.
_OURS = {"stay", "hole", "piece", "result"}

_NOT_YET = "not settled yet: Esc cancels"


class Review:
    """Changes what is shown of a result, and accepts it or a part."""

    def __init__(self, infill: InfillController) -> None:
        self.infill, self.workspace, self.app = infill, infill.workspace, infill.app
        self._by_key: dict[str, list[Action]] = {}
        self._here = False  # whether Enter accepted when the footer was last updated
        # the cursor's location in the text when it entered a draft
        self._entered: Location | None = None

    def bind(self, actions: Iterable[Action]) -> None:
        """Use the user's keys for the actions on a result."""
        self._by_key = {}
        for action in actions:
            for key in action.keys if action.needs in _OURS else ():
                self._by_key.setdefault(key, []).append(action)

    def allows(self, action: Action) -> bool:
        """Say whether an action can be applied to the open result, from where the cursor is."""
        if action.needs == "stay":
            return self._holds_keys()
        if action.needs == "piece":
            by, *select = _arguments(action)
            return self._way(by, bool(select)) is not None
        return self._at() is not None if action.needs == "hole" else True

    def cursor_moved(self) -> None:
        """Update the keys in the footer, and the status for the hole at the cursor."""
        self.tell_keys()
        if self.infill.is_ready:
            self.infill.tell_engine()

    def tell_keys(self) -> None:
        """Update the keys in the footer, if others act on the result now."""
        if self._here is not (here := self._holds_keys()):
            self._here = here
            self.app.refresh_bindings()

    # Accepting

    def accept(self) -> None:
        """Accept the whole result."""
        self.infill.accept()

    def accept_hole(self) -> None:
        """Accept the draft of one hole."""
        if hole := self._nearest():
            self._result.accept_hole(hole)
            self._go_on()

    def accept_word(self) -> None:
        """Accept the next word of a hole."""
        self._take(first_word)

    def accept_line(self) -> None:
        """Accept the next line of a hole."""
        self._take(first_line)

    def _take(self, first: Callable[[str], str]) -> None:
        hole = self._nearest()
        draft = self._result.shown_for(hole) if hole else None
        if hole is None or draft is None:
            return
        if draft.text:
            self._result.accept_part(hole, first(draft.text))
            self._go_on()
        else:
            self.workspace.notice("the draft is empty: Alt+A closes its hole")

    def _go_on(self) -> None:
        """Draw what is left under review; after the last hole, end it."""
        if self._result.present:
            self.infill.asked_at = self.workspace.editor, self.workspace.editor.cursor_location
            self.infill.redraw()
            self.workspace.editor.scroll_cursor_visible()
        else:
            self.infill.end()

    # Candidates, steps, diff, confidence

    def turn(self, by: int) -> None:
        """Show another candidate for the hole at the cursor, or the nearest one."""
        if hole := self._nearest():
            self._tell(self._result.turn(by, hole))

    def scrub(self, by: int) -> None:
        """Show another step for that hole."""
        if hole := self._nearest():
            self._tell(self._result.scrub(by, hole))

    def _tell(self, why_not: str) -> None:
        self.workspace.notice(why_not)
        if not why_not:
            self._result.show()
            self.infill.tell_engine()
            self.app.post_message(Holed())

    def show_diff(self) -> None:
        """Show the result as a diff of all its files, in which hunks can be accepted."""
        self.app.push_screen(Picking(self._cut(), self._pick))

    def _cut(self) -> Cut:
        return [(editor, hunks(editor, fills)) for editor, fills in self._result.fills()]

    def _pick(self, editor: Editor, hunk: Hunk) -> Cut:
        """Accept a hunk, and return those that are left."""
        accept_hunk(editor, hunk)
        self._go_on()
        return self._cut() if self.infill.fill is not None else []

    def show_confidence(self) -> None:
        """Show the model's confidence in each piece, or hide it."""
        self.infill.heat = not self.infill.heat
        for editor in self.workspace.editors:
            editor.rows.heat = self.infill.heat
            editor.rows.wrap(0)
            editor.refresh()
        self.infill.tell_engine()
        words = "" if self.workspace.status.heat else "shown with the next result"
        self.workspace.notice(
            words if self.infill.heat else "how sure the model is, is no longer shown"
        )

    # Within a draft

    def refine_selection(self) -> None:
        """Refine the selected part of a draft again."""
        self._refine_part(keep=False)

    def hold_selection(self) -> None:
        """Hold the selected part of a draft, and refine the rest again."""
        self._refine_part(keep=True)

    def _refine_part(self, *, keep: bool) -> None:
        marked = (hole for _, hole in self._result.present if hole.marked)
        hole = next(marked, None)
        if hole is None:
            self.workspace.notice("nothing is selected in a draft: Shift+← Shift+→ at a hole")
            return
        try:
            self.infill.begin(self._result.refine(hole, keep=keep, others=self.infill.documents()))
        except (DgeditError, ValueError) as error:
            self.workspace.notice(str(error))

    def move(self, by: int, select: bool = False) -> None:
        """Move the cursor in a draft by a piece."""
        hole, start = self._at(), self._way(by, select)
        assert hole is not None and start is not None
        anchor = start if hole.caret is None else hole.anchor
        self._enter(self.workspace.editor, hole, start + by, anchor if select else start + by)

    def point(self, message: Editor.Pointed) -> None:
        """Move to the clicked piece, or select the pieces that the mouse was dragged over."""
        editor, hole, pieces = message.editor, message.hole, message.pieces
        if hole is None or not self.infill.is_ready or (editor, hole) not in self._result.present:
            self._entered = None
            self.leave_drafts()
        elif pieces.step > 0:
            self._enter(editor, hole, pieces.stop, pieces.start)
        else:
            self._enter(editor, hole, pieces.stop + 1, pieces.start + 1)

    def _enter(self, editor: Editor, hole: OpenHole, caret: int, anchor: int) -> None:
        """Put the cursor before a piece of a draft; the pieces from there to `anchor` are
        selected.
        """
        hole.caret, hole.anchor = caret, anchor
        self._entered = editor.cursor_location
        editor.rows.wrap(0)
        editor.place_cursor()
        editor.refresh()
        if hole.marked:
            self.workspace.notice("Alt+R refines it again, Alt+H the rest")

    def reject(self) -> None:
        """Clear a selection in a draft or, if there is none, reject the result."""
        if any(hole.marked for _, hole in self._result.present):
            self._entered = None
            self.leave_drafts()
        else:
            self.infill.reject()

    def leave_drafts(self) -> None:
        """Take the cursor out of a draft, after it was moved in the text."""
        if self._entered == self.workspace.editor.cursor_location:
            return  # a late message: the cursor was moved before it entered the draft
        for editor, hole in self.infill.fill.present if self.infill.fill else ():
            if hole.caret is not None:
                hole.caret = None
                editor.rows.wrap(0)
                editor.place_cursor()
                editor.refresh()

    def _way(self, by: int, select: bool = False) -> int | None:
        """Return the piece from which a step within a draft starts; None for a step in the text."""
        hole = self._at()
        if hole is None or hole.draft is None:
            return None
        last = len(hole.draft.pieces)
        start = hole.caret
        if start is None:
            index = self.workspace.editor.buffer.index(self.workspace.editor.cursor_location)
            # An insertion point is drawn before its draft.
            outside = index == hole.start if by < 0 else hole.start < index == hole.end
            if outside and not select:
                return None
            start = last if by < 0 else 0
        return start if 0 <= start + by <= last else None

    # Holes and keys

    @property
    def _result(self) -> Fill:
        assert self.infill.fill is not None
        return self.infill.fill

    def _at(self) -> OpenHole | None:
        return self.infill.hole_at_cursor() if self.infill.is_ready else None

    def _holds_keys(self) -> bool:
        """Say whether keys that the text uses as well act on the result: at a hole, or if the
        cursor has not moved since the request.
        """
        if self._at() is not None:
            return True
        if not self.infill.is_ready or not self._result.present:
            return False
        start, end = self.workspace.editor.selection
        return start == end and self.infill.asked_at == (self.workspace.editor, end)

    def _nearest(self) -> OpenHole | None:
        """Return the hole at the cursor, or the nearest in the current file; notify if there is
        none.
        """
        if (hole := self.infill.nearest_hole()) is None:
            self.workspace.notice("no hole of this infill is in this file")
        return hole

    async def first(self, key: str) -> bool:
        """Handle a key before the text does; return whether it was handled."""
        if key not in self._by_key or self.app.screen.is_modal:
            return False
        running = self.infill.running
        for action in self._by_key[key]:
            if action.id == "accept" and running and self.infill.hole_at_cursor() is not None:
                self.workspace.notice(_NOT_YET)  # rather than break the line in the hole
                return True
            if await self.app.run_action(action.binding, self.app):
                return True
            if action.needs == "result":
                self.workspace.notice(_NOT_YET if running else "no result is open: F5 fills")
                return True
            if action.needs == "piece":
                by, *select = _arguments(action)
                if select and self.workspace.editor.rows.caret is not None:
                    return True  # a selection in a draft cannot extend beyond it
                self._leave_by(left=by == -1)
        return False

    def _leave_by(self, *, left: bool) -> None:
        """Put the cursor at one side of its hole, so that a step out of the draft starts there."""
        hole = self._at()
        if hole is not None and hole.caret is not None:
            index = hole.start if left else hole.end
            self.workspace.editor.selection = Selection.cursor(
                self.workspace.editor.buffer.location(index)
            )


def _arguments(action: Action) -> tuple[int, ...]:
    """Return the numbers in an action's call."""
    _, _, given = actions.parse(action.call)
    return tuple(one for one in given if isinstance(one, int))
