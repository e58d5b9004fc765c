"""Find the folder or file of a model by its name: one of ours or a path.

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
"""The folder of the model for tests inside the package."""

EMBEDDED = {TINY.name: TINY} | {
    name: TINY.with_name("shipped") / name for name in ("sudoku", "graph", "protein")
}
"""The folders of all models inside the package: tiny, and one for each domain."""


def located(model: str | None) -> Path:
    """Return the folder or file of a model that `open_engine` takes; nano's is made if it is not
    there. Raises ModelError.
    """
    if model in (None, NANO):
        return prepared.folder()
    path = EMBEDDED.get(model or "") or Path(model or "")
    if not path.is_dir() and not (path.suffix == gguf.SUFFIX and path.is_file()):
        raise ModelError(
            f"no such model: {model} (neither nano, {', '.join(EMBEDDED)}, a folder "
            f"nor a {gguf.SUFFIX} file)"
        )
    return path
