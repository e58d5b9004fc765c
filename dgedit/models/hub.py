"""Fetch a model's files from a hub: Hugging Face's, or the one that HF_ENDPOINT names.

Requests are made by `asking`. Files come by HTTP ranges, so that a stopped download can go on:
huggingface_hub drops a partial file, and one here may be 50 GB. Each file grows under a temporary
name until it is whole and, if the hub gives a sha256, verified; the folder gets its own name when
all of its files are whole. Knows neither what a model is nor a terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dgedit.errors import DgeditError, EngineError, InputError, UsageError
from dgedit.files import small
from dgedit.files.disk import in_units
from dgedit.models import asking
from dgedit.models.store import check_room, discard, partial

ORIGIN = ".origin.json"
"""The file in a model's folder that says where its files are from."""

_CONFIG = "config.json"
_READ = (
    *(_CONFIG, "generation_config.json", "hf_quant_config.json", "decoding.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.json"),
)
"""The files read beside the weights; the first of them tells whether it is a model."""
_INDEX, _WEIGHTS, _SINGLE = "model.safetensors.index.json", ".safetensors", ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

_CHUNK = 1 << 18  # bytes at a time: a stop may lose this many
_FILES = 1024  # the most of one model; the largest published ones have a few hundred
_NAMED = 20  # the most files that an error names
_TRIES = 5  # attempts in a row that bring no byte
_PAUSE = 1.0  # seconds between attempts
_LATER = (408, 429, 500, 502, 503, 504)
"""HTTP status codes that mean: try again later."""


Choose = Callable[[str, str, Mapping[str, Mapping[str, int]]], str | None]
"""Chooses one of a repository's GGUF models: takes its name, its commit and, by their first files'
names, the models' files with their bytes.
"""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository."""

    name: str
    """Its local name."""
    url: str
    """Its address, which names a commit, so that its content cannot change."""
    size: int
    """Its size in bytes."""
    etag: str
    """A tag of its content; the sha256 of a large file."""


@dataclass(frozen=True, slots=True)
class Download:
    """The files of a model that are to be fetched."""

    repo: str
    """The repository, OWNER/NAME."""
    commit: str
    """The commit of the repository."""
    files: tuple[RemoteFile, ...]
    """The files, small ones first."""

    @property
    def name(self) -> str:
        """The model's default name."""
        last = _whole(self.files[-1].name)
        single = last.removesuffix(_SINGLE)
        return single if single != last else self.repo.rpartition("/")[2]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files)

    def is_at(self, folder: Path) -> bool:
        """Say whether a folder holds these files."""
        kept = origin(folder)["files"]
        return bool(kept == {file.name: file.etag for file in self.files})


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a download."""

    done: int
    """The bytes that are on disk."""
    total: int
    """The bytes of the whole download."""


def plan(
    repo: str,
    *,
    revision: str | None = None,
    file: str | None = None,
    choose: Choose | None = None,
) -> Download:
    """Choose the files to fetch from a repository: safetensors, or one GGUF model.

    `file` names the GGUF file if there are several, or `choose` returns its name, and None where it
    cannot. Raises UsageError and EngineError, naming what is wrong.
    """
    with asking.words(repo, revision):
        commit, sizes = asking.listed(repo, revision)
        if file is None and choose is not None and len(several := _models(sizes)) > 1:
            file = choose(repo, commit, several)
        names = _chosen(repo, sizes, file)
        if len(names) > _FILES:
            raise EngineError(
                f"{repo} has a model of {len(names):,} files; {_FILES:,} are the most"
            )
        return Download(repo, commit, tuple(_remote(repo, commit, name) for name in names))


def pull(
    plan: Download, target: Path, *, check: Callable[[Path], object] | None = None
) -> Iterator[Progress]:
    """Fetch a download to the folder `target`, which must not exist, and yield the progress.

    Closing the iterator stops it; the next pull resumes from the partial files. `check` is called
    with the folder once its config.json is there; if it raises, nothing is kept.

    Raises EngineError for what the hub refuses, InputError for a full disk.
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
    """Return where a folder's files are from: `repo`, `commit`, and `files`, the complete ones, by
    name with their etags. All empty for a folder that was not pulled.
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


def _models(sizes: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return the GGUF models of a repository without safetensors: each by its first file's name,
    with its files' bytes.
    """
    found: dict[str, dict[str, int]] = {}
    if any(name.endswith(_WEIGHTS) and "/" not in name for name in sizes):
        return found
    for name in sorted(name for name in sizes if name.endswith(_SINGLE)):
        found.setdefault(_whole(name), {})[name] = sizes[name]
    return {next(iter(files)): files for files in found.values()}


def _chosen(repo: str, sizes: dict[str, int], file: str | None) -> list[str]:
    """Return the names of the files to fetch, weights last."""
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
    """Join names for one line, but not all of very many."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def _whole(name: str) -> str:
    """Return the name that a part of a split GGUF file would have without the split."""
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
    """Fetch the missing bytes of a file, and rename it when it is complete; yield the bytes on disk
    so far.
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
                    if out.tell() == 0:  # at the start, or after the hub started over
                        digest = hashlib.sha256()
                    out.write(chunk)
                    digest.update(chunk)
                    if out.tell() > file.size:  # the hub may never stop sending
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
    """Yield the bytes of a file from the end of `out` on; if the hub sends all, empty
    `out` first.
    """
    # Redirects go to signed addresses on other hosts; the client removes the token for them.
    with asking.asked(file.url, start=out.tell()) as response:
        if response.status_code != 206 and out.tell():
            out.seek(0)
            out.truncate()
        yield from response.iter_raw(_CHUNK)  # undecoded: nothing is unpacked to a larger size


def _growing(file: RemoteFile) -> str:
    """Return the name of an incomplete file, which depends on its content's tag."""
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
    """Record which files are complete."""
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
    """Create the folder, and lock it against a second pull."""
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
