"""Make paths absolute once, on input, and show them as short as they were given.

If the folder that we were started in is removed or renamed, no file is lost: only relative paths
need that folder. Knows names; reads no file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dgedit.errors import InputError

GONE = "the current folder was removed (cd somewhere else)"
"""The message for a relative path when there is no current folder."""


@dataclass(frozen=True, slots=True)
class WorkingFolder:
    """The folder that relative paths start from."""

    path: Path | None = None
    """Its absolute path; None if it was removed."""

    @classmethod
    def now(cls) -> WorkingFolder:
        """Return the current working folder."""
        try:
            return cls(Path(os.getcwd()))
        except FileNotFoundError:
            return cls()

    def absolute(self, path: Path) -> Path:
        """Make a path absolute. Raises InputError for a relative one without a folder."""
        if path.is_absolute():
            return path
        if self.path is None:
            raise InputError(f"{GONE}: {path}")
        return self.path / path

    def shortened(self, words: str) -> str:
        """Return a message in which paths below the folder are relative to it."""
        if self.path is None:
            return words
        below = os.path.join(self.path, "")
        return re.sub(rf"(?<![^\s'\"(]){re.escape(below)}(?=[^\s/])", "", words)


def our_folder(kind: Literal["config", "data", "state"]) -> Path:
    """Return our folder of a kind, following the XDG specification, which says that a variable with
    a relative path is to be ignored.
    """
    default = {"config": ".config", "data": ".local/share", "state": ".local/state"}[kind]
    # Without a home this is a folder below /, which does not exist and cannot be created.
    home = Path("/", os.path.expanduser("~"))
    given = Path(os.environ.get(f"XDG_{kind.upper()}_HOME", ""))
    return (given if given.is_absolute() else home / default) / "dgedit"


def leave_if_removed() -> None:
    """Change to `/` if the current folder was removed: loading torch's libraries in such a folder
    ends the process.
    """
    if WorkingFolder.now().path is None:
        os.chdir("/")


def path_in_diff(path: Path) -> str:
    """Return a file's path for a diff: relative to the top of the repository, or else to the
    working folder.
    """
    real, here = Path(os.path.realpath(path)), WorkingFolder.now().path
    if here is not None:
        above = (here, *here.parents)
        top = next((folder for folder in above if (folder / ".git").exists()), here)
        for folder in (top, here):
            if real.is_relative_to(folder):
                return real.relative_to(folder).as_posix()
    return real.as_posix().lstrip("/")
