"""A model's files, fetched from a hub: Hugging Face's, or the one that HF_ENDPOINT names.

How one is asked, `asking` knows. Bytes come by plain ranges: huggingface_hub drops a file that was
stopped on its way, and one here may be 50 GB. Each grows beside its name until it is whole and,
where the hub gives a sha256, until that is right; the folder takes its own name when all of its
files have theirs. Knows neither what a model is nor a terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dgedit.errors import DgeditError, EngineError, InputError, UsageError
from dgedit.files import small
from dgedit.files.disk import in_units
from dgedit.models import asking
from dgedit.models.store import check_room, discard, partial

ORIGIN = ".origin.json"
"""The file beside a model's own that says where they are from."""

_CONFIG = "config.json"
_READ = (
    *(_CONFIG, "generation_config.json", "hf_quant_config.json", "decoding.json"),
    *("tokenizer_config.json", "tokenizer.json"),
)
"""What is read of a model beside its weights, the file first that tells whether it is one."""
_INDEX, _WEIGHTS, _SINGLE = "model.safetensors.index.json", ".safetensors", ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

_CHUNK = 1 << 18  # bytes at a time: what a stop may lose
_FILES = 1024  # of one model; the largest that are published have a few hundred
_NAMED = 20  # files that an error names
_TRIES = 5  # in a row that bring no byte
_PAUSE = 1.0  # seconds between them
_LATER = (408, 429, 500, 502, 503, 504)
"""Answers that mean: not now."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository."""

    name: str
    """What it is called here."""
    url: str
    """Where it is, of a commit that stays what it is."""
    size: int
    """Its bytes."""
    etag: str
    """What tells its content from another: its sha256, where it is large."""


@dataclass(frozen=True, slots=True)
class Download:
    """What is to be fetched."""

    repo: str
    """The repository, OWNER/NAME."""
    commit: str
    """Which state of it."""
    files: tuple[RemoteFile, ...]
    """The small ones first."""

    @property
    def name(self) -> str:
        """What the model is called, if nobody says otherwise."""
        last = _whole(self.files[-1].name)
        single = last.removesuffix(_SINGLE)
        return single if single != last else self.repo.rpartition("/")[2]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def is_at(self, folder: Path) -> bool:
        """Whether a folder holds these files."""
        kept = origin(folder)["files"]
        return bool(kept == {file.name: file.etag for file in self.files})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    done: int
    """Bytes that are there."""
    total: int
    """Bytes that will be."""


def plan(repo: str, *, revision: str | None = None, file: str | None = None) -> Download:
    """What to fetch of a repository: what is read of safetensors, or one GGUF file, by `file` where
    there are several. Raises UsageError and EngineError, naming what is wrong.
    """
    with asking.words(repo, revision):
        commit, sizes = asking.listed(repo, revision)
        names = _chosen(repo, sizes, file)
        if len(names) > _FILES:
            raise EngineError(
                f"{repo} has a model of {len(names):,} files; {_FILES:,} are the most"
            )
        return Download(repo, commit, tuple(_remote(repo, commit, name) for name in names))


def pull(
    plan: Download, target: Path, *, check: Callable[[Path], object] | None = None
) -> Iterator[Progress]:
    """Fetch to `target`, which must not be there. Closing the iterator stops it; what has come is
    kept, and the next pull goes on from it. `check` is given the folder when its config.json is
    there, and may raise: nothing is kept then.

    Raises EngineError for what the hub refuses, InputError for a disk that is full.
    """
    part = partial(target)
    with _writing(part), _alone(part):
        there = origin(part)["files"]
        kept = {file for file in plan.files if _is_whole(file, part, there)}
        begun = sum(_length(part / _growing(file)) for file in plan.files)
        done = sum(file.size for file in kept)
        check_room(part, plan.size - done - begun)
        yield Progress(done, plan.size)
        for file in plan.files:
            if file not in kept:
                with asking.words(plan.repo, None):
                    for length in _received(file, part):
                        yield Progress(done + length, plan.size)
                done += file.size
                kept.add(file)
                _note(plan, kept, part)
            if file.name == _CONFIG and check is not None:
                _checked(part, check, plan.repo)
        for path in part.iterdir():
            if path.name not in {ORIGIN, *(file.name for file in plan.files)}:
                path.unlink()
        part.rename(target)


def origin(folder: Path) -> dict[str, Any]:
    """Where a folder's files are from: `repo`, `commit`, and `files`, the whole ones by name with
    their etags. Empty words for a folder that was not pulled.
    """
    nothing = {"repo": "", "commit": "", "files": {}}
    try:
        raw = json.loads(small.text(folder / ORIGIN) or "null")
    except (InputError, ValueError, RecursionError):
        return nothing
    fits = isinstance(raw, dict) and all(
        isinstance(raw.get(key), type(value)) for key, value in nothing.items()
    )
    return raw if fits else nothing


