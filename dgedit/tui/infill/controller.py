"""Control holes and infills in the editor: request, draw step by step, accept or reject.

No document changes before the user accepts. `review.py` has what else can be done with a result.
Knows editors and steps; `worker.py` knows threads.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Thread

from textual.document._document import Location
from textual.message import Message
from textual.timer import Timer

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.request.ability import not_known, note
from dgedit.tui.editor import masking
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole, nearest
from dgedit.tui.editor.transaction import Touch
from dgedit.tui.infill import words
from dgedit.tui.infill.session import Fill, Live, Stage, Wish
from dgedit.tui.infill.worker import EngineWorker, Failed, Refined
from dgedit.tui.widgets.status import BETWEEN, NO_MODEL
from dgedit.tui.workspace.tabs import Workspace

NOTHING = "no hole yet: F2 masks what the cursor is on"
"""The message when there is no hole to fill."""

# Seconds between drawings of steps: at most 30 a second.
_FRAME = 1 / 30
_LIVE: tuple[Live, ...] = ("full", "settle", "off")


class Holed(Message):
    """Holes were opened or closed, or are being filled."""


class InfillController:
    """Requests infills, draws their steps, and holds the open one."""

    def __init__(
        self,
        workspace: Workspace,
        source: EngineWorker,
        *,
        effort: float,
        seed: int,
        caution: float,
        live: Live,
    ) -> None:
        """Take the engine's side and the settings of infills.

        `source` is the engine; `effort` is used for every infill and `seed` for the first one, see
        `InfillRequest`; a candidate whose probability of being right is below `caution` is drawn as
        unsure; `live` is what is drawn before the last step.
        """
        self.workspace, self.app, self.source = workspace, workspace.app, source
        self.effort, self.seed, self.caution, self.live = effort, seed, caution, live
        self.fill: Fill | None = None
        """The open infill, running or under review."""
        self.heat = False
        """True if the confidence of each piece is shown."""
        self.asked_at: tuple[Editor, Location] | None = None
        """The cursor when the result was requested or last accepted from."""
        self._waiting: Refined | None = None
        self._frame: Timer | None = None
        # Warnings about languages that the user has seen: a second request overrides them.
        self._insisted: set[str] = set()
        self._left = 0  # the number of holes being filled when last checked

    def start(self) -> None:
        """Load the engine once the first file is shown."""
        calm = self.app.animation_level == "none" or os.environ.get("TEXTUAL_ANIMATIONS") == "none"
        if calm and self.live == "full":
            self.live = "settle"
        self.workspace.status.engine = "loading model…"
        self.app.call_after_refresh(self._open_engine)

    def mask(self) -> None:
        """Mask the selection or the text at the cursor; on a hole, enlarge or close it."""
        self.hold(masking.mask)

    def point(self) -> None:
        """Open an insertion point, or close the hole at the cursor."""
        self.hold(masking.point)

    def fill_all(self) -> None:
        """Fill all holes of all files; after a result, again with the next seed.

        A language that the model does not know is filled only on a second request.
        """
        line = "" if self.running else self.unknown_language()
        if line and line not in self._insisted:
            self._insisted.add(line)
            self.workspace.notice(f"{line}: F5 again fills all the same")
        else:
            self.ask()

    def draw_more(self) -> None:
        """Cycle through what is drawn of a running infill."""
        self.live = _LIVE[(_LIVE.index(self.live) + 1) % len(_LIVE)]
        told = {
            "full": "every step is drawn",
            "settle": "only what has settled is drawn",
            "off": "only the result is drawn",
        }
        self.workspace.notice(told[self.live])
        if self.fill is not None:
            self.fill.show(self.live, quiet=True)

    def accept(self) -> None:
        """Accept the infill into the documents."""
        fill = self.fill
        assert fill is not None
        if not fill.present:  # an edit removed the holes, and its message is still queued
            self._look()
        else:
            files = len({editor for editor, _ in fill.present})
            count = len(fill.present)
            fill.accept()
            self.end()
            if files > 1:
                self.workspace.notice(f"accepted {count} holes in {files} files")

    def cancel(self) -> None:
        """Stop the engine, and show the documents or the previous result again."""
        self._stop()
        self.workspace.notice("cancelled: the result before is back" if self.fill else "cancelled")

    def reject(self) -> None:
        """Reject the result: show the documents again."""
        assert self.fill is not None
        self._leave(self.fill)
        self.fill.clear()
        self.end()
        self.workspace.notice("rejected: Ctrl+Z brings it back")

    def ask(self, *, instruction: str | None = None, strength: float | None = None) -> None:
        """Fill all holes; after a result, again with its instruction and strength unless given."""
        fill = self.fill
        if self.running:
            self.workspace.notice("an infill is running: Esc cancels")
            return
        try:
            if fill is not None:
                more = fill.again(
                    instruction=instruction, strength=strength, others=self.documents()
                )
            else:
                strength = 1.0 if strength is None else strength
                wish = Wish(self.effort, self.seed, instruction or "", strength)
                more = Fill.ask(self.workspace.editors, wish, others=self.documents())
            self.begin(more)
        except (DgeditError, ValueError) as error:
            holed = any(editor.holes for editor in self.workspace.editors)
            self.workspace.notice(str(error) if holed else NOTHING)

    @property
    def is_open(self) -> bool:
        """True if an infill is running or under review."""
        return self.fill is not None

    @property
    def is_ready(self) -> bool:
        """True if an infill has ended and is under review."""
        return self.fill is not None and self.fill.stage is Stage.READY

    def is_in(self, editor: Editor) -> bool:
        """Say whether an infill is open in a file."""
        present = self.fill.present if self.fill is not None else ()
        return any(one is editor for one, _ in present)

    def drop(self) -> None:
        """Drop the open infill as the editor closes; its thread stops."""
        self.fill = None

    @property
    def running(self) -> bool:
        """True if an infill is being refined."""
        return self.fill is not None and self.fill.stage is not Stage.READY

    def hole_at_cursor(self, fill: Fill | None = None) -> OpenHole | None:
        """Return the hole at the cursor, if it belongs to the given or the open infill."""
        editor, fill = self.workspace.editor, fill or self.fill
        if fill is None or editor.selection.start != editor.selection.end:
            return None
        index = editor.buffer.index(editor.cursor_location)
        own = [hole for owner, hole in fill.present if owner is editor]
        return next((hole for hole in own if hole.start <= index <= hole.end), None)

    def nearest_hole(self) -> OpenHole | None:
        """Return the open infill's hole at the cursor, or else the nearest one in the
        current file.
        """
        editor, present = self.workspace.editor, self.fill.present if self.fill else []
        own = [hole for owner, hole in present if owner is editor]
        return self.hole_at_cursor() or nearest(own, editor.buffer, editor.cursor_location)

    def unknown_language(self) -> str:
        """Explain why a file with holes should not be filled: the model does not know its language.

        Empty if it does, if the model is not loaded yet, and for a text without a file.
        """
        if (backend := self.source.backend) is None:
            return ""
        files = (one for one in self.workspace.editors if one.holes and one.file.path)
        lines = (not_known(backend, one.path) for one in files)
        return next(filter(None, lines), "")

    def documents(self) -> list[Document]:
        """Return the files without holes, which a model may read as context."""
        return [editor.told for editor in self.workspace.editors if not editor.holes]

    def begin(self, fill: Fill) -> None:
        """Start an infill."""
        if hole := self.hole_at_cursor(fill):
            self.workspace.editor.make_room(hole)
        self.asked_at = self.workspace.editor, self.workspace.editor.cursor_location
        for editor in fill.editors:
            editor.rows.heat = self.heat
        self.fill, fill.caution = fill, self.caution
        self._left = len(fill.present)
        self.workspace.notice(words.unfollowed(fill, self.source.backend))
        self.tell_engine()
        self._mark_tabs()
        self.app.refresh_bindings()
        self.app.post_message(Holed())
        self._refine(fill)

    def end(self) -> None:
        """Close the infill."""
        self.fill = None
        self._waiting = None
        self.tell_engine()
        self._mark_tabs()
        self.app.refresh_bindings()
        self.app.post_message(Holed())

    def open_result(self) -> Fill | None:
        """Return the result under review; None while it is being refined."""
        return self.fill if self.is_ready else None

    def redraw(self) -> None:
        """Draw the infill's present state, and update the status."""
        if self.fill is not None:
            self._left = len(self.fill.present)
            self.fill.show(self.live, quiet=True)
            self.tell_engine()
            self._mark_tabs()
        self.app.post_message(Holed())

    def touched(self, message: Editor.Touched) -> None:
        """Check the holes after an edit."""
        self._look(message.how)

    def _look(self, how: Touch = "edited") -> None:
        """Check which holes of the infill are still open, and end it if none is."""
        if self.fill is None:
            return
        left, before = len(self.fill.present), self._left
        self.redraw()
        if how == "taken" and not self.running:
            if not left:  # a redo accepted the last hole
                self.end()
        elif not left:
            self.fill.clear()
            self.end()
            self.workspace.notice("the draft is gone: its hole was edited")
        elif left < before:
            self.workspace.notice("one draft is gone: its hole was edited")

    def _leave(self, fill: Fill) -> None:
        """Record a result that is closed without an edit, in each of its files and the current one,
        so that undo reopens it.
        """
        for editor in dict.fromkeys((*fill.editors, self.workspace.editor)):
            editor.leave(fill, [hole for owner, hole in fill.present if owner is editor])

    def reopen(self, result: object) -> bool:
        """Reopen a result that an undo leads back to; return whether it was closed.

        It does not replace an open infill that has other holes as well.
        """
        assert isinstance(result, Fill)
        for editor in self.workspace.editors:
            editor.go_back_to(result)
        now, present = self.fill, set(result.present)
        if not present or (now is not None and not set(now.present) <= present):
            return False
        if now is not None and now is not result:
            now.clear()
        self.fill = result
        self.redraw()
        self.app.refresh_bindings()
        self.workspace.notice("undone: the draft is back")
        return now is not result

    def hold(self, how: Callable[[Editor], str]) -> None:
        """Open or close holes, at each cursor; `how` returns what it did."""
        if self.fill is not None:
            self.workspace.notice("an infill is open: Alt+Y accepts, Esc rejects")
        elif self.workspace.editor.locked:
            self.workspace.notice("this file is locked: nothing can be filled in it")
        else:
            editor = self.workspace.editor
            said = [how(editor) for _ in editor.cursors.each()]
            done = Counter(one.partition(",")[0] for one in said)
            several = BETWEEN.join(f"{many} × {what}" for what, many in done.items())
            self.workspace.notice(several if len(said) > 1 else said[0])
            self.app.post_message(Holed())

    def _stop(self) -> None:
        """Stop the engine, and go back to the previous result, if there is one."""
        assert self.fill is not None
        before = self.fill.before
        self.fill.clear()
        self.end()
        if before is not None and before.present:
            self.fill = before
            self.redraw()

    # Daemon threads, not Textual workers: quitting must not wait until a large model is loaded.

    def _refine(self, fill: Fill) -> None:
        work = partial(self.source.refine, fill, lambda: self.fill is not fill)
        Thread(target=work, daemon=True).start()

    def _open_engine(self) -> None:
        Thread(target=self.source.open, daemon=True).start()

    def tell_engine(self) -> None:
        """Show in the status line how far the infill is, and with which model."""
        backend = self.source.backend
        parts = [words.progress(self.fill, self.nearest_hole())] if self.fill and backend else []
        parts += [backend.name, backend.device] if backend else []
        self.workspace.status.engine = BETWEEN.join(parts) or "loading model…"
        self.workspace.status.heat = self.heat and self.fill is not None

    def _mark_tabs(self) -> None:
        """Show on the tabs where an infill is running."""
        present = self.fill.present if self.fill is not None and self.running else []
        filled = {editor for editor, _ in present}
        for editor in self.workspace.editors:
            if editor.filling is not (editor in filled):
                editor.filling = editor in filled
                self.workspace.mark(editor)

    def connected(self) -> None:
        """Show which engine is connected and how it was opened, and warn if it does not know the
        language being filled.
        """
        self.tell_engine()
        if (backend := self.source.backend) and (line := note(backend)):
            self.workspace.notice(line)
        if self.fill is not None and (line := self.unknown_language()):
            self.workspace.notice(line)

    def draw_step(self, message: Refined) -> None:
        """Draw a step now or, if one was just drawn, with the next frame."""
        if message.fill is not self.fill:
            return
        self._waiting = message
        if self._frame is None:
            self._draw_waiting()

    def _draw_waiting(self) -> None:
        message, self._waiting, self._frame = self._waiting, None, None
        if message is None or message.fill is not self.fill or self.fill is None:
            return
        self.fill.draw(message.step, message.seconds, self.live)
        self.tell_engine()
        if message.step.last:
            self._mark_tabs()
            before, self.fill.before = self.fill.before, None
            if before is not None and set(before.present) >= set(self.fill.present):
                self._leave(before)
            why = words.remark(self.fill) or words.unfollowed(self.fill, self.source.backend)
            self.workspace.notice(why)
            self.app.refresh_bindings()
            self.app.post_message(Holed())
        else:
            self._frame = self.app.set_timer(_FRAME, self._draw_waiting)

    def give_up(self, message: Failed) -> None:
        """Report why an infill, or opening the engine, failed."""
        if message.fill not in (None, self.fill):
            return  # the infill was cancelled before
        if self.fill is not None:
            self._stop()
        self.workspace.notice(" ".join(str(message.error).split()) or type(message.error).__name__)
        if self.source.backend is None:
            self.workspace.status.engine = NO_MODEL
