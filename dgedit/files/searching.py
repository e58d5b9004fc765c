"""Looking for something in all files of a project.

Files come in the order of the walk, which leaves out what `.gitignore` names; of one that is open,
the text is searched that is being edited, and not what the disk holds. What is no text, or too
large to edit, is counted. A file is decoded only where its bytes may hold a plain text, which for
most is one `find`: 10,000 files of 340 MB take 0.6 to 1.3 s of a slow core, an expression 2 s.

Work is a generator, and closing it is the cancel. Knows files; what is found in a text is said by
whoever asks.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from dgedit.errors import InputError
from dgedit.files import disk, globs
from dgedit.files.document import LARGEST, Document, UnfitError, bom_of
from dgedit.files.project import MOST, files_of

Hit = TypeVar("Hit")

MOST_HITS = 10_000
"""Places of one search: nobody reads on, they ask for something else."""

LETTERS = tuple(letter.encode() for letter in "\u0130\u0131\u017f\u212a")
"""Letters that are not ASCII, and the same as one that is where capitals do not matter."""

# Files that a thread looks at in one go: 20 ms, and what is found is there to see.
_CHUNK = 100
_HEAD = 8192


@dataclass(frozen=True, slots=True)
class Scope:
    """Which files of a project are meant."""

    only: tuple[re.Pattern[str], ...] = ()
    """Paths that are; all, where there is none."""
    without: tuple[re.Pattern[str], ...] = ()
    """Paths that are not."""

    @classmethod
    def of(cls, words: str) -> Scope:
        """Return the scope that globs name, with commas or blanks between them: `*.py src/ !tests`.
        Each is of a file or a folder, by its name, or by its path where it has a slash. Raises
        ValueError for one that makes no sense.
        """
        only, without = list[re.Pattern[str]](), list[re.Pattern[str]]()
        for word in re.split(r"[,\s]+", words):
            glob = word.removeprefix("!").rstrip("/")
            if not glob:
                continue
            inner = glob.removeprefix("/") if "/" in word.rstrip("/") else f"**/{glob}"
            inside = globs.compiled(f"{inner}/**")
            same = globs.compiled(inner)
            if same is None or inside is None:
                raise ValueError(f"{glob} makes no sense as a glob")
            patterns = [inside] if word.endswith("/") else [same, inside]
            (without if word.startswith("!") else only).extend(patterns)
        return cls(tuple(only), tuple(without))

    def holds(self, name: str) -> bool:
        """Return whether a file is meant, by its path in the project."""
        if any(pattern.fullmatch(name) for pattern in self.without):
            return False
        return not self.only or any(pattern.fullmatch(name) for pattern in self.only)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Hit]):
    """What is looked for."""

    find: Callable[[str], Iterable[Hit]]
    """Finds it in a text whose lines end in one newline. Raises ValueError where it gives up."""
    needle: bytes = b""
    """What each UTF-8 text has in it that it is found in; empty where bytes do not tell."""
    fold: bool = False
    """Whether capitals do not matter to that, which is in small letters then."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is being edited."""

    path: Path
    """Where it is, or will be."""
    lines: Sequence[str]
    """Its text as it is now, without line ends."""


@dataclass(frozen=True, slots=True)
class FileHits(Generic[Hit]):
    """What was found in one file."""

    name: str
    """Its path in the project."""
    hits: tuple[Hit, ...]
    """The places, in order."""


@dataclass(slots=True)
class Counts:
    """What was looked at."""

    files: int = 0
    """Files that were searched."""
    binary: int = 0
    """Files that are no text."""
    large: int = 0
    """Files that are too large to edit."""
    unread: int = 0
    """Files that could not be read."""

    def add(self, other: Counts) -> None:
        """Count what another has counted."""
        self.files += other.files
        self.binary += other.binary
        self.large += other.large
        self.unread += other.unread


@dataclass(frozen=True, slots=True)
class SearchBatch(Generic[Hit]):
    """What a few files more came to."""

    found: list[FileHits[Hit]] = field(default_factory=list)
    """Those in which something was found."""
    counts: Counts = field(default_factory=Counts)
    """What was looked at for it."""
    cut: str = ""
    """Why there may be more than all that was found, if there may."""


