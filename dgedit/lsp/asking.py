"""Ask the engine, which is reached at the first request: a warm one is shared with all clients.

Whether anybody still waits is looked at after each step; then the iterator of steps is closed,
which cancels. Errors of an engine that cannot be reached are remembered for some seconds, so that
typing does not try to start it at every key.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dgedit import config
from dgedit.errors import DgeditError
from dgedit.lsp.jobs import Job
from dgedit.models import store
from dgedit.models.names import OURS
from dgedit.request import run as fill
from dgedit_engine.types import Backend, Infill, InfillRequest, Step

_AGAIN = 10.0  # seconds after which an engine that failed is tried again, where nobody asked

Each = Callable[[Step], None]
"""Called with each step."""


class Asking:
    """The engine, as the session's jobs ask it."""

    def __init__(
        self,
        model: str | None = None,
        device: str | None = None,
        adapter: Path | None = None,
    ) -> None:
        """Take a model, a device and an adapter's folder as the command line names them; None for
        those of the settings.
        """
        self._given, self._device, self._adapter = model, device, adapter
        self._lock, self._one = threading.Lock(), threading.Lock()
        self._backend: Backend | None = None
        self._model: str | None = None
        self._failed: tuple[float, DgeditError] | None = None

    def reach(self, model: str | None, *, wanted: bool) -> Backend:
        """Return the engine with a model that the client names, or else its own; connect or start
        it if need be. Raises DgeditError; at once if it failed just now and this is not `wanted` by
        anybody.
        """
        with self._lock:
            if self._backend is not None and model == self._model:
                return self._backend
            if self._failed and not wanted and time.monotonic() < self._failed[0] + _AGAIN:
                raise self._failed[1]
            try:
                self._backend, self._model = self._connected(model), model
            except DgeditError as error:
                self._failed = (time.monotonic(), error)
                raise
            self._failed = None
            return self._backend

    def infill(
        self,
        request: InfillRequest,
        backend: Backend,
        job: Job,
        *,
        each: Sequence[Each] = (),
        seconds: float | None = None,
    ) -> Infill:
        """Run an infill, for at most so many seconds. Raises GivenUp within a step of the job's
        end, and EngineError.
        """

        def look(step: Step) -> None:
            job.look()
            for tell in each:
                tell(step)

        with self._alone(backend):
            job.look()
            return fill.run(request, backend, each=look, quiet=True, seconds=seconds)

    def _connected(self, model: str | None) -> Backend:
        from dgedit.engines.connect import connect

        settings = config.current()
        device = self._device or settings.device
        known = None if device in ("", "auto") else device
        if model is None:
            return connect(self._given, known, settings.engine, self._adapter)
        # A client may have the name from a workspace: it never means what lies in our folder.
        named = model in OURS or settings.engine.startswith("http")
        return connect(model if named else str(store.installed(model)), known, settings.engine)

    @contextlib.contextmanager
    def _alone(self, backend: Backend) -> Iterator[None]:
        """Hold a lock if the engine is in this process: it works on one request at a time."""
        if hasattr(backend, "session"):
            with self._one:
                yield
        else:
            yield
