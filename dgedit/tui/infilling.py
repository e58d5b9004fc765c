"""Holes and infills in the editor: asked for, drawn step by step, accepted or not.

Nothing reaches a document before Enter. Knows editors and steps; threads are `stream.py`'s.
"""

from __future__ import annotations

from functools import partial
from threading import Thread
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.timer import Timer

from dgedit.errors import DgeditError
from dgedit.tui.desk import Desk
from dgedit.tui.editor import Editor
from dgedit.tui.fill import Fill, Stage
from dgedit.tui.stream import Connected, Failed, Refined, Source

# No more than 30 drawings a second.
_FRAME = 1 / 30


class Infilling(Desk):
    """Holes, infills and the engine."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "mask", "mask", key_display="F2"),
        Binding("f5", "fill", "fill", key_display="F5"),
        Binding("enter", "accept", "accept", key_display="Enter"),
        Binding("escape", "cancel", "reject", key_display="Esc"),
    ]

    effort: float
    """Of every infill, see `InfillRequest`."""
    seed: int
    """Of the first."""
    source: Source
    """The engine's side."""
    _waiting: Refined | None = None
    _frame: Timer | None = None

    def on_mount(self) -> None:
        """Load the engine, once the first file is shown."""
        self.status.engine = "loading model…"
        self.call_after_refresh(self._open_engine)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter and Escape are ours while there is an infill; no key is before a question."""
        if self.screen.is_modal:
            return False
        return self.fill is not None if action in ("accept", "cancel") else True

    def action_mask(self) -> None:
        """Mask the selection, or close the hole at the cursor."""
        if self.fill is not None:
            self.notice("an infill is open: Enter accepts, Esc rejects")
        else:
            self.editor.toggle_hole()
            self.notice("")

    def action_fill(self) -> None:
        """Fill all holes of all files; after a result, once more with the next seed."""
        try:
            if self.fill is None:
                self._start(Fill.ask(self.editors, effort=self.effort, seed=self.seed))
            elif self.fill.stage is Stage.READY:
                self._start(self.fill.again())
        except (DgeditError, ValueError) as error:
            self.notice("select something and press F2 first" if not self._holed else str(error))

    def action_accept(self) -> None:
        """Put the infill into the texts."""
        assert self.fill is not None
        fill = self.fill
        if not fill.intact:  # and the message that says so is still on its way
            self._outdate()
        elif fill.stage is Stage.READY:
            self._end()
            fill.accept()
        else:
            self.notice("not settled yet: Esc cancels")

    def action_cancel(self) -> None:
        """Stop the engine and show the documents again."""
        assert self.fill is not None
        running = self.fill.stage is not Stage.READY
        self.fill.clear()
        self._end()
        self.notice("cancelled" if running else "rejected")

    @on(Editor.Touched)
    def _outdate(self) -> None:
        if self.fill is not None and not self.fill.intact:
            self.action_cancel()
            self.notice("cancelled: the hole was edited")

    @property
    def _holed(self) -> bool:
        return any(editor.holes for editor in self.editors)

    def _start(self, fill: Fill) -> None:
        self.fill = fill
        self.notice("")
        self._tell_engine()
        self.refresh_bindings()
        self._refine(fill)

    def _end(self) -> None:
        self.fill = None
        self._waiting = None
        self._tell_engine()
        self.refresh_bindings()

    # Daemons, not workers: who quits does not wait until a large model is loaded.

    def _refine(self, fill: Fill) -> None:
        work = partial(self.source.refine, fill, lambda: self.fill is not fill)
        Thread(target=work, daemon=True).start()

    def _open_engine(self) -> None:
        Thread(target=self.source.open, daemon=True).start()

    @on(Connected)
    def _tell_engine(self) -> None:
        backend = self.source.backend
        parts = [self.fill.progress()] if self.fill and backend else []
        parts += [backend.name, backend.device] if backend else []
        self.status.engine = " · ".join(parts) or "loading model…"

    @on(Refined)
    def _draw_step(self, message: Refined) -> None:
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
        self.fill.draw(message.step, message.seconds)
        self._tell_engine()
        if not message.step.last:
            self._frame = self.set_timer(_FRAME, self._draw_waiting)

    @on(Failed)
    def _give_up(self, message: Failed) -> None:
        if self.fill is not None and message.fill in (None, self.fill):
            self.fill.clear()
            self._end()
        words = " ".join(str(message.error).split()) or type(message.error).__name__
        self.notice(words)
        if self.source.backend is None:
            self.status.engine = "no model"
