"""Where steps come from: the one place that imports an engine, and only when one is needed."""

from __future__ import annotations

import os

from dgedit import models
from dgedit.errors import EngineError
from dgedit_engine.types import Backend, ModelError


def connect(model: str | None, device: str | None) -> Backend:
    """Open an engine in this process. A model is named as `models.resolve` says; None takes the
    default. A device of None lets the engine choose.

    Raises EngineError, in one line, when the engine or its model is unavailable.
    """
    name = models.resolve(model)
    # Threads that wait for each other by spinning starve on a busy machine: a step took 1.2 s, not
    # 45 ms, beside another computation on two cores. The library reads this once, when it is
    # loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from dgedit_engine.engine import open_engine

        return open_engine(name, device)
    except ImportError as error:
        raise EngineError(f"the engine cannot be loaded: {error}") from error
    except (ModelError, OSError) as error:
        raise EngineError(str(error)) from error
