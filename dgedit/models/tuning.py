"""Collect what a model is tuned on, and what it is measured on, from a project's files.

With a history the tree as it was at a commit is trained on, and the lines that have been added
since are measured; of lines that were only moved or copied there are none. Without one, some files
are measured and the others trained on. Left out are what is ignored, large, generated, secret or
not in a language of the model.

Knows files and git; nothing of models.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from dgedit.errors import InputError
from dgedit.files import git, small
from dgedit.files.disk import in_units
from dgedit.files.project import files_of, project_of
from dgedit.text.held_out import generated, is_copy, known_lines, new_spans, share, shingles
from dgedit.text.languages import language_of

LEAST = 50_000
"""Bytes of text that are needed to train on, at least."""
SPANS = 120
"""Spans that are measured, at most: of nano each takes a CPU some seconds in all."""

_LEAST_SPANS = 24
_LARGEST = 200_000  # bytes of a file
_A_FILE = 8  # spans of a file, at most
_GROWN = 0.7  # the share of today's text that a commit must have, to be trained on
_COMMITS = 20_000
_HELD = 0.15  # of the files, without a history
_LOCKS = frozenset({"package-lock.json", "npm-shrinkwrap.json", "composer.lock", "poetry.lock"})
_SECRET = (".env", ".pem", ".key", ".p12", ".pfx", "id_rsa", "id_ed25519", ".netrc", ".pypirc")
_FOREIGN = frozenset({"vendor", "third_party", "node_modules", "_vendor", "dist", "build"})


@dataclass(frozen=True, slots=True)
class HeldSpan:
    """A span to be filled in a text that was not trained on."""

    path: str
    """The file's path."""
    text: str
    """Its whole text."""
    start: int
    """The span's first code point."""
    end: int
    """The first one behind it."""


