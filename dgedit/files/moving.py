"""Create, move, copy and delete files and folders, and overwrite none.

A link is moved, copied or deleted itself, never what it leads to. Every error is one line.

Knows paths; nothing of who has them open.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk, saving


def create_file(path: Path) -> None:
    """Create an empty file, and the folders that it is in. Raises DgeditError."""
    _prepare(path)
    saving.write(path, b"", expected=None)


def create_folder(path: Path) -> None:
    """Create a folder, and those that it is in. Raises InputError."""
    _prepare(path)
    with _trying("create", path):
        path.mkdir()


def move(source: Path, target: Path) -> None:
    """Give a file or folder another path. Raises InputError."""
    with _trying("move", source):
        here = os.lstat(source)
        in_place = source.parent == target.parent and source.name.lower() == target.name.lower()
        if in_place and os.path.lexists(target) and os.path.samestat(here, os.lstat(target)):
            os.rename(source, target)  # where upper and lower case are the same
            return
    _prepare(target)
    with _trying("move", source):
        try:
            # Unlike a rename, this fails if a file has just been created there.
            os.link(source, target, follow_symlinks=False)
        except OSError:  # a folder, or no links on this disk
            if os.path.lexists(target):
                raise
            os.rename(source, target)
        else:
            os.unlink(source)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all files in it. Raises InputError."""
    _prepare(target)
    with _trying("copy", source):
        if source.is_dir() and not source.is_symlink():
            if target.resolve().is_relative_to(source.resolve()):
                raise InputError(f"cannot copy {source} into itself")
            shutil.copytree(source, target, symlinks=True, copy_function=_copy)
        else:
            _copy(str(source), str(target))


def delete(path: Path) -> None:
    """Delete a file or a folder for good. Raises InputError."""
    with _trying("delete", path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def free_name(path: Path) -> Path:
    """Return a path beside a file that is not there yet: `a-copy.py`, `a-copy-2.py`."""
    stem, suffix = (path.name, "") if path.is_dir() else (path.stem, path.suffix)
    count = 1
    while True:
        number = f"-{count}" if count > 1 else ""
        free = path.with_name(f"{stem}-copy{number}{suffix}")
        if not os.path.lexists(free):
            return free
        count += 1


def _copy(source: str, target: str) -> None:
    if not stat.S_ISREG(os.lstat(source).st_mode) and not os.path.islink(source):
        raise InputError(f"cannot copy {source}: it is not a regular file")
    shutil.copy2(source, target, follow_symlinks=False)


def _prepare(path: Path) -> None:
    """Make the folders that a new path is in. Raises InputError for one that is taken or whose new
    names cannot be shown.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} is there already")
    new = [path.name, *(place.name for place in path.parents if not os.path.lexists(place))]
    if not all(map(str.isprintable, new)):
        raise InputError(f"{path} has a sign in its name that cannot be seen")
    with _trying("create", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _trying(what: str, path: Path) -> Iterator[None]:
    """Turn an error of the system into an InputError."""
    try:
        yield
    except shutil.Error:
        raise InputError(f"cannot {what} all of {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot {what} {path}: {disk.reason(error)}") from None
