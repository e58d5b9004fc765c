"""List the files of a project: those below a folder that people edit.

Left out are version control, caches, installed packages, and what `.gitignore` files name (`!`,
`**` and nested files are understood, global ones are not read). Links to folders are listed but
never followed, so a loop of links ends. Folders are read breadth first, so that a limit cuts what
lies deepest: 50,000 files take 0.4 s from a warm cache, and the caller may stop at any.

Knows paths; nothing of tabs or screens.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import globs, small

_CACHES = ".mypy_cache .pytest_cache .ruff_cache __pycache__"
IGNORED = frozenset(f".git .hg .svn .venv .tox .nox node_modules .DS_Store {_CACHES}".split())
"""Names that are left out wherever they are."""

MOST = 50_000
"""The most files of one project that are listed."""

_LARGEST, _RULES = 1_000_000, 5_000
# Limits of a .gitignore, in bytes and lines: nobody writes more, and each is tried on every path.


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of a `.gitignore`."""

    pattern: re.Pattern[str]
    """Matches a path relative to the rule's folder, or a name."""
    paths: bool
    """True if the pattern is for paths, False for names."""
    folders: bool
    """True if it is for folders only."""
    ignores: bool
    """False if it re-includes what an earlier rule ignores (`!`)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The ignore rules that apply in one folder."""

    folder: str
    """The folder's path."""
    own: tuple[_Rule, ...] = ()
    """Its own rules; the last one that matches decides."""
    above: Rules | None = None
    """The rules of its parent folder, within the project."""

    @classmethod
    def of(cls, folder: str, above: Rules | None = None) -> Rules:
        """Read the rules of a folder, given those of its parent."""
        try:
            said = small.text(Path(folder, ".gitignore"), most=_LARGEST, errors="surrogateescape")
        except InputError:
            said = None
        rules = (rule for line in (said or "").split("\n") for rule in _rules(line))
        return cls(folder, tuple(islice(rules, _RULES)), above)

    @classmethod
    def within(cls, root: str, folder: str) -> Rules:
        """Read the rules of a folder below the project's root."""
        rules = cls.of(root)
        inner = os.path.relpath(folder, root)
        if inner != "." and not inner.startswith(".."):
            for name in inner.split(os.sep):
                rules = cls.of(os.path.join(rules.folder, name), rules)
        return rules

    def ignore(self, path: str, *, folder: bool) -> bool:
        """Say whether a path directly in this folder is ignored."""
        name = os.path.basename(path)
        if name in IGNORED:
            return True
        rules: Rules | None = self
        while rules is not None:
            inner = path[len(rules.folder.rstrip(os.sep)) + 1 :]
            for rule in reversed(rules.own):
                of = inner if rule.paths else name
                if (folder or not rule.folders) and rule.pattern.fullmatch(of):
                    return rule.ignores
            rules = rules.above
        return False


def files_of(root: Path, most: int = MOST) -> Iterator[str]:
    """Yield the files below a folder, relative to it, nearest first; unreadable folders are
    skipped.
    """
    top = os.path.abspath(root)
    waiting = deque([Rules.of(top)])
    while waiting and most > 0:
        rules = waiting.popleft()
        folders = []
        for entry in _entries(rules.folder):
            folder = entry.is_dir(follow_symlinks=False)
            if rules.ignore(entry.path, folder=folder):
                continue
            if folder:
                folders.append(entry.path)
            elif _is_file(entry):
                yield os.path.relpath(entry.path, top)
                most -= 1
                if most <= 0:
                    return
        waiting.extend(Rules.of(folder, rules) for folder in folders)


def project_of(path: Path) -> Path:
    """Return the nearest folder around a file that is under version control, or else the file's own
    folder.
    """
    own = Path(os.path.abspath(path)).parent
    return next((folder for folder in (own, *own.parents) if (folder / ".git").exists()), own)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a loop of links
        return False


def _rules(line: str) -> Iterator[_Rule]:
    line = line.removesuffix("\r")
    line = line.rstrip() if not line.endswith("\\ ") else line
    ignores = not line.startswith("!")
    line = line.removeprefix("!")
    folders, line = line.endswith("/"), line.rstrip("/")
    if line and not line.startswith("#"):
        pattern = globs.compiled(line.removeprefix("/"))
        if pattern is not None:
            yield _Rule(pattern, "/" in line, folders, ignores)
