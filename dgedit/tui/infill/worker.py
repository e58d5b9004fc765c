"""The engine's side of an infill: runs in a thread and speaks in messages.

A step that comes while another waits to be drawn takes its place; the first and the last are always
drawn. Cancelling closes the backend's iterator after the step that it is at.

Knows backends and messages; nothing of widgets.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic

from textual.message import Message

from dgedit.tui.infill.session import Fill
from dgedit_engine.types import Backend, Step


class Connected(Message):
    """The engine is there."""


class Refined(Message):
    """The engine took a step."""

    def __init__(self, fill: Fill, step: Step, seconds: float) -> None:
        self.fill, self.step, self.seconds = fill, step, seconds
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Whether that one may be drawn in its place: a later step, but not for the first."""
        later = isinstance(message, Refined) and message.fill is self.fill
        return later and self.step.index > 1


class Failed(Message):
    """The engine gave up, on an infill or on being opened."""

    def __init__(self, fill: Fill | None, error: Exception) -> None:
        self.fill, self.error = fill, error
        super().__init__()


class EngineWorker:
    """A backend that is opened when first needed and works for one infill at a time."""

    def __init__(self, connect: Callable[[], Backend], post: Callable[[Message], object]) -> None:
        self.backend: Backend | None = None
        self._connect = connect
        self._post = post
        self._opening = Lock()
        self._working = Lock()

    def open(self) -> Backend | None:
        """Open the backend, if it is not open; None after a failure, which is posted."""
        with self._opening:
            try:
                if self.backend is None:
                    self.backend = self._connect()
                    self._post(Connected())
            except Exception as error:
                self._post(Failed(None, error))
            return self.backend

    def refine(self, fill: Fill, cancelled: Callable[[], bool]) -> None:
        """Post the steps of an infill until the last, or until cancelled."""
        backend = self.open()
        if backend is None:
            return
        with self._working:
            try:
                if not cancelled():
                    self._stream(backend, fill, cancelled)
            except Exception as error:
                self._post(Failed(fill, error))

    def _stream(self, backend: Backend, fill: Fill, cancelled: Callable[[], bool]) -> None:
        started = monotonic()
        steps = backend.infill(fill.request)
        try:
            for step in steps:
                if cancelled():
                    return
                fill.keep(step)
                self._post(Refined(fill, step, monotonic() - started))
                if step.last:
                    return
            raise RuntimeError("the engine stopped before its last step")
        finally:
            if close := getattr(steps, "close", None):
                close()
