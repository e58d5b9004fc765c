"""Holes and infills in the editor: asked for, drawn step by step, accepted or not.

Nothing reaches a document before Enter. What else can be done with a result is `review.py`'s. Knows
editors and steps; threads are `worker.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from threading import Thread

from textual.document._document import Location
from textual.message import Message
from textual.timer import Timer

from dgedit.errors import DgeditError
from dgedit.files.document import Document
from dgedit.request.ability import not_known
from dgedit.tui.editor import masking
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole, nearest
from dgedit.tui.editor.transaction import Touch
from dgedit.tui.infill import words
from dgedit.tui.infill.session import Fill, Live, Stage, Wish
from dgedit.tui.infill.worker import EngineWorker, Failed, Refined
from dgedit.tui.widgets.status import BETWEEN
from dgedit.tui.workspace.tabs import Workspace

NOTHING = "no hole yet: F2 masks what the cursor is on"
"""Why nothing can be filled."""

# No more than 30 drawings a second.
_FRAME = 1 / 30
_LIVE: tuple[Live, ...] = ("full", "settle", "off")


class Holed(Message):
    """Holes came, went, or are being filled."""


class InfillController:
    """Asks for infills, draws their steps, and holds the one that is open."""

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
        """`source` is the engine's side; `effort` is that of every infill and `seed` the first's,
        see `InfillRequest`; a candidate that is right with less than the probability `caution` is
        drawn unsure; `live` is what is drawn before the last step.
        """
        self.workspace, self.app, self.source = workspace, workspace.app, source
        self.effort, self.seed, self.caution, self.live = effort, seed, caution, live
        self.fill: Fill | None = None
        """The infill that is open."""
        self.heat = False
        """Whether it is told how sure the model is of each piece."""
        self.asked_at: tuple[Editor, Location] | None = None
        """Where the cursor was when the result was last asked for, or taken from."""
        self._waiting: Refined | None = None
        self._frame: Timer | None = None
        # what was said of a language before it was asked for all the same
        self._insisted: set[str] = set()
        self._left = 0  # how many holes were being filled when last looked at

    def start(self) -> None:
        """Load the engine, once the first file is shown."""
        calm = self.app.animation_level == "none" or os.environ.get("TEXTUAL_ANIMATIONS") == "none"
        if calm and self.live == "full":
            self.live = "settle"
        self.workspace.status.engine = "loading model…"
        self.app.call_after_refresh(self._open_engine)

    def mask(self) -> None:
        """Mask the selection or what the cursor is on; on a hole, let it grow, or close it."""
        self._hold(masking.mask)

    def point(self) -> None:
        """Open an insertion point, or close the hole at the cursor."""
        self._hold(masking.point)

    def fill_all(self) -> None:
        """Fill all holes of all files; after a result, once more with the next seed. In a language
        that the model does not know, only when asked twice.
        """
        line = "" if self.running else self.unknown_language()
        if line and line not in self._insisted:
            self._insisted.add(line)
            self.workspace.notice(f"{line}: F5 again fills all the same")
        else:
            self.ask()

    def draw_more(self) -> None:
        """Draw more or less of what is still being refined."""
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
        """Put the infill into the texts."""
        fill = self.fill
        assert fill is not None
        if not fill.present:  # and the message that says so is still on its way
            self._look()
        else:
            files = len({editor for editor, _ in fill.present})
            count = len(fill.present)
            fill.accept()
            self.end()
            if files > 1:
                self.workspace.notice(f"accepted {count} holes in {files} files")

    def cancel(self) -> None:
        """Stop the engine and show the documents again; of a result that was to be better, the one
        before.
        """
        self._stop()
        self.workspace.notice("cancelled: the result before is back" if self.fill else "cancelled")

    def reject(self) -> None:
        """Show the documents again."""
        assert self.fill is not None
        self._leave(self.fill)
        self.fill.clear()
        self.end()
        self.workspace.notice("rejected: Ctrl+Z brings it back")

    def ask(self, *, instruction: str | None = None, strength: float | None = None) -> None:
        """Fill all holes; after a result once more, with the same wishes where none are given."""
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
        """Whether one is running or shown."""
        return self.fill is not None

    @property
    def is_ready(self) -> bool:
        """Whether one is open and ended."""
        return self.fill is not None and self.fill.stage is Stage.READY

    def is_in(self, editor: Editor) -> bool:
        """Whether one is open in a file."""
        present = self.fill.present if self.fill is not None else ()
        return any(one is editor for one, _ in present)

    def drop(self) -> None:
        """End the one that is open, as the editor ends; whoever fills it stops."""
        self.fill = None

    @property
    def running(self) -> bool:
        """Whether an infill is being refined."""
        return self.fill is not None and self.fill.stage is not Stage.READY

    def hole_at_cursor(self, fill: Fill | None = None) -> OpenHole | None:
        """The hole at the cursor, if it is one of that infill, or else of the open one."""
        editor, fill = self.workspace.editor, fill or self.fill
        if fill is None or editor.selection.start != editor.selection.end:
            return None
        index = editor.buffer.index(editor.cursor_location)
        own = [hole for owner, hole in fill.present if owner is editor]
        return next((hole for hole in own if hole.start <= index <= hole.end), None)

    def nearest_hole(self) -> OpenHole | None:
        """The hole of the open infill at the cursor, or the nearest in the file in front."""
        editor, present = self.workspace.editor, self.fill.present if self.fill else []
        own = [hole for owner, hole in present if owner is editor]
        return self.hole_at_cursor() or nearest(own, editor.buffer, editor.cursor_location)

    def unknown_language(self) -> str:
        """Why the model is not the one for a file with holes; empty where it is, or is not there
        yet, and for a text that has no file.
        """
        if (backend := self.source.backend) is None:
            return ""
        files = (one for one in self.workspace.editors if one.holes and one.file.path)
        lines = (not_known(backend, one.path) for one in files)
        return next(filter(None, lines), "")

    def documents(self) -> list[Document]:
        """The files that have no hole: a model may read them as well."""
        return [editor.told for editor in self.workspace.editors if not editor.holes]

    def begin(self, fill: Fill) -> None:
        """Let the engine begin."""
        if hole := self.hole_at_cursor(fill):
            self.workspace.editor.show_start(hole)
        self.asked_at = self.workspace.editor, self.workspace.editor.cursor_location
        for editor in fill.editors:
            editor.rows.heat = self.heat
        self.fill, fill.caution = fill, self.caution
        self._left = len(fill.present)
        self.workspace.notice("")
        self.tell_engine()
        self.app.refresh_bindings()
        self.app.post_message(Holed())
        self._refine(fill)

    def end(self) -> None:
        """There is no infill any more."""
        self.fill = None
        self._waiting = None
        self.tell_engine()
        self.app.refresh_bindings()
        self.app.post_message(Holed())

    def open_result(self) -> Fill | None:
        """The result that is open; none while it is being refined."""
        return self.fill if self.is_ready else None

    def redraw(self) -> None:
        """Draw what the infill shows now, and say it."""
        if self.fill is not None:
            self._left = len(self.fill.present)
            self.fill.show(self.live, quiet=True)
            self.tell_engine()
        self.app.post_message(Holed())

    def touched(self, message: Editor.Touched) -> None:
        """See what an edit did to holes."""
        self._look(message.how)

    def _look(self, how: Touch = "edited") -> None:
        """See which holes are still those that are being filled."""
        if self.fill is None:
            return
        left, before = len(self.fill.present), self._left
        self.redraw()
        if how == "taken" and not self.running:
            if not left:  # done anew
                self.end()
        elif not left:
            self.fill.clear()
            self.end()
            self.workspace.notice("the draft is gone: its hole was edited")
        elif left < before:
            self.workspace.notice("one draft is gone: its hole was edited")

    def _leave(self, fill: Fill) -> None:
        """Let an undo lead back to a result that no edit ends, from any file of it and from the one
        in front.
        """
        for editor in dict.fromkeys((*fill.editors, self.workspace.editor)):
            editor.leave(fill, [hole for owner, hole in fill.present if owner is editor])

    def reopen(self, result: object) -> bool:
        """Open a result again that an undo led back to; not in the place of one that has other
        holes as well. Whether it was not open.
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

    def _hold(self, how: Callable[[Editor], str]) -> None:
        if self.fill is not None:
            self.workspace.notice("an infill is open: Alt+Y accepts, Esc rejects")
        elif self.workspace.editor.locked:
            self.workspace.notice("this file is locked: nothing can be filled in it")
        else:
            self.workspace.notice(how(self.workspace.editor))
            self.app.post_message(Holed())

    def _stop(self) -> None:
        """Let the engine stop, and go back to the result before, if there is one."""
        assert self.fill is not None
        before = self.fill.before
        self.fill.clear()
        self.end()
        if before is not None and before.present:
            self.fill = before
            self.redraw()

    # Daemons, not workers: who quits does not wait until a large model is loaded.

    def _refine(self, fill: Fill) -> None:
        work = partial(self.source.refine, fill, lambda: self.fill is not fill)
        Thread(target=work, daemon=True).start()

    def _open_engine(self) -> None:
        Thread(target=self.source.open, daemon=True).start()

    def tell_engine(self) -> None:
        """Say how far the infill is, and with which model."""
        backend = self.source.backend
        parts = [words.progress(self.fill, self.nearest_hole())] if self.fill and backend else []
        parts += [backend.name, backend.device] if backend else []
        self.workspace.status.engine = BETWEEN.join(parts) or "loading model…"
        self.workspace.status.heat = self.heat and self.fill is not None

    def connected(self) -> None:
        """Say which engine is there; who was faster than the model is told afterwards."""
        self.tell_engine()
        if self.fill is not None and (line := self.unknown_language()):
            self.workspace.notice(line)

    def draw_step(self, message: Refined) -> None:
        """Draw a step now, or with the next frame."""
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
            before, self.fill.before = self.fill.before, None
            if before is not None and set(before.present) >= set(self.fill.present):
                self._leave(before)
            self.workspace.notice(words.remark(self.fill))
            self.app.refresh_bindings()
            self.app.post_message(Holed())
        else:
            self._frame = self.app.set_timer(_FRAME, self._draw_waiting)

    def give_up(self, message: Failed) -> None:
        """Say why there is no infill, or no engine."""
        if message.fill not in (None, self.fill):
            return  # given up before
        if self.fill is not None:
            self._stop()
        self.workspace.notice(" ".join(str(message.error).split()) or type(message.error).__name__)
        if self.source.backend is None:
            self.workspace.status.engine = "no model"
