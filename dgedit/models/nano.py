"""Prepare and check the nano model, with this package's errors; the engine knows how it is made.

The engine's modules for it are imported on use; they load no tensor library.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgedit.errors import EngineError
from dgedit_engine.types import ModelError


class NoBase(EngineError):
    """nano's base is not on this machine, or is incomplete."""


def check() -> None:
    """Raise NoBase, in one line, if nano cannot be opened because its base is missing."""
    from dgedit_engine.nano import prepared

    try:
        prepared.check()
    except ModelError as error:
        raise NoBase(str(error)) from None


def folder() -> Path:
    """Return the folder that the engine opens, made first if need be. Raises EngineError."""
    from dgedit_engine.nano import prepared

    check()
    with _said():
        return prepared.folder()


def found() -> Path | None:
    """Return that folder if it has been made already; else None."""
    from dgedit_engine.nano import prepared

    with _said():
        return prepared.found()


def where() -> Path:
    """Return where that folder is, or would be."""
    from dgedit_engine.nano import prepared

    return prepared.where()


def fetched() -> Path:
    """Return the folder of a base that was fetched from a hub; it need not exist."""
    from dgedit_engine.nano import parts

    return parts.fetched().parent


def kept() -> list[Path]:
    """Return the folders that were fetched or made for nano, and an unfinished download."""
    from dgedit_engine.nano import prepared

    place = fetched()
    folders = [place, place.with_name(f".{place.name}.part"), *prepared.cache().glob("nano-*")]
    return [one for one in folders if one.is_dir()]


def remove() -> None:
    """Remove those folders. Raises EngineError if one cannot be removed."""
    with _said():
        for place in kept():
            shutil.rmtree(place)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (ModelError, OSError) as error:
        raise EngineError(str(error)) from error
