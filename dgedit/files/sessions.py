"""Remember from one start to the next how a project was left: its tabs, cursors, folds, panes.

One file for each project, named by a digest of the project's path, in a folder of the user's own.
It holds paths and positions, and never a file's text. What cannot be read, or is of another version
or project, counts as nothing; read and write errors are ignored. Files are written beside and
renamed, with mode 0600, and only those of the projects left last are kept.

Knows paths and numbers; nothing of editors.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dgedit.errors import InputError
from dgedit.files import small
from dgedit.files.paths import our_folder
from dgedit.files.recent import write_private

_VERSION = 1
_PROJECTS = 100
_LARGEST = 500_000  # bytes
_TABS, _CURSORS, _FOLDS = 50, 500, 5_000
_MOST = 2**62  # no row, column or time is larger


@dataclass(frozen=True, slots=True)
class SessionTab:
    """An open file."""

    path: str
    """Its absolute path."""
    cursors: tuple[tuple[int, ...], ...] = ()
    """Row and column of each selection's start, and of its cursor; the editor's own first."""
    top: int = 0
    """The first row of the text on the screen."""
    left: int = 0
    """The first cell on the screen."""
    folds: tuple[tuple[int, ...], ...] = ()
    """The row above each fold, and the last row in it."""
    size: int = 0
    """The file's bytes then."""
    time: int = 0
    """When it was changed last, in nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Session:
    """How a project was left."""

    tabs: tuple[SessionTab, ...]
    """The open files, in the order of their tabs."""
    front: int = 0
    """Which of them had the keyboard."""
    beside: int = -1
    """Which was beside it; negative for none."""
    before: bool = False
    """Whether that was on the left."""


def sessions_folder() -> Path:
    """Return the folder that keeps the sessions: `$XDG_STATE_HOME/dgedit/sessions`."""
    return our_folder("state") / "sessions"


class SessionStore:
    """The sessions of all projects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Where they are kept."""

    def read(self, project: Path) -> Session | None:
        """Return how a project was left; None if that is not known."""
        try:
            said = small.text(self._file_of(project), most=_LARGEST)
            table = json.loads(said or "null")
        except (InputError, ValueError, RecursionError):
            return None
        known = isinstance(table, dict) and table.get("version") == _VERSION
        return _session(table) if known and table.get("project") == _named(project) else None

    def keep(self, project: Path, session: Session) -> None:
        """Store how a project is left; without a tab, nothing is stored, and what was is gone."""
        file = self._file_of(project)
        with contextlib.suppress(OSError):
            if not session.tabs:
                file.unlink(missing_ok=True)
                return
            bounded = tuple(
                replace(one, cursors=one.cursors[:_CURSORS], folds=one.folds[:_FOLDS])
                for one in session.tabs[:_TABS]
            )
            data = _written(project, replace(session, tabs=bounded))
            if len(data) > _LARGEST:
                bare = tuple(replace(one, cursors=one.cursors[:1], folds=()) for one in bounded)
                data = _written(project, replace(session, tabs=bare))
            if len(data) <= _LARGEST:
                write_private(file, data)
                self._prune()

    def _prune(self) -> None:
        kept = sorted(self.folder.glob("*.json"), key=lambda one: one.lstat().st_mtime_ns)
        for old in kept[:-_PROJECTS]:
            old.unlink(missing_ok=True)

    def _file_of(self, project: Path) -> Path:
        digest = sha256(os.fsencode(os.path.realpath(project))).hexdigest()
        return self.folder / f"{digest[:32]}.json"


def _named(project: Path) -> str:
    return os.path.realpath(project)


def _written(project: Path, session: Session) -> str:
    table = {"version": _VERSION, "project": _named(project), **asdict(session)}
    return json.dumps(table, separators=(",", ":")) + "\n"


def _session(table: dict[str, Any]) -> Session | None:
    """Make a session of what was read; None unless all of it is as it is written."""
    tabs = table.get("tabs")
    if not isinstance(tabs, list) or not 0 < len(tabs) <= _TABS:
        return None
    found = [tab for one in tabs if (tab := _tab(one))]
    front: Any = table.get("front")
    beside: Any = table.get("beside")
    before: Any = table.get("before")
    whole = len(found) == len(tabs) and _is_number(front) and isinstance(before, bool)
    if not whole or not (beside == -1 or _is_number(beside)) or max(front, beside) >= len(tabs):
        return None
    return Session(tuple(found), front, beside if beside != front else -1, before)


def _tab(table: Any) -> SessionTab | None:
    if not isinstance(table, dict) or table.keys() != SessionTab.__dataclass_fields__.keys():
        return None
    path, cursors, folds = table["path"], table["cursors"], table["folds"]
    named = isinstance(path, str) and os.path.isabs(path) and "\0" not in path
    numbers = all(_is_number(table[name]) for name in ("top", "left", "size", "time"))
    lists = _are_numbers(cursors, 4, _CURSORS) and _are_numbers(folds, 2, _FOLDS)
    if not (named and numbers and lists):
        return None
    return SessionTab(
        **{**table, "cursors": tuple(map(tuple, cursors)), "folds": tuple(map(tuple, folds))}
    )


def _are_numbers(value: Any, each: int, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(isinstance(one, list) and len(one) == each for one in value)
        and all(_is_number(number) for one in value for number in one)
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST
