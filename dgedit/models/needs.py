"""Plan the memory that a model takes on a GPU, which its files' size does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dgedit.errors import EngineError
from dgedit.files.disk import in_units
from dgedit.models import store, tuned


@dataclass(frozen=True, slots=True)
class Needs:
    """The memory that a model takes on a GPU with a usual context, in bytes."""

    whole: int
    """As its files have it."""
    narrowed: int | None = None
    """With 4 bits where a GGUF file has more."""

    def __str__(self) -> str:
        less = "" if self.narrowed is None else f", or {in_units(self.narrowed)} in 4 bits"
        return in_units(self.whole) + less


def needs(path: Path) -> Needs | None:
    """Return what the model in `path` needs, from its headers; None where that is not known."""
    if tuned.base_of(path) is not None:
        return None
    try:
        with store.engine():
            from dgedit_engine.formats import narrowings
            from dgedit_engine.memory.plan import need, usual

            context = usual(store.shape(path))
            found = [
                need(path, context=context, device="cuda", narrow=one).total
                for one in (None, *narrowings(path)[:1])
            ]
    except EngineError:
        return None
    return Needs(*found)
