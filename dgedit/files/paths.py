"""Paths, made absolute once, when they come in, and shown as short as they were given.

Whoever removes or renames the folder we were started in then takes no file from us: only a path
that is relative needs that folder to be there. Knows names; reads no file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dgedit.errors import InputError

GONE = "the current folder was removed (cd somewhere else)"
"""What is to be said where a relative path leads nowhere."""


@dataclass(frozen=True, slots=True)
class WorkingFolder:
    """The folder that relative paths start from."""

    path: Path | None = None
    """Absolute; None for one that was removed."""

    @classmethod
    def now(cls) -> WorkingFolder:
        """The one we are in."""
        try:
            return cls(Path(os.getcwd()))
        except FileNotFoundError:
            return cls()

    def absolute(self, path: Path) -> Path:
        """A path that means the same wherever we are. Raises InputError where nothing is meant."""
        if path.is_absolute():
            return path
        if self.path is None:
            raise InputError(f"{GONE}: {path}")
        return self.path / path

    def shortened(self, words: str) -> str:
        """Words in which what lies below the folder is named from there."""
        if self.path is None:
            return words
        below = os.path.join(self.path, "")
        return re.sub(rf"(?<![^\s'\"(]){re.escape(below)}(?=[^\s/])", "", words)


def our_folder(kind: Literal["config", "data", "state"]) -> Path:
    """Our folder in one of the XDG's; a path that is not absolute is to be ignored, it says."""
    default = {"config": ".config", "data": ".local/share", "state": ".local/state"}[kind]
    # Who has no home has no place for it either: nothing is there, and nobody may make it.
    home = Path("/", os.path.expanduser("~"))
    given = Path(os.environ.get(f"XDG_{kind.upper()}_HOME", ""))
    return (given if given.is_absolute() else home / default) / "dgedit"


def leave_if_removed() -> None:
    """Go to a folder that is there, if ours is not: torch's libraries, loaded in one that was
    removed, end the process.
    """
    if WorkingFolder.now().path is None:
        os.chdir("/")


def path_in_diff(path: Path) -> str:
    """How a diff names a file: from the top of the repository, or else from the working folder."""
    real, here = Path(os.path.realpath(path)), WorkingFolder.now().path
    if here is not None:
        above = (here, *here.parents)
        top = next((folder for folder in above if (folder / ".git").exists()), here)
        for folder in (top, here):
            if real.is_relative_to(folder):
                return real.relative_to(folder).as_posix()
    return real.as_posix().lstrip("/")
