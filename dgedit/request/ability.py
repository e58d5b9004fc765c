"""What a model cannot be asked for, in words: to follow instructions, or a language it never saw.

The one place with these rules. Knows backends and names of files; nothing of how anybody is told.
"""

from __future__ import annotations

from pathlib import Path

from dgedit_engine.types import Backend


def not_followed(backend: Backend) -> str:
    """Why an instruction does little; empty where it is followed."""
    if backend.ability.instructions:
        return ""
    return f"{backend.name} follows no instructions: it reads the words as a comment"


def not_rewritten(backend: Backend) -> str:
    """Why no text can be rewritten as an instruction says; empty where it can."""
    if backend.ability.instructions:
        return ""
    return f"{backend.name} follows no instructions: it cannot rewrite a text as it is told"


def not_known(backend: Backend, path: Path | str | None) -> str:
    """Why a file is not to be filled: its language is none of the model's. Empty where it may be,
    also where its name does not say its language.
    """
    known, suffix = backend.ability.languages, Path(path or "").suffix.lower()
    if known is None or not suffix or suffix in known:
        return ""
    return f"{backend.name} does not know {suffix} files"