def _chosen(repo: str, sizes: dict[str, int], file: str | None) -> list[str]:
    """The names of the files that are fetched, weights last."""
    small = [name for name in _READ if name in sizes]
    weights = sorted(name for name in sizes if name.endswith(_WEIGHTS) and "/" not in name)
    singles = sorted(name for name in sizes if name.endswith(_SINGLE))
    if file is not None:
        if file not in singles:
            known = _some(singles) or "none"
            raise EngineError(f"{repo} has no GGUF file {file}; it has: {known}")
        return [*small, *(one for one in singles if _whole(one) == _whole(file))]
    if weights:
        return [*small, *([_INDEX] if _INDEX in sizes else []), *weights]
    if not singles:
        raise EngineError(f"{repo} holds no model: neither safetensors nor GGUF files are in it")
    if len(set(map(_whole, singles))) > 1:
        known = _some([f"{name} ({in_units(sizes[name])})" for name in singles])
        raise UsageError(f"{repo} has {len(singles)} GGUF files, choose one by --file: {known}")
    return [*small, *singles]


def _some(names: list[str]) -> str:
    """Names for a line: not all of a million."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def _whole(name: str) -> str:
    """What a GGUF file's name would be if its model were not split."""
    return _PART.sub(_SINGLE, name)


def _remote(repo: str, commit: str, name: str) -> RemoteFile:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, revision=commit, endpoint=asking.endpoint())
    found = get_hf_file_metadata(url, endpoint=asking.endpoint())
    size = asking.sound(found.size)
    if size is None or found.etag is None:
        raise EngineError(f"{asking.endpoint()} says neither size nor etag of {repo}'s {name}")
    own = PurePosixPath(name).name
    if own.startswith(".") or "\\" in own or not own.isprintable():
        raise EngineError(f"{repo} has a file of an impossible name: {name!r:.200}")
    return RemoteFile(own, url, size, found.etag)


def _received(file: RemoteFile, part: Path) -> Iterator[int]:
    """Fetch what is missing of a file; yields the bytes that are there. It has its own name at the
    end.
    """
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    path = part / _growing(file)
    digest = hashlib.sha256()
    with path.open("a+b") as out:
        out.seek(0)
        while chunk := out.read(_CHUNK):
            digest.update(chunk)
        failures = 0
        while (start := out.tell()) < file.size:
            trouble: Exception | None = None
            try:
                for chunk in _chunks(file, out):
                    if out.tell() == 0:  # at the start, or because the hub began anew
                        digest = hashlib.sha256()
                    out.write(chunk)
                    digest.update(chunk)
                    if out.tell() > file.size:  # it need not end
                        break
                    yield out.tell()
            except HTTPError as error:
                if getattr(getattr(error, "response", None), "status_code", 503) not in _LATER:
                    raise
                trouble = error
            failures = 0 if out.tell() > start else failures + 1
            if failures > _TRIES:
                raise trouble or EngineError(f"{file.name}: the hub sends nothing of it")
            if trouble is not None:
                time.sleep(_PAUSE)
        out.flush()
        os.fsync(out.fileno())
    named = re.fullmatch(r"[0-9a-f]{64}", file.etag) is not None
    if (named and digest.hexdigest() != file.etag) or _length(path) != file.size:
        path.unlink()
        raise EngineError(f"{file.name} did not come as the hub has it; pull it again")
    path.replace(part / file.name)


def _chunks(file: RemoteFile, out: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file from where `out` ends, or all of them, and `out` is empty then."""
    # Redirects go to other hosts, signed; the client takes the token off there.
    with asking.asked(file.url, start=out.tell()) as response:
        if response.status_code != 206 and out.tell():
            out.seek(0)
            out.truncate()
        yield from response.iter_raw(_CHUNK)  # as sent: nothing unfolds to more than it was


def _growing(file: RemoteFile) -> str:
    """The name of a file that is not whole: another content has another."""
    key = hashlib.sha256(file.etag.encode()).hexdigest()[:16]
    return f"{file.name}.{key}.incomplete"


def _is_whole(file: RemoteFile, part: Path, there: dict[str, Any]) -> bool:
    return there.get(file.name) == file.etag and _length(part / file.name) == file.size


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _note(plan: Download, whole: set[RemoteFile], part: Path) -> None:
    """Write down which files are whole."""
    files = {file.name: file.etag for file in plan.files if file in whole}
    new = part / f"{ORIGIN}.new"
    words = json.dumps({"repo": plan.repo, "commit": plan.commit, "files": files}, indent=1)
    new.write_text(words + "\n", encoding="utf-8")
    new.replace(part / ORIGIN)


def _checked(part: Path, check: Callable[[Path], object], repo: str) -> None:
    try:
        check(part)
    except DgeditError as error:
        discard(part)
        raise EngineError(str(error).replace(str(part), repo)) from None


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Makes the folder, and keeps a second pull out of it."""
    part.mkdir(parents=True, exist_ok=True)
    fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise EngineError(f"another pull writes to {part}") from None
    except OSError:  # some file systems have no locks
        pass
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
