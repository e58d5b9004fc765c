"""Run an infill in a thread, and post its steps as messages.

A step replaces an earlier one that still waits to be drawn; the first and the last are always
drawn. Cancelling closes the backend's iterator after the current step.

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
    """The engine is connected."""


class Refined(Message):
    """The engine has made a step."""

    def __init__(self, fill: Fill, step: Step, seconds: float) -> None:
        self.fill, self.step, self.seconds = fill, step, seconds
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Say whether that message makes this one superfluous: a later step of the same infill,
        unless this is the first.
        """
        later = isinstance(message, Refined) and message.fill is self.fill
        return later and self.step.index > 1


class Failed(Message):
    """An infill, or opening the engine, has failed."""

    def __init__(self, fill: Fill | None, error: Exception) -> None:
        self.fill, self.error = fill, error
        super().__init__()


class EngineWorker:
    """A backend that is opened on first use and runs one infill at a time."""

    def __init__(self, connect: Callable[[], Backend], post: Callable[[Message], object]) -> None:
        self.backend: Backend | None = None
        self._connect = connect
        self._post = post
        self._opening = Lock()
        self._working = Lock()

    def open(self) -> Backend | None:
        """Open the backend, unless it is open; return None after a failure, which is posted."""
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
