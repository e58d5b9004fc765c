"""Find the second model that judges what a first one writes."""

from __future__ import annotations

from dgedit import config as settings
from dgedit.errors import EngineError
from dgedit.models import store


def verifier_of(verifier: str | None, model: str | None) -> str | None:
    """Return what the engine is to open as a verifier of a model, or None. If neither is given, it
    is the settings' verifier, which belongs to the settings' model. Raises EngineError.
    """
    if verifier is None:
        verifier = settings.current().verifier if model is None else ""
    if not verifier:
        return None
    if store.adapter_of(None, verifier) is not None:
        raise EngineError(f"{verifier} is a change of another model: it cannot verify")
    return store.resolve(verifier)
