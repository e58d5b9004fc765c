"""Watch for saved files that hold a marker, and yield each once it is quiet.

Folders are watched, not files: after an editor saves by renaming, a watched file would no longer be
watched. Editors' temporary files, files ignored by git and files we wrote are skipped. While git is
in the middle of an operation such as a rebase, files wait: a filled marker would end up in a commit
that is being replayed.

Knows paths, markers and git's folders; nothing of models.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgedit import signals
from dgedit.errors import InputError
from dgedit.files import disk, git, small
from dgedit.files.document import LARGEST
from dgedit.files.project import IGNORED, Rules, files_of, project_of

# Milliseconds: how long changes are gathered, and how often files are checked for being quiet.
_STEP, _TICK = 50, 100
# Names of files that editors, and we, keep beside a file while writing it.
_BESIDE = re.compile(
    r".*~|\..*\.sw.|#.*#|\.#.*|.*\.(bak|bck|tmp|orig)|4913|\..*dgedit-.*", re.DOTALL
)
_UNFINISHED = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "sequencer": "a cherry-pick",
    "BISECT_LOG": "a bisect",
}

_PLACE = 8192  # bytes of a file that says where git's folder is

Stamp = tuple[int, int, int]
"""A file's inode, size and time of change, which differ after it was written."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder to watch, or a file."""

    path: Path
    """The path as the user named it."""
    real: str
    """The path with all links resolved."""
    is_folder: bool
    """True for a folder, False for a file."""

    @classmethod
    def of(cls, path: Path) -> Root:
        """Make a root of a path. Raises InputError if nothing is there."""
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise InputError(f"no such file or folder: {path}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {disk.reason(error)}") from None
        return cls(path, os.path.realpath(path), stat.S_ISDIR(mode))

    @property
    def folder(self) -> str:
        """The folder that is watched."""
        return self.real if self.is_folder else os.path.dirname(self.real)

    def holds(self, path: str) -> bool:
        """Say whether a path, with links resolved, is the root or below it."""
        return path == self.real or (
            self.is_folder and path.startswith(os.path.join(self.real, ""))
        )

    def named(self, path: str) -> Path:
        """Return a path below the root in the form in which the user named the root."""
        return self.path if path == self.real else self.path / os.path.relpath(path, self.real)


class Watching:
    """The watched files of some roots. `say` is called with messages for the user."""

    def __init__(
        self, roots: Sequence[Root], *, marker: str, quiet: float, say: Callable[[str], None]
    ) -> None:
        self._roots = roots
        self._begins = _encoded(marker.removesuffix(">"))
        self._quiet = quiet
        self._say = say
        self._pending: dict[str, tuple[Stamp | None, float]] = {}
        self._waiting: dict[str, str] = {}  # path to the git operation it waits for
        self._written: dict[str, disk.Fingerprint | None] = {}

    def present(self) -> Iterator[Path]:
        """Yield the files that have a marker now."""
        for root in self._roots:
            found = files_of(Path(root.real)) if root.is_folder else [root.real]
            for name in found:
                path = os.path.join(root.real, name)
                if _stamp(path) and self._is_wanted(path, root):
                    yield root.named(path)

    def saved(self) -> Iterator[Path]:
        """Yield files that are saved from now on, when they are quiet and have a marker.
        Endless.
        """
        began = False
        while True:
            self._wait_for_folders()
            if began:  # files may have changed while the folder was missing
                self._note_all()
            for changes in self._changes():
                if not began:
                    began = True
                    self._say(f"watching {', '.join(str(root.path) for root in self._roots)}")
                for path, is_new in changes:
                    self._note(path, is_new=is_new)
                yield from self._ready()

    def wrote(self, path: Path, fingerprint: disk.Fingerprint | None) -> None:
        """Record that we wrote the file in this state, so that it does not count as saved."""
        self._written[os.path.realpath(path)] = fingerprint

    def again(self, path: Path) -> None:
        """Yield the file once more when it is quiet."""
        self._note(os.path.realpath(path))

    def _changes(self) -> Iterator[list[tuple[str, bool]]]:
        """Yield changed paths, each with whether it is new; an empty list now and then. Ends when a
        watched folder is removed or replaced.
        """
        from watchfiles import Change, watch

        folders = sorted({root.folder for root in self._roots})
        before = [_identity(folder) for folder in folders]
        changes = watch(
            *folders,
            watch_filter=None,
            debounce=_TICK,
            step=_STEP,
            rust_timeout=_TICK,
            yield_on_timeout=True,
            recursive=any(root.is_folder for root in self._roots),
            ignore_permission_denied=True,
        )
        try:
            for found in changes:
                yield [(path, change == Change.added) for change, path in found]
                if [_identity(folder) for folder in folders] != before:
                    return
        except KeyboardInterrupt:  # watchfiles raises it for any signal
            signals.look()
            raise
        except FileNotFoundError:
            return
        except OSError as error:
            advice = "WATCHFILES_FORCE_POLLING=1 looks without being told"
            raise InputError(f"cannot watch {', '.join(folders)}: {error} ({advice})") from None

    def _wait_for_folders(self) -> None:
        gone = False
        while missing := [one.path for one in self._roots if not os.path.isdir(one.folder)]:
            if not gone:
                self._say(f"waiting until {missing[0]} is there again")
            gone = True
            time.sleep(_TICK / 1000)

    def _note_all(self) -> None:
        for root in self._roots:
            self._note(root.real, is_new=True)

    def _note(self, path: str, *, is_new: bool = False) -> None:
        """Record that something happened to a path."""
        root = self._root_of(path)
        if root is None or _is_left_out(path, root):
            return
        if not os.path.isdir(path):
            self._pending[path] = _stamp(path), time.monotonic()
        elif is_new and not os.path.islink(path):  # it may have been filled before it was watched
            for name in files_of(Path(path)):
                inner = os.path.join(path, name)
                self._pending[inner] = _stamp(inner), time.monotonic()

    def _ready(self) -> Iterator[Path]:
        """Yield the files that are quiet and do not wait for git."""
        examples = {what: path for path, what in self._waiting.items()}
        over = {what for what, path in examples.items() if not operation_around(Path(path))}
        for path in [path for path, what in self._waiting.items() if what in over]:
            del self._waiting[path]
            self._note(path)
        for path, (before, since) in list(self._pending.items()):
            now, root = _stamp(path), self._root_of(path)
            if now is None or root is None:
                del self._pending[path]
            elif now != before:
                self._pending[path] = now, time.monotonic()
            elif time.monotonic() - since >= self._quiet:
                del self._pending[path]
                if self._is_wanted(path, root) and not self._waits(path):
                    yield root.named(path)

    def _waits(self, path: str) -> bool:
        """Say whether the file waits for a git operation; the user is told once."""
        what = operation_around(Path(path))
        if what:
            if what not in self._waiting.values():
                self._say(f"waiting until {what} is over")
            self._waiting[path] = what
        return what is not None

    def _root_of(self, path: str) -> Root | None:
        return next((root for root in self._roots if root.holds(path)), None)

    def _is_wanted(self, path: str, root: Root) -> bool:
        """Say whether a file of ours has a marker that we did not write ourselves."""
        if path in self._written and not disk.has_changed(Path(path), self._written[path]):
            return False
        if not self._has_marker(path):
            return False
        by_name = path == root.real
        return by_name or not (_is_left_out(path, root) or _is_ignored(path, root))

    def _has_marker(self, path: str) -> bool:
        """Say whether the file seems to hold a marker; yes for an unreadable file, as reading it
        later says why.
        """
        try:
            with disk.opened(Path(path)) as fd:
                data = b"".join(disk.chunks(fd, 0, LARGEST))
        except FileNotFoundError:
            return False
        except (OSError, InputError):
            return True
        return any(begins in data for begins in self._begins)


