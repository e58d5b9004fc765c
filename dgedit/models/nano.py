"""Whether nano can be opened here, in the errors of this side; the engine knows how it is made.

Imports the engine's words on it when they are asked for; they load no tensor library.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgedit.errors import EngineError
from dgedit_engine.types import ModelError


class NoBase(EngineError):
    """nano's base is not on this machine, or not whole."""


def check() -> None:
    """Raise NoBase, one line, where nano cannot be opened for want of its base."""
    from dgedit_engine.nano import prepared

    try:
        prepared.check()
    except ModelError as error:
        raise NoBase(str(error)) from None


def folder() -> Path:
    """The folder that the engine opens, made if it is not there. Raises EngineError."""
    from dgedit_engine.nano import prepared

    check()
    with _said():
        return prepared.folder()


def found() -> Path | None:
    """The same, if it is ready."""
    from dgedit_engine.nano import prepared

    with _said():
        return prepared.found()


def where() -> Path:
    """Where it is, or would be."""
    from dgedit_engine.nano import prepared

    return prepared.where()


def fetched() -> Path:
    """The folder of a base that was fetched from a hub; it need not be there."""
    from dgedit_engine.nano import parts

    return parts.fetched().parent


def kept() -> list[Path]:
    """The folders that were fetched or made for nano, and what a stopped pull left."""
    from dgedit_engine.nano import prepared

    place = fetched()
    folders = [place, place.with_name(f".{place.name}.part"), *prepared.cache().glob("nano-*")]
    return [one for one in folders if one.is_dir()]


def remove() -> None:
    """Remove them. Raises EngineError where that cannot be."""
    with _said():
        for place in kept():
            shutil.rmtree(place)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (ModelError, OSError) as error:
        raise EngineError(str(error)) from error