def search_project(
    folder: Path,
    wanted: Wanted[Hit],
    scope: Scope,
    held: Iterable[OpenFile] = (),
    *,
    most: int = MOST_HITS,
) -> Generator[SearchBatch[Hit], None, None]:
    """Search the files below a folder. Raises ValueError as `wanted` does, with the file's name."""
    look = _Look(folder, wanted, most, held)
    names = (name for name in look.names() if scope.holds(name))
    workers = min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers, "search")
    waiting: deque[Future[SearchBatch[Hit]]] = deque()
    count = 0
    try:
        while True:
            while len(waiting) <= 2 * workers and (chunk := list(islice(names, _CHUNK))):
                waiting.append(pool.submit(look.look, chunk))
            if not waiting:
                break
            batch = waiting.popleft().result()
            found, cut = list[FileHits[Hit]](), ""
            for one in batch.found:
                if count + len(one.hits) > most:
                    one = FileHits(one.name, one.hits[: most - count])
                    cut = f"stopped at {most:,} places"
                count += len(one.hits)
                found += [one] if one.hits else []
            yield SearchBatch(found, batch.counts, cut)
            if cut:
                return
        if look.walked == MOST:
            yield SearchBatch(cut=f"stopped at {MOST:,} files")
    finally:
        look.over = True
        pool.shutdown(wait=False, cancel_futures=True)


class _Look(Generic[Hit]):
    """Looks at files; several threads may."""

    def __init__(
        self, folder: Path, wanted: Wanted[Hit], most: int, held: Iterable[OpenFile]
    ) -> None:
        self.folder, self.wanted, self.most = folder, wanted, most
        self.over = False
        """Whether nobody waits for it any more."""
        self.walked = 0
        """The files that the walk has come to."""
        self._top = os.path.abspath(folder)
        self._held: dict[tuple[int, int], OpenFile] = {}
        self._new: dict[str, OpenFile] = {}
        """Those that the disk does not hold yet, by name."""
        for one in held:
            try:
                info = os.stat(one.path)
                self._held[info.st_dev, info.st_ino] = one
            except (OSError, ValueError):
                self._new[name_of(one.path, folder)] = one

    def names(self) -> Iterator[str]:
        """Return the names of all files: first those being edited, which the walk may leave out."""
        inside = (name_of(one.path, self.folder) for one in self._held.values())
        first = [name for name in (*inside, *self._new) if not os.path.isabs(name)]
        yield from first
        known = set(first)
        for name in files_of(self.folder, MOST):
            self.walked += 1
            if name not in known:
                yield name

    def look(self, names: list[str]) -> SearchBatch[Hit]:
        """Search these files."""
        batch: SearchBatch[Hit] = SearchBatch()
        for name in names:
            if self.over:
                break
            try:
                text = self._text(name, batch.counts)
            except (OSError, ValueError, InputError):
                batch.counts.unread += 1
                continue
            if text is None:
                continue
            batch.counts.files += 1
            try:
                found = tuple(islice(self.wanted.find(text), self.most + 1)) if text else ()
            except ValueError as error:
                raise ValueError(f"{error}: {name}") from None
            if found:
                batch.found.append(FileHits(name, found))
        return batch

    def _text(self, name: str, counts: Counts) -> str | None:
        """Return a file's text, lines ending in one newline; empty where it cannot hold what is
        looked for, None where it is not to be searched.
        """
        if held := self._new.get(name):
            return "\n".join(held.lines)
        path = Path(self._top, name)
        with disk.opened(path) as fd:
            info = os.fstat(fd)
            if held := self._held.get((info.st_dev, info.st_ino)):
                own = name_of(held.path, self.folder)
                other = name != own and not os.path.isabs(own)  # found by that name as well
                return None if other else "\n".join(held.lines)
            if info.st_size >= LARGEST:
                counts.large += 1
                return None
            data = os.read(fd, _HEAD)
            bom, _ = bom_of(data)
            if not bom and b"\0" in data:
                counts.binary += 1
                return None
            if len(data) == _HEAD:
                data = b"".join((data, *disk.chunks(fd, _HEAD)))
        if not bom and not may_hold(data, self.wanted.needle, self.wanted.fold):
            return ""
        try:
            text = Document.from_bytes(data).text
        except UnfitError:
            counts.binary += 1
            return None
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def may_hold(data: bytes, needle: bytes, fold: bool) -> bool:
    """Return whether a text in UTF-8 may hold what has these bytes in it, see `Wanted`."""
    if needle in data or (fold and needle in data.lower()):
        return True
    return fold and not data.isascii() and any(letter in data for letter in LETTERS)


def name_of(path: Path, folder: Path) -> str:
    """Return a file's name in a project; its path where it is outside."""
    top, whole = os.path.abspath(folder), os.path.abspath(path)
    return os.path.relpath(whole, top) if whole.startswith(top.rstrip("/") + "/") else whole
