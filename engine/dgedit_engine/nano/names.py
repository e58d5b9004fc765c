"""Find the folder or file of a model by its name: nano, tiny or a path.

Knows where models are; nothing of what is in them.
"""

from __future__ import annotations

from pathlib import Path

from dgedit_engine.formats import gguf
from dgedit_engine.nano import prepared
from dgedit_engine.types import ModelError

NANO = "nano"
"""Name of the default model: a base that is installed beside us, and what we add to it."""

TINY = Path(__file__).parents[1] / "tiny"
"""The folder of the model inside the package."""


def located(model: str | None) -> Path:
    """Return the folder or file of a model that `open_engine` takes; nano's is made if it is not
    there. Raises ModelError.
    """
    if model in (None, NANO):
        return prepared.folder()
    path = TINY if model == TINY.name else Path(model or "")
    if not path.is_dir() and not (path.suffix == gguf.SUFFIX and path.is_file()):
        raise ModelError(
            f"no such model: {model} (neither nano, tiny, a folder nor a {gguf.SUFFIX} file)"
        )
    return path
