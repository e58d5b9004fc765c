"""Find the second model that works with a first one: it judges or drafts."""

from __future__ import annotations

from dgedit import config as settings
from dgedit.errors import EngineError
from dgedit.models import store


def verifier_of(verifier: str | None, model: str | None) -> str | None:
    """Return what the engine is to open as a verifier of a model, or None. If neither is given, it
    is the settings' verifier, which belongs to the settings' model. Raises EngineError.
    """
    return _second(verifier, model, settings.current().verifier, "verify")


def drafter_of(drafter: str | None, model: str | None) -> str | None:
    """Return the same of a drafter."""
    return _second(drafter, model, settings.current().drafter, "draft")


def _second(named: str | None, model: str | None, usual: str, does: str) -> str | None:
    if named is None:
        named = usual if model is None else ""
    if not named:
        return None
    if store.adapter_of(None, named) is not None:
        raise EngineError(f"{named} is a change of another model: it cannot {does}")
    return store.resolve(named)
