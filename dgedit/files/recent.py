"""Remember the recently opened files and the last theme from one start to the next.

Each is kept in a file of the user's own, one path or name a line, newest first. This is a
convenience: read and write errors are ignored, and if two editors add files at the same time one
addition is lost. Files are written beside and renamed, with mode 0600, as names alone may tell a
lot.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import small
from dgedit.files.paths import our_folder

_MOST = 100
_LARGEST = 1_000_000  # bytes: more than so many paths have


def recent_path() -> Path:
    """Return the file that keeps the recent files: `$XDG_STATE_HOME/dgedit/recent`."""
    return our_folder("state") / "recent"


def theme_path() -> Path:
    """Return the file that keeps the theme: `$XDG_STATE_HOME/dgedit/theme`."""
    return recent_path().with_name("theme")


class Recent:
    """The list of recently opened files."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        """The file that keeps the list; None to keep it in memory only."""
        self._here: list[Path] = []

    def paths(self) -> list[Path]:
        """Return the files, newest first, whether they still exist or not."""
        if self.path is None:
            return self._here
        try:
            data = small.read(self.path, most=_LARGEST) or b""
        except InputError:
            return []
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        return [Path(line) for line in lines if os.path.isabs(line) and "\0" not in line][:_MOST]

    def add(self, paths: Iterable[Path]) -> None:
        """Put files at the front of the list, the last one foremost."""
        absolute = [Path(os.path.abspath(path)) for path in paths]
        newest = [path for path in reversed(absolute) if "\n" not in str(path)]
        if newest:
            self._here = list(dict.fromkeys([*newest, *self.paths()]))[:_MOST]
            if self.path is not None:
                with contextlib.suppress(OSError):
                    write_private(self.path, "".join(f"{path}\n" for path in self._here))


@dataclass(frozen=True, slots=True)
class LastTheme:
    """The theme that was chosen last."""

    path: Path | None = None
    """The file that keeps it; None to keep nothing."""
    named_by: str = ""
    """The settings file or variable that names a theme and so has precedence; empty if none."""

    def read(self) -> str:
        """Return the theme's name; empty if there is none, or the settings name one."""
        if self.path is None or self.named_by:
            return ""
        try:
            return (small.text(self.path, most=_LARGEST, errors="replace") or "").strip()
        except InputError:
            return ""

    def keep(self, name: str) -> None:
        """Store the theme's name."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                write_private(self.path, f"{name}\n")


def write_private(path: Path, text: str) -> None:
    """Write a file of ours at once, readable by the user alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd, temp = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
    try:
        with open(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.replace(temp, path)
    except BaseException:
        os.unlink(temp)
        raise
