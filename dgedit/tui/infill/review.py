"""What can be done with a result before it is accepted or rejected.

    Enter               accept all of it, with the cursor at one of its holes; Alt+Y from anywhere
    Alt+A, Alt+Enter    accept one hole: the one at the cursor, or the nearest
    Ctrl+Right, Alt+W   accept its next word; Ctrl+Down, Alt+L its next line
    Alt+N, Alt+]        the next candidate of one hole; Alt+P, Alt+[ the one before
    ] [                 back and forth through its steps; what is shown is what is accepted
    Alt+R               refine what is selected in a draft once more
    Alt+H               hold what is selected, refine the rest of that draft once more
    Alt+D               the result as a diff; A accepts the hunk that is marked in it
    Alt+C               how sure the model is of each piece

With the cursor at a hole, Left and Right walk over its draft piece by piece, and with Shift they
select pieces; so do a click and a drag. Enter, `[`, `]` and the arrows are the text's own again as
soon as the cursor has gone elsewhere. What was accepted in part may go on: the rest of the draft
stays where it was.

Alt with a sign or with Enter comes only from terminals with the newer keyboard protocol: from
others Textual reads Alt+Enter as Enter and Alt+] as ]. Alt with a letter comes from all.

Knows results and keys; `session.py` knows what they come to.
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

# Needs of the actions whose keys are taken before the text sees them.
_OURS = {"stay", "hole", "piece", "result"}

_NOT_YET = "not settled yet: Esc cancels"


class Review:
    """Looks at a result, changes what is shown of it, and accepts it or a part."""

    def __init__(self, infill: InfillController) -> None:
        self.infill, self.workspace, self.app = infill, infill.workspace, infill.app
        self._by_key: dict[str, list[Action]] = {}
        self._here = False  # whether Enter accepted when the keys were last told
        # where the cursor was in the text when it went into a draft
        self._entered: Location | None = None

    def bind(self, actions: Iterable[Action]) -> None:
        """Take the user's keys for what is done with a result."""
        self._by_key = {}
        for action in actions:
            for key in action.keys if action.needs in _OURS else ():
                self._by_key.setdefault(key, []).append(action)

    def allows(self, action: Action) -> bool:
        """Whether an action can be done to the result that is open, from where the cursor is."""
        if action.needs == "stay":
            return self._holds_keys()
        if action.needs == "piece":
            by, *select = _arguments(action)
            return self._way(by, bool(select)) is not None
        return self._at() is not None if action.needs == "hole" else True

    def cursor_moved(self) -> None:
        """Tell the keys that act on the result now, and what is shown of the hole at the cursor."""
        self.tell_keys()
        if self.infill.is_ready:
            self.infill.tell_engine()

    def tell_keys(self) -> None:
        """Tell the keys anew, if others act on the result now."""
        if self._here is not (here := self._holds_keys()):
            self._here = here
            self.app.refresh_bindings()

    # Accepting

    def accept(self) -> None:
        """Accept all."""
        self.infill.accept()

    def accept_hole(self) -> None:
        """Accept one hole."""
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
        """Draw what is left; the result ends with its last hole."""
        if self._result.present:
            self.infill.asked_at = self.workspace.editor, self.workspace.editor.cursor_location
            self.infill.redraw()
            self.workspace.editor.scroll_cursor_visible()
        else:
            self.infill.end()

    # Looking at it from other sides

    def turn(self, by: int) -> None:
        """Show another candidate of the hole at the cursor, or of the nearest one."""
        if hole := self._nearest():
            self._tell(self._result.turn(by, hole))

    def scrub(self, by: int) -> None:
        """Show another step of that hole."""
        if hole := self._nearest():
            self._tell(self._result.scrub(by, hole))

    def _tell(self, why_not: str) -> None:
        self.workspace.notice(why_not)
        if not why_not:
            self._result.show()
            self.infill.tell_engine()
            self.app.post_message(Holed())

    def show_diff(self) -> None:
        """Show the result as a diff of all its files, from which hunks can be accepted."""
        self.app.push_screen(Picking(self._cut(), self._pick))

    def _cut(self) -> Cut:
        return [(editor, hunks(editor, fills)) for editor, fills in self._result.fills()]

    def _pick(self, editor: Editor, hunk: Hunk) -> Cut:
        """Accept a hunk; those that are left."""
        accept_hunk(editor, hunk)
        self._go_on()
        return self._cut() if self.infill.fill is not None else []

    def show_confidence(self) -> None:
        """Show how sure the model is of each piece, or no longer."""
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
        """Refine what is selected in a draft once more."""
        self._refine_part(keep=False)

    def hold_selection(self) -> None:
        """Hold what is selected in a draft, and refine the rest of it once more."""
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
        """Go on in a draft by a piece."""
        hole, start = self._at(), self._way(by, select)
        assert hole is not None and start is not None
        anchor = start if hole.caret is None else hole.anchor
        self._enter(self.workspace.editor, hole, start + by, anchor if select else start + by)

    def point(self, message: Editor.Pointed) -> None:
        """Go to the piece that was clicked on; select those that the mouse was dragged over."""
        editor, hole, pieces = message.editor, message.hole, message.pieces
        if hole is None or not self.infill.is_ready or (editor, hole) not in self._result.present:
            self._entered = None
            self.leave_drafts()
        elif pieces.step > 0:
            self._enter(editor, hole, pieces.stop, pieces.start)
        else:
            self._enter(editor, hole, pieces.stop + 1, pieces.start + 1)

    def _enter(self, editor: Editor, hole: OpenHole, caret: int, anchor: int) -> None:
        """Let the cursor be before a piece of a draft; all between it and `anchor` is selected."""
        hole.caret, hole.anchor = caret, anchor
        self._entered = editor.cursor_location
        editor.rows.wrap(0)
        editor.place_cursor()
        editor.refresh()
        if hole.marked:
            self.workspace.notice("Alt+R refines it again, Alt+H the rest")

    def reject(self) -> None:
        """Drop a selection in a draft first."""
        if any(hole.marked for _, hole in self._result.present):
            self._entered = None
            self.leave_drafts()
        else:
            self.infill.reject()

    def leave_drafts(self) -> None:
        """Whoever moves the cursor in the text is no longer in a draft."""
        if self._entered == self.workspace.editor.cursor_location:
            return  # it was moved before it went in, and the message is late
        for editor, hole in self.infill.fill.present if self.infill.fill else ():
            if hole.caret is not None:
                hole.caret = None
                editor.rows.wrap(0)
                editor.place_cursor()
                editor.refresh()

    def _way(self, by: int, select: bool = False) -> int | None:
        """The piece that a step within a draft starts from; None where it is a step in the text."""
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

    # Which

    @property
    def _result(self) -> Fill:
        assert self.infill.fill is not None
        return self.infill.fill

    def _at(self) -> OpenHole | None:
        return self.infill.hole_at_cursor() if self.infill.is_ready else None

    def _holds_keys(self) -> bool:
        """Whether keys that the text has a use for as well are the result's: at a hole, and where
        the cursor has not moved since.
        """
        if self._at() is not None:
            return True
        if not self.infill.is_ready or not self._result.present:
            return False
        start, end = self.workspace.editor.selection
        return start == end and self.infill.asked_at == (self.workspace.editor, end)

    def _nearest(self) -> OpenHole | None:
        """The hole at the cursor, or the nearest in the file in front; says so where none is."""
        if (hole := self.infill.nearest_hole()) is None:
            self.workspace.notice("no hole of this infill is in this file")
        return hole

    async def first(self, key: str) -> bool:
        """Take a key before the text does; whether it was taken."""
        if key not in self._by_key or self.app.screen.is_modal:
            return False
        running = self.infill.running
        for action in self._by_key[key]:
            if action.id == "accept" and running and self.infill.hole_at_cursor() is not None:
                self.workspace.notice(_NOT_YET)  # and no line ends in the hole
                return True
            if await self.app.run_action(action.binding, self.app):
                return True
            if action.needs == "result":
                self.workspace.notice(_NOT_YET if running else "no result is open: F5 fills")
                return True
            if action.needs == "piece":
                by, *select = _arguments(action)
                if select and self.workspace.editor.rows.caret is not None:
                    return True  # a selection in a draft ends with it
                self._leave_by(left=by == -1)
        return False

    def _leave_by(self, *, left: bool) -> None:
        """Let a step out of a draft start from that side of its hole."""
        hole = self._at()
        if hole is not None and hole.caret is not None:
            index = hole.start if left else hole.end
            self.workspace.editor.selection = Selection.cursor(
                self.workspace.editor.buffer.location(index)
            )


def _arguments(action: Action) -> tuple[int, ...]:
    """The numbers that an action's method is given."""
    _, _, given = actions.parse(action.call)
    return tuple(one for one in given if isinstance(one, int))
