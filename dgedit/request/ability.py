"""Say what a model cannot do: follow instructions, or fill a language it was not trained on.

The only place with these rules. Knows backends and file names; nothing of how the user is told.
"""

from __future__ import annotations

from pathlib import Path

from dgedit.text.visible import visible
from dgedit_engine.types import Backend


def not_followed(backend: Backend) -> str:
    """Explain why an instruction has little effect; empty if the model follows it."""
    if backend.ability.instructions:
        return ""
    return f"{backend.name} follows no instructions: it reads the words as a comment"


def note(backend: Backend) -> str:
    """Say what a user should know of how the model was opened; empty for nothing."""
    said = backend.ability.note
    return f"{backend.name}: {visible(said)}" if said else ""


def not_rewritten(backend: Backend) -> str:
    """Explain why the model cannot rewrite a text by instruction; empty if it can."""
    if backend.ability.instructions:
        return ""
    return f"{backend.name} follows no instructions: it cannot rewrite a text as it is told"


def not_known(backend: Backend, path: Path | str | None) -> str:
    """Explain why a file should not be filled: the model does not know its language.

    Empty if it may be filled, also if its name does not tell its language.
    """
    known, suffix = backend.ability.languages, Path(path or "").suffix.lower()
    if known is None or not suffix or suffix in known:
        return ""
    return f"{backend.name} does not know {suffix} files"
