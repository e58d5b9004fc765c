"""Say beforehand that a large model on a CPU takes minutes, and on a terminal ask whether to go on.

Knows files' sizes alone, so that a fill by a model that is open already waits for nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from dgedit.commands import output
from dgedit.files.disk import in_units
from dgedit.models import store
from dgedit.models.names import OURS

LARGE = 8_000_000_000
"""Bytes of a model from which one fill takes minutes on a CPU: a step of the 26B reads nearly all
of them and computes a million million products, and there are some twenty.
"""

_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # Linux's, for cards of NVIDIA and AMD


def agreed(
    model: str | None, device: str | None, engine: str, *, ask: bool = False, quiet: bool = False
) -> bool:
    """Return whether to begin: False where a user who was asked said no. Who cannot be asked is
    told, unless `quiet`. Raises EngineError for a model that is not there.
    """
    if engine.startswith(("http://", "https://")) or not (device or "cpu").startswith("cpu"):
        return True
    name = store.resolve(model)
    if name in OURS:
        return True
    place = Path(name)
    size = place.stat().st_size if place.is_file() else store.size(place)
    if size < LARGE or (device is None and _gpu()):
        return True
    words = f"{place.name} has {in_units(size)}, and on a CPU one fill takes minutes"
    if ask and sys.stdin.isatty() and sys.stderr.isatty():
        return typer.confirm(f"{words}. Go on?", default=True, err=True)
    if not quiet:
        output.complain(words)
    return True


def _gpu() -> bool:
    """Say whether there seems to be a GPU, without loading what knows it, where files tell."""
    if sys.platform == "linux":
        return any(os.path.exists(one) for one in _DEVICES)
    with store.engine():
        from dgedit_engine.memory.devices import device_of

        return device_of(None).type != "cpu"
