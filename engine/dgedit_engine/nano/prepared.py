"""Prepare nano: a folder in the user's cache, made once from the base and what we add to it.

The folder's name holds the hashes of all that it was made of, so another base, another adapter or
another form is another folder, and one that is there is trusted: only file sizes are checked again.
It appears under its name once it is whole, whoever else makes the same; a folder that nobody has
used for a week is removed. Knows neither the engine nor a terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dgedit_engine.files import small
from dgedit_engine.nano import parts
from dgedit_engine.types import ModelError

FORM = 3
"""Version of the folder's form; another number makes it anew."""

_OURS = Path(__file__).parent
_ADDED = ("*.json", "*.safetensors", "*.bin")  # what the package adds to the base
_SHORTLIST = "shortlist.bin"
_ENCODE, _DENOISE = "encode", "denoise"  # the folders of the readings' adapters, where they are
_PREPARED = 900_000_000  # bytes of the folder while it is made, at most
_SIZES = "prepared.json"  # written last: every file's bytes
_CHUNK = 1 << 20
_UNUSED = 7 * 24 * 3600.0  # seconds after which a folder of another key is not needed


def folder() -> Path:
    """Return the ready model's folder, made if it is not there, which takes seconds. Raises
    ModelError, in one line, where the base is missing, is not what it should be, or does not fit
    the disk.
    """
    place = where()
    if not _is_whole(place):
        _make(place)
    with contextlib.suppress(OSError):  # says that it is in use
        os.utime(place)
    return place


def where() -> Path:
    """Return the folder's path; it need not be there."""
    added = (f"{path.relative_to(_OURS)} {_hash(path)}" for path in _added())
    said = [FORM, parts.SHA256, *added]
    key = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
    return cache() / f"nano-{key}"


def found() -> Path | None:
    """Return the folder, if it is ready."""
    place = where()
    return place if _is_whole(place) else None


def cache() -> Path:
    """Return the folder that it lies in, with others of its kind."""
    return parts.home("XDG_CACHE_HOME", ".cache")


def check() -> None:
    """Raise ModelError where `folder` would because the base is missing."""
    try:
        parts.find()
    except ModelError:
        if found() is None:
            raise


def _convert(base: Path, out: Path) -> None:
    """Bring the base's file into the form that is opened, in `out`, which holds it already. The
    file goes when that is done.
    """
    from dgedit_engine.nano.convert import convert  # loads torch

    assert base.parent == out
    encode, denoise = _OURS / _ENCODE, _OURS / _DENOISE
    tokens = (_OURS / _SHORTLIST).read_bytes()
    convert(base, tokens, out, adapter=encode if encode.is_dir() else None)
    if denoise.is_dir():  # whose changes stand beside the matrices when these are opened
        shutil.copytree(denoise, out / _DENOISE)
    base.unlink()


def _make(place: Path) -> None:
    sources = parts.find()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            if _is_whole(place):  # whoever was here before us has made it
                return
            _remove_unfinished(place)
            _check_room(place.parent)
            made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
            try:
                joined = made / parts.FILE
                _join(sources, joined)
                _convert(joined, made)
                for settings in _OURS.glob("*.json"):
                    shutil.copyfile(settings, made / settings.name)
                _appear(made, place)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        _forget_others(place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"nano cannot be prepared in {place.parent}: {reason}") from None


def _join(sources: Sequence[Path], out: Path) -> None:
    """Write the parts one behind the other. Raises ModelError unless they are the base."""
    digest, size = hashlib.sha256(), 0
    with out.open("wb") as file:
        for source in sources:
            with source.open("rb") as part:
                while chunk := part.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != parts.SHA256:
        where = sources[0] if len(sources) == 1 else sources[0].parents[2]
        raise ModelError(
            f"nano's base in {where} is not the published one: {size} bytes of sha256"
            f" {digest.hexdigest()}, not {parts.SIZE} of {parts.SHA256}"
        )


def _appear(made: Path, place: Path) -> None:
    """Give a finished folder its name, unless another is there, whole, where locks do nothing."""
    files = (path for path in made.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(made)): path.stat().st_size for path in files}
    (made / _SIZES).write_text(json.dumps(sizes) + "\n", encoding="utf-8")
    if _is_whole(place):
        return
    if place.exists():  # cut short by hand or by a broken disk
        shutil.rmtree(place)
    made.chmod(0o755)
    made.rename(place)


def _is_whole(place: Path) -> bool:
    """Whether a folder has all of its files, by their sizes."""
    try:
        sizes = small.table(place / _SIZES)
        if sizes is None:
            return False
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ModelError):
        return False


def _check_room(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < _PREPARED:
        need = f"{_PREPARED / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free"
        raise ModelError(f"nano cannot be prepared in {cache}: it needs {need}")


def _forget_others(place: Path) -> None:
    """Remove folders made for another key that were not used for a week; an older version in use
    keeps its own.
    """
    for other in place.parent.glob("nano-*"):
        with contextlib.suppress(OSError):
            unused = time.time() - other.stat().st_mtime > _UNUSED
            if other.is_dir() and other != place and unused:
                shutil.rmtree(other)
                _lock(other).unlink(missing_ok=True)


def _remove_unfinished(place: Path) -> None:
    """Remove what a process left that was ended while it made this folder; nobody else does now."""
    for left in place.parent.glob(f".{place.name}.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Wait until nobody else makes this folder."""
    lock = os.open(_lock(place), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _lock(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _added() -> list[Path]:
    """The files that the package adds to the base."""
    return sorted(path for kind in _ADDED for path in _OURS.rglob(kind))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
