"""What is remembered from one start to the next: the files opened last, and the theme chosen last.

Each in a file of the user's own, one path or name a line, the newest first. A convenience: where it
cannot be read or written nothing is said, and what two editors add at the same time is only one's.
Written beside itself and renamed, 0600, as names alone may tell a lot.
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
    """Where they are kept: `$XDG_STATE_HOME/dgedit/recent`."""
    return our_folder("state") / "recent"


def theme_path() -> Path:
    """Where that is kept: `$XDG_STATE_HOME/dgedit/theme`."""
    return recent_path().with_name("theme")


class Recent:
    """The files opened last."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        """The file that keeps them; None for nowhere but here."""
        self._here: list[Path] = []

    def paths(self) -> list[Path]:
        """The files, newest first, whether they still exist or not."""
        if self.path is None:
            return self._here
        try:
            data = small.read(self.path, most=_LARGEST) or b""
        except InputError:
            return []
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        return [Path(line) for line in lines if os.path.isabs(line) and "\0" not in line][:_MOST]

    def add(self, paths: Iterable[Path]) -> None:
        """Put files first, the last of them before all others."""
        absolute = [Path(os.path.abspath(path)) for path in paths]
        newest = [path for path in reversed(absolute) if "\n" not in str(path)]
        if newest:
            self._here = list(dict.fromkeys([*newest, *self.paths()]))[:_MOST]
            if self.path is not None:
                with contextlib.suppress(OSError):
                    _write(self.path, "".join(f"{path}\n" for path in self._here))


@dataclass(frozen=True, slots=True)
class LastTheme:
    """The theme chosen last."""

    path: Path | None = None
    """The file that keeps it; None for nowhere."""
    named_by: str = ""
    """A settings file or a variable that names a theme, and so goes before it."""

    def read(self) -> str:
        """Its name; empty where there is none, or the settings name another."""
        if self.path is None or self.named_by:
            return ""
        try:
            return (small.text(self.path, most=_LARGEST, errors="replace") or "").strip()
        except InputError:
            return ""

    def keep(self, name: str) -> None:
        """Remember it."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                _write(self.path, f"{name}\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd, temp = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
    try:
        with open(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.replace(temp, path)
    except BaseException:
        os.unlink(temp)
        raise