def operation_around(path: Path) -> str | None:
    """Describe the unfinished git operation of a file's repository; None if there is none."""
    project = project_of(path)
    folder = _git_folder(project)
    words = (
        what for name, what in _UNFINISHED.items() if os.path.lexists(os.path.join(folder, name))
    )
    what = next(words, None) if folder else None
    return f"{what} in {project}" if what else None


def _git_folder(project: Path) -> str:
    """Return the git folder of a work tree; empty if there is none."""
    place = project / ".git"
    try:
        if place.is_dir():
            return str(place)
        said = small.text(place, most=_PLACE, errors="surrogateescape") or ""
    except InputError:
        return ""
    kind, _, where = said.partition(": ")
    return str(project / where.strip()) if kind == "gitdir" else ""


def _encoded(text: str) -> list[bytes]:
    """Return the text in each encoding that a file may have."""
    wide = [text.encode(code, "surrogatepass") for code in ("utf-16-le", "utf-16-be")]
    return [text.encode("utf-8", "surrogateescape"), *wide]


def _stamp(path: str) -> Stamp | None:
    """Return a file's stamp; None for a link (its target is watched itself), or a special file."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    regular = stat.S_ISREG(info.st_mode)
    return (info.st_ino, info.st_size, info.st_mtime_ns) if regular else None


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        info = os.stat(folder)
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _is_left_out(path: str, root: Root) -> bool:
    """Say whether a path is skipped for its name, or because it is behind a link to a folder."""
    inner = os.path.relpath(path, root.real).split(os.sep)
    if path == root.real:
        return False
    folder = os.path.dirname(path)
    return (
        not IGNORED.isdisjoint(inner)
        or _BESIDE.fullmatch(inner[-1]) is not None
        or os.path.realpath(folder) != folder
    )


def _is_ignored(path: str, root: Root) -> bool:
    """Say whether git ignores a path, by `.gitignore` files or any other way. Nothing counts as
    ignored by git's other ways if the root itself is ignored: the user named it on purpose.
    """
    rules = Rules.within(str(project_of(Path(root.real) / "any")), root.real)
    *folders, name = os.path.relpath(path, root.real).split(os.sep)
    for inner in folders:
        place = os.path.join(rules.folder, inner)
        if rules.ignore(place, folder=True):
            return True
        rules = Rules.of(place, rules)
    if rules.ignore(os.path.join(rules.folder, name), folder=False):
        return True
    return git.ignores(path) and not git.ignores(root.real)