@dataclass(frozen=True, slots=True)
class TuningTexts:
    """The texts of a project."""

    train: tuple[tuple[str, str], ...]
    """Path and text of each file that is trained on."""
    held: tuple[HeldSpan, ...]
    """The spans that are measured."""
    commit: str
    """The commit whose tree is trained on; empty without a history."""

    @property
    def nbytes(self) -> int:
        """The bytes of the text that is trained on."""
        return sum(len(text.encode("utf-8", "replace")) for _, text in self.train)

    @property
    def digest(self) -> str:
        """A hash of all of it: the same for the same texts."""
        said = [self.train, [(one.path, one.text, one.start, one.end) for one in self.held]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def collect(
    paths: Sequence[Path], *, since: str | None = None, suffixes: Iterable[str] | None = None
) -> TuningTexts:
    """Collect the texts below some paths, of files with these suffixes or of any known language.

    `since` names the commit to train on. Raises InputError, in one line, for too little text, a
    folder that is not there and a commit that is not known.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"no such file: {path}")
    known = None if suffixes is None else frozenset(suffixes)
    root = project_of(paths[0] / "x" if paths[0].is_dir() else paths[0])
    below = [os.path.relpath(os.path.realpath(path), os.path.realpath(root)) for path in paths]

    def wanted(path: str, size: int) -> bool:
        inside = any(one == "." or path == one or path.startswith(f"{one}/") for one in below)
        return inside and _is_fit(path, size, known)

    here = str(root)
    head = git.commit(here, "HEAD")
    found = _from_history(here, head, since, wanted) if head is not None else None
    if found is None and since is not None:
        raise InputError(f"{root} has no commit {since}")
    found = found or _from_files(paths, known)
    if found.nbytes < LEAST:
        has = in_units(found.nbytes)
        raise InputError(f"too little text to tune on: {has}; {in_units(LEAST)} is the least")
    if len(found.held) < _LEAST_SPANS:
        raise InputError(
            f"too little text to measure on: {len(found.held)} new spans; {_LEAST_SPANS} is the "
            "least (an older --since has more)"
        )
    return found


def _from_history(
    folder: str, head: str, since: str | None, wanted: Callable[[str, int], bool]
) -> TuningTexts | None:
    """Split by a commit: `since`, or the latest one after which enough was added. None where there
    is none.
    """
    texts: dict[str, str | None] = {}
    now = _at(folder, head, wanted, texts)
    size = sum(len(text) for _, text in now)
    if since is not None:
        commit = None if since.startswith("-") else git.commit(folder, since)
        return None if commit is None else _split(_at(folder, commit, wanted, texts), now, commit)
    commits = git.ancestors(folder, head, most=_COMMITS)
    best: TuningTexts | None = None
    back = 1
    while back < len(commits):
        then = _at(folder, commits[back], wanted, texts)
        if sum(len(text) for _, text in then) < _GROWN * size:
            break
        best = _split(then, now, commits[back])
        if len(best.held) >= SPANS:
            break
        back *= 2
    return best if best is not None and len(best.held) >= _LEAST_SPANS else None


def _split(
    then: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]], commit: str
) -> TuningTexts:
    known = known_lines(text for _, text in then)
    return TuningTexts(tuple(then), _spans(now, known), commit)


def _spans(texts: Iterable[tuple[str, str]], known: set[str]) -> tuple[HeldSpan, ...]:
    """Choose spans of new lines, at most so many of a file and in all; a hash decides which."""
    found: list[HeldSpan] = []
    for path, text in texts:
        own = [HeldSpan(path, text, *span) for span in new_spans(text, known)]
        own.sort(key=lambda one: share(f"{one.path} {one.start}"))
        found += own[:_A_FILE]
    found.sort(key=lambda one: share(f"{one.path} {one.start}"))
    return tuple(sorted(found[:SPANS], key=lambda one: (one.path, one.start)))


def _at(
    folder: str, commit: str, wanted: Callable[[str, int], bool], texts: dict[str, str | None]
) -> list[tuple[str, str]]:
    """Return path and text of each wanted file in a commit; `texts` remembers them by hash."""
    entries = [
        (path, digest) for path, digest, size in git.tree(folder, commit) if wanted(path, size)
    ]
    new = list(dict.fromkeys(digest for _, digest in entries if digest not in texts))
    for start in range(0, len(new), 500):
        some = new[start : start + 500]
        texts.update(zip(some, map(_text, git.blobs(folder, some)), strict=False))
    found = ((path, texts.get(digest)) for path, digest in entries)
    return [(path, text) for path, text in found if text is not None]


def _from_files(paths: Sequence[Path], known: frozenset[str] | None) -> TuningTexts:
    """Split by files: a hash of the path decides which are measured. Copies are left out."""
    names = [
        str(path / one) for path in paths for one in (files_of(path) if path.is_dir() else ("",))
    ]
    found: list[tuple[str, str]] = []
    for name in dict.fromkeys(names):
        try:
            if _is_fit(name, os.path.getsize(name), known):
                text = _text(small.read(Path(name), most=_LARGEST) or b"")
                found += [] if text is None else [(name, text)]
        except (OSError, InputError):  # unreadable, or gone
            continue
    held = [one for one in found if share(one[0]) < _HELD]
    train = [one for one in found if share(one[0]) >= _HELD]
    seen = {one for _, text in train for one in shingles(text)}
    held = [one for one in held if not is_copy(one[1], seen)]
    lines = known_lines(text for _, text in train)
    return TuningTexts(tuple(train), _spans(held, lines), "")


def _is_fit(path: str, size: int, known: frozenset[str] | None) -> bool:
    """Say whether a file may be trained on, by its path and size."""
    pure = PurePath(path)
    name = pure.name.lower()
    if not 0 < size <= _LARGEST or name in _LOCKS or ".min." in name:
        return False
    if name.endswith(_SECRET) or name.startswith(".env") or not _FOREIGN.isdisjoint(pure.parts):
        return False
    suffix = pure.suffix.lower()
    return suffix in known if known is not None else language_of(pure) is not None


def _text(data: bytes) -> str | None:
    """Return a file's text as a model reads it; None where it is none that people wrote."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text or generated(text) else text
