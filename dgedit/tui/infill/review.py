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

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import actions, on
from textual.binding import Binding, BindingType
from textual.document._document import Location, Selection

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.text.drafts import first_line, first_word
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.editor.hunks import Hunk, hunks
from dgedit.tui.editor.taking import take_hunk
from dgedit.tui.infill.controller import Holed, Infilling
from dgedit.tui.infill.hunk_picker import Cut, Picking
from dgedit.tui.infill.session import Fill, Stage

# Their keys are the text's where they cannot be used.
_HERE = {"accept_here", "word_here", "line_here", "scrub", "caret"}
# These say why where they cannot be used.
_TOLD = {"accept", "accept_hole", "word", "line", "other", "again", "hold", "difference"}

_NOT_YET = "not settled yet: Esc cancels"
_OPEN, _CLOSE = "alt+left_square_bracket", "alt+right_square_bracket"


def _key(keys: str, action: str, words: str, name: str) -> Binding:
    return Binding(keys, action, words, show=False, id=name)


def _shown(keys: str, action: str, words: str, help: str, name: str) -> Binding:
    return Binding(keys, action, words, tooltip=help, id=name)


class Review(Infilling):
    """What to do with a result"""

    BINDINGS: ClassVar[list[BindingType]] = [
        _shown("enter", "accept_here", "accept", "accept all that is shown", "accept"),
        _shown("alt+y", "accept", "accept", "accept all, wherever the cursor is", "accept-all"),
        _shown("alt+a,alt+enter", "accept_hole", "hole", "accept one hole", "accept-hole"),
        _shown("alt+w", "word", "word", "accept the next word", "accept-word"),
        _shown("alt+l", "line", "line", "accept the next line", "accept-line"),
        _shown(f"alt+n,{_CLOSE}", "other(1)", "next candidate", "", "candidate"),
        _shown("alt+d", "difference", "diff", "the result as a diff", "result-diff"),
        _key(f"alt+p,{_OPEN}", "other(-1)", "the candidate before", "candidate-before"),
        _key("ctrl+right", "word_here", "accept the word at the cursor", "accept-word-here"),
        _key("ctrl+down", "line_here", "accept the line at the cursor", "accept-line-here"),
        _key("left_square_bracket", "scrub(-1)", "step before", "step-back"),
        _key("right_square_bracket", "scrub(1)", "next step", "step-forth"),
        _key("alt+r", "again", "refine the selection in a draft again", "refine-selection"),
        _key("alt+h", "hold", "hold the selection, refine the rest again", "hold-selection"),
        _key("alt+c", "heat", "how sure the model is of each piece", "confidence"),
        _key("left", "caret(-1)", "back in a draft", "draft-left"),
        _key("right", "caret(1)", "on in a draft", "draft-right"),
        _key("shift+left", "caret(-1,True)", "select in a draft, to the left", "draft-left-select"),
        _key("shift+right", "caret(1,True)", "select in a draft", "draft-right-select"),
    ]

    heat = False
    """Whether it is told how sure the model is of each piece."""
    _here = False
    """Whether Enter accepted when the keys were last told."""
    _stayed: tuple[Editor, Location] | None = None
    """Where the cursor was when the result was last asked for, or taken from."""
    _entered: Location | None = None
    """Where the cursor was in the text when it went into a draft."""

    def page(self, path: Path, file: Document) -> Editor:
        """A widget that lets a result take some keys first."""
        editor = super().page(path, file)
        editor.first, editor.reopen = self._first, self.reopen
        return editor

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be a result; for what the text has a key for as well, at the cursor."""
        if action not in _HERE | _TOLD:
            return super().check_action(action, parameters)
        if self.screen.is_modal or not self._settled:
            return False
        if action in ("accept_here", "scrub"):
            return self._holds_keys()
        if action == "caret":
            by, select = (*parameters, False)[:2]
            assert isinstance(by, int)
            return self._way(by, bool(select)) is not None
        return self._at() is not None if action in _HERE else True

    def tell_place(self) -> None:
        """Which keys act on the result depends on it as well, and what is said of it."""
        super().tell_place()
        self._tell_keys()
        if self._settled:
            self.tell_engine()

    def redraw(self) -> None:
        """The hole at the cursor may have gone, or come back."""
        super().redraw()
        self._tell_keys()

    def _tell_keys(self) -> None:
        if self._here is not self._holds_keys():
            self.refresh_bindings()

    def refresh_bindings(self) -> None:
        """Remember where the cursor was."""
        self._here = self._holds_keys()
        super().refresh_bindings()

    # Accepting

    def action_accept_here(self) -> None:
        """Accept all, from a hole."""
        self.action_accept()

    def action_accept_hole(self) -> None:
        """Accept one hole."""
        if hole := self._nearest():
            self._result.accept_hole(hole)
            self._go_on()

    def action_word(self) -> None:
        """Accept the next word of a hole."""
        self._take(first_word)

    def action_line(self) -> None:
        """Accept the next line of a hole."""
        self._take(first_line)

    def action_word_here(self) -> None:
        """The same for the hole at the cursor."""
        self._take(first_word)

    def action_line_here(self) -> None:
        """The same for the hole at the cursor."""
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
            self.notice("the draft is empty: Alt+A closes its hole")

    def _go_on(self) -> None:
        """Draw what is left; the result ends with its last hole."""
        if self._result.present:
            self._stayed = self.editor, self.editor.cursor_location
            self.redraw()
            self.editor.scroll_cursor_visible()
        else:
            self.accepted(self._result)

    # Looking at it from other sides

    def action_other(self, by: int) -> None:
        """Show another candidate of the hole at the cursor, or of the nearest one."""
        if hole := self._nearest():
            self._tell(self._result.turn(by, hole))

    def action_scrub(self, by: int) -> None:
        """Show another step of that hole."""
        if hole := self._nearest():
            self._tell(self._result.scrub(by, hole))

    def _tell(self, why_not: str) -> None:
        self.notice(why_not)
        if not why_not:
            self._result.show()
            self.tell_engine()
            self.post_message(Holed())

    def action_difference(self) -> None:
        """Show the result as a diff of all its files, from which hunks can be accepted."""
        self.push_screen(Picking(self._cut(), self._pick))

    def _cut(self) -> Cut:
        return [(editor, hunks(editor, fills)) for editor, fills in self._result.fills()]

    def _pick(self, editor: Editor, hunk: Hunk) -> Cut:
        """Accept a hunk; those that are left."""
        take_hunk(editor, hunk)
        self._go_on()
        return self._cut() if self.fill is not None else []

    def action_heat(self) -> None:
        """Show how sure the model is of each piece, or no longer."""
        self.heat = not self.heat
        for editor in self.editors:
            editor.rows.heat = self.heat
            editor.rows.wrap(0)
            editor.refresh()
        self.tell_engine()
        words = "" if self.status.heat else "shown with the next result"
        self.notice(words if self.heat else "how sure the model is, is no longer shown")

    def tell_engine(self) -> None:
        """Say what the engine does, and what the look of its drafts means."""
        super().tell_engine()
        self.status.heat = self.heat and self.fill is not None

    def start(self, fill: Fill) -> None:
        """Let the engine begin."""
        for editor in fill.editors:
            editor.rows.heat = self.heat
        if hole := self.hole_at_cursor(fill):
            self.editor.show_start(hole)
        self._stayed = self.editor, self.editor.cursor_location
        super().start(fill)

    # Within a draft

    def action_again(self) -> None:
        """Refine what is selected in a draft once more."""
        self._refine_part(keep=False)

    def action_hold(self) -> None:
        """Hold what is selected in a draft, and refine the rest of it once more."""
        self._refine_part(keep=True)

    def _refine_part(self, *, keep: bool) -> None:
        marked = (hole for _, hole in self._result.present if hole.marked)
        hole = next(marked, None)
        if hole is None:
            self.notice("nothing is selected in a draft: Shift+← Shift+→ at a hole")
            return
        try:
            self.start(self._result.refine(hole, keep=keep, others=self.documents()))
        except (DgeditError, ValueError) as error:
            self.notice(str(error))

    def action_caret(self, by: int, select: bool = False) -> None:
        """Go on in a draft by a piece."""
        hole, start = self._at(), self._way(by, select)
        assert hole is not None and start is not None
        anchor = start if hole.caret is None else hole.anchor
        self._enter(self.editor, hole, start + by, anchor if select else start + by)

    @on(Editor.Pointed)
    def _point(self, message: Editor.Pointed) -> None:
        """Go to the piece that was clicked on; select those that the mouse was dragged over."""
        editor, hole, pieces = message.editor, message.hole, message.pieces
        if hole is None or not self._settled or (editor, hole) not in self._result.present:
            self._entered = None
            self._leave_drafts()
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
            self.notice("Alt+R refines it again, Alt+H the rest")

    def action_reject(self) -> None:
        """Drop a selection in a draft first."""
        if any(hole.marked for _, hole in self._result.present):
            self._entered = None
            self._leave_drafts()
        else:
            super().action_reject()

    @on(Editor.SelectionChanged)
    def _leave_drafts(self) -> None:
        """Whoever moves the cursor in the text is no longer in a draft."""
        if self._entered == self.editor.cursor_location:
            return  # it was moved before it went in, and the message is late
        for editor, hole in self.fill.present if self.fill else ():
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
            index = self.editor.buffer.index(self.editor.cursor_location)
            # An insertion point is drawn before its draft.
            outside = index == hole.start if by < 0 else hole.start < index == hole.end
            if outside and not select:
                return None
            start = last if by < 0 else 0
        return start if 0 <= start + by <= last else None

    # Which

    @property
    def _settled(self) -> bool:
        return self.fill is not None and self.fill.stage is Stage.READY

    @property
    def _result(self) -> Fill:
        assert self.fill is not None
        return self.fill

    def _at(self) -> OpenHole | None:
        return self.hole_at_cursor() if self._settled else None

    def _holds_keys(self) -> bool:
        """Whether keys that the text has a use for as well are the result's: at a hole, and where
        the cursor has not moved since.
        """
        if self._at() is not None:
            return True
        if not self._settled or not self._result.present:
            return False
        start, end = self.editor.selection
        return start == end and self._stayed == (self.editor, end)

    def _nearest(self) -> OpenHole | None:
        """The hole at the cursor, or the nearest in the file in front; says so where none is."""
        if (hole := self.nearest_hole()) is None:
            self.notice("no hole of this infill is in this file")
        return hole

    async def _first(self, key: str) -> bool:
        """Take a key before the text does; whether it was taken."""
        if len(key) == 1 or self.screen.is_modal:
            return False
        # Not the screen's: it leaves out what the text could type.
        bindings = self._bindings.copy()
        bindings.apply_keymap(self._keymap)
        for binding in bindings.key_to_bindings.get(key, ()):
            _, name, parameters = actions.parse(binding.action)
            if name == "accept_here" and self.running and self.hole_at_cursor() is not None:
                self.notice(_NOT_YET)  # and no line ends in the hole
                return True
            if name not in _HERE | _TOLD:
                continue
            if await self.run_action(binding.action, self):
                return True
            if name in _TOLD:
                self.notice(_NOT_YET if self.running else "no result is open: F5 fills")
                return True
            if name == "caret":
                if len(parameters) > 1 and self.editor.rows.caret is not None:
                    return True  # a selection in a draft ends with it
                self._leave_by(left=parameters[0] == -1)
        return False

    def _leave_by(self, *, left: bool) -> None:
        """Let a step out of a draft start from that side of its hole."""
        hole = self._at()
        if hole is not None and hole.caret is not None:
            index = hole.start if left else hole.end
            self.editor.selection = Selection.cursor(self.editor.buffer.location(index))
