"""Where steps come from: the one place that imports an engine, and only when one is needed."""

from __future__ import annotations

from dgedit_engine.types import Backend, ModelError

from dgedit.errors import EngineError


def connect(model: str | None, device: str | None) -> Backend:
    """Open an engine in this process; None for either lets the engine choose.

    Raises EngineError, in one line, when the engine or its model is unavailable.
    """
    try:
        from dgedit_engine.engine import open_engine

        return open_engine(model, device)
    except ImportError as error:
        raise EngineError(f"the engine cannot be loaded: {error}") from error
    except (ModelError, OSError) as error:
        raise EngineError(str(error)) from error
