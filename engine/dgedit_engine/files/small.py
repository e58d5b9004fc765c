"""Read a model's JSON files, and check that any file of it is a regular one of a stated size.

A model is somebody else's. In the place of a file may be a device that never ends, a pipe that
never begins, a table larger than the machine's memory, or the pointer that git-lfs leaves where
nobody pulled. The editor has the same for text (`dgedit/files/small.py`); neither may import the
other.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from dgedit_engine.types import ModelError

SETTINGS = 4_000_000
"""Bytes of a table of settings, at most; the largest published ones, which list the modules that
are not quantised, have a fifth of it.
"""
_POINTER = b"version https://git-lfs.github.com/spec/"


def table(path: Path, *, most: int = SETTINGS) -> dict[str, Any] | None:
    """Return the JSON object in a file; None where there is no file. Raises ModelError, naming the
    file, for anything else.
    """
    if not os.path.lexists(path):
        return None
    try:
        raw = json.loads(sound(path, most=most).read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {_reason(error)}") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: not a JSON object")
    return raw


def text(path: Path, *, most: int) -> str:
    """Return a file's text. Raises ModelError, naming the file, for none that can be read."""
    try:
        return sound(path, most=most).read_bytes().decode()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {_reason(error)}") from error


def sound(path: Path, *, most: int | None = None) -> Path:
    """Return the path if a regular file of at most `most` bytes is there. Raises ModelError, naming
    the path, for anything else: no file, another kind of file, or what git-lfs left in its place.
    """
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            raise ModelError(f"{path} is not a regular file")
        if most is not None and info.st_size > most:
            raise ModelError(f"{path} has {info.st_size:,} bytes, of which {most:,} are the most")
        with open(path, "rb", opener=_opened) as file:
            begins = file.read(len(_POINTER))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {_reason(error)}") from None
    if begins == _POINTER:
        raise ModelError(f"{path} is a git-lfs pointer, not the file: git lfs pull")
    return path


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # what became a pipe meanwhile does not keep us


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "brackets in brackets without end"
    return (isinstance(error, OSError) and error.strerror) or str(error)
