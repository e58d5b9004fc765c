"""Find models by name, choose the default, and describe models from their headers.

A name means nano or an embedded model; else an existing folder or GGUF file; else a folder in the
models folder. Names are resolved without the engine, which takes a second to load; a model is
described from its configuration and its tensors' headers, without reading weights. Knows no hub and
no terminal.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dgedit import config as settings
from dgedit.errors import EngineError, InputError, UsageError
from dgedit.files.disk import in_units
from dgedit.files.paths import leave_if_removed, our_folder
from dgedit.models import nano, sizes, tuned
from dgedit.models.names import DOMAINS, EMBEDDED, NANO, OURS
from dgedit_engine.types import ModelError

if TYPE_CHECKING:
    from dgedit_engine.model.config import Config

_SUFFIX = ".gguf"
_LONGEST = 200  # bytes of a name, which leaves room for what is put around it in file names


@dataclass(frozen=True, slots=True)
class Facts:
    """The properties of a model that are known without reading its weights."""

    format: str
    """The storage format of its weights, in a few words."""
    config: Config
    """Its architecture and sizes."""
    files: tuple[tuple[str, int], ...]
    """Its files, each with its name within the folder and its bytes."""

    @property
    def parameters(self) -> int:
        """The number of its parameters."""
        return (
            sizes.embedding_count(self.config)
            + sizes.other_count(self.config)
            + sizes.expert_count(self.config)
        )

    @property
    def active(self) -> int:
        """The number of parameters that are active for one token."""
        share = sizes.expert_count(self.config) * self.config.active // max(1, self.config.experts)
        return sizes.embedding_count(self.config) + sizes.other_count(self.config) + share

    @property
    def bytes(self) -> int:
        """Its size on disk in bytes."""
        return sum(size for _, size in self.files)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One entry of the list of models."""

    name: str
    """Its name."""
    path: Path
    """Its folder or file."""
    bytes: int
    """Its size on disk in bytes."""
    default: bool
    """True if it is used when none is named."""
    facts: Facts | None = None
    """Its properties, if it can be read."""
    error: str | None = None
    """The reason why it does not load, if one is known."""


def folder() -> Path:
    """Return the models folder, which need not exist."""
    return our_folder("data") / "models"


def resolve(model: str | None = None) -> str:
    """Return what the engine is to open: a name of ours or a path. None stands for the model in the
    settings, where only a text with a slash is a path. Of a tuned model it is the base, whose
    changes `adapter_of` returns. Raises EngineError.
    """
    base = tuned.base_of(Path(found := _resolved(model)))
    if base is None:
        return found
    try:
        below = _resolved(base)
    except EngineError as error:
        raise EngineError(
            f"{Path(found).name} is a change of {base}, which is not there"
        ) from error
    if tuned.base_of(Path(below)) is not None:
        raise EngineError(f"{Path(found).name} is a change of {base}, which is one itself")
    return below


def _resolved(model: str | None) -> str:
    """Return the same, of a tuned model its folder."""
    name = default() if model is None else model
    if model is None and not settings.is_path(name):
        return _default_place(name)
    if name in OURS:
        return name
    if os.path.isdir(name) or (name.endswith(_SUFFIX) and os.path.isfile(name)):
        return name
    if os.path.lexists(name):
        kind = "neither a folder nor a GGUF file" if os.path.exists(name) else "a link to nothing"
        raise EngineError(f"no model: {name} is {kind}")
    if "/" in name:
        known = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith(".")
        advice = f"; dgedit model pull {name} fetches a repository" if known else ""
        raise EngineError(f"no such model: {name} (nothing is there{advice})")
    return str(installed(name))


def adapter_of(adapter: Path | None, model: str | None) -> str | None:
    """Return the folder of the adapter to open a model with, or None. If neither is given, it is
    the settings' adapter, which belongs to the settings' model. A tuned model is one. Raises
    EngineError.
    """
    found = _resolved(model)
    if tuned.base_of(Path(found)) is not None:
        if adapter is not None:
            raise UsageError(f"{Path(found).name} has changes of its own; --adapter is for a base")
        return found
    named = settings.current().adapter if model is None and adapter is None else ""
    place = str(adapter) if adapter is not None else named
    if place and not os.path.isdir(place):
        raise EngineError(f"no adapter: {place} is no folder")
    return place or None


def path_of(model: str) -> Path:
    """Return the folder or file of a model; nano is made ready first. Raises EngineError."""
    found = resolve(model)
    if found == NANO:
        return nano.folder()
    return _embedded_folder(found) if found in EMBEDDED else Path(found)


def placed(name: str) -> Path:
    """Return where in the models folder a model of this name lies, or would lie. Raises UsageError
    for an invalid name, above all for one that leads out of the folder.
    """
    if name in OURS:
        raise UsageError(f"{name} is a model of dgedit's own; take another name")
    bad = not name or name[0] in ".-" or any(char in name for char in "/\\")
    if bad or not name.isprintable() or len(name.encode()) > _LONGEST:
        raise UsageError(f"no name for a model: {name!r} (no slashes, no dot or dash first)")
    return folder() / name


def installed(name: str) -> Path:
    """Return the folder of this name in the models folder. Raises EngineError if it is absent."""
    place = placed(name)
    if not place.is_dir():
        raise EngineError(f"no such model: {name} ({_advice(name)})")
    return place


def findable(name: str) -> Path:
    """Return a model's folder, which may be a broken model, a dangling link, or an unfinished
    download. Raises EngineError if there is none.
    """
    place = placed(name)
    for one in (place, partial(place), tuned.unfinished(place)):
        if one.is_symlink() or one.is_dir():
            return one
    raise EngineError(f"no such model: {name} ({_advice(name)})")


def partial(place: Path) -> Path:
    """Return the folder in which a model is assembled before it is renamed to `place`."""
    return place.with_name(f".{place.name}.part")


def default() -> str:
    """Return the name or path of the default model. Raises UsageError for invalid settings."""
    return settings.current().model or NANO


def choose(name: str) -> None:
    """Make a model the default, in the user's settings. Raises EngineError if it does not load."""
    if name not in OURS and (words := fault(installed(name))):
        raise EngineError(f"{name} does not load: {words}")
    settings.change("model", None if name == NANO else name, settings.config_path())


def remove(name: str) -> bool:
    """Remove a model, or the link to it, from the models folder, and an unfinished download of it.
    Returns whether it was the default, which becomes nano. Raises EngineError if there is none.
    """
    findable(name)
    run = tuned.unfinished(placed(name))
    for one in (
        partial(placed(name)),
        placed(name),
        run,
    ):  # `discard` renames the second to the first
        if os.path.lexists(one):
            discard(one)
    was_default = settings.load(settings.config_path()).get("model") == name
    if was_default:
        choose(NANO)
    return was_default


def discard(place: Path) -> None:
    """Remove a folder; of a link, only the link. The folder is renamed first, so that an
    interruption leaves an unfinished download, never half a model. Raises InputError.
    """
    with _writing(place):
        if place.is_symlink():
            place.unlink()
            return
        part = place if place.name.startswith(".") else partial(place)
        place.rename(part)
        shutil.rmtree(part)


def entries() -> list[ListedModel]:
    """List all models with names: ours, those in the models folder, unfinished downloads."""
    found = [_nano(), *(_entry(name, _embedded_folder(name)) for name in EMBEDDED)]
    try:
        places = sorted(
            place for place in folder().iterdir() if place.is_dir() or place.is_symlink()
        )
    except OSError:  # mostly because the folder does not exist yet
        return found
    places = [place for place in places if place.name not in (*OURS, f".{NANO}.part")]
    found += [_entry(place.name, place) for place in places if not place.name.startswith(".")]
    for place in places:
        name = place.name[1:].removesuffix(".part")
        if place.name == f".{name}.part" and not (folder() / name).exists():
            words = "a stopped pull; the same pull goes on with it"
            found.append(ListedModel(name, place, size(place), False, error=words))
    return found


def shape(path: Path) -> Config:
    """Read a model's configuration. Raises EngineError if it is not a supported model."""
    with engine():
        from dgedit_engine.model.config import load_config

        return load_config(path)


def facts(path: Path) -> Facts:
    """Describe a model from its configuration and headers. Raises EngineError if it is not one."""
    if (base := tuned.base_of(path)) is not None:
        place = path_of(resolve(str(path)))
        return Facts(f"changes of {base}", shape(place), tuple(_files(path)))
    config = shape(path)
    with engine():
        from dgedit_engine.formats import describe, gguf

        alone = gguf.parts(path) if path.suffix == _SUFFIX else []
        files = [(one.name, one.stat().st_size) for one in alone] or list(_files(path))
        return Facts(describe(path), config, tuple(files))


def fault(path: Path) -> str | None:
    """Say what would keep the model from loading, as far as headers tell; None for nothing."""
    if tuned.base_of(path) is not None:
        try:
            return fault(path_of(resolve(str(path))))
        except EngineError as error:
            return str(error)
    try:
        found = facts(path)
        with engine():
            from dgedit_engine.memory.plan import need, usual

            need(path, context=usual(found.config))
    except EngineError as error:
        return str(error)
    return missing(path)


def missing(path: Path) -> str | None:
    """Name the file that a model lacks beside configuration and weights. A GGUF file lacks none."""
    whole = path.suffix == _SUFFIX or any(path.glob(f"*{_SUFFIX}"))
    whole = whole or tuned.base_of(path) is not None
    kinds = (("tokenizer.json",), ("vocab.json", "merges.txt"))
    there = whole or any(all((path / name).is_file() for name in one) for one in kinds)
    return None if there else f"{path} has no tokenizer.json"


def check_room(place: Path, size: int) -> None:
    """Raise InputError if the disk for `place` has less than `size` bytes free."""
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise InputError(f"{place} needs {in_units(size)}, the disk has {in_units(free)} free")


def size(place: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(length for _, length in _files(place))


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """Turn the engine's errors about a model into an EngineError."""
    leave_if_removed()
    try:
        yield
    except ImportError as error:
        raise EngineError(f"the engine cannot be loaded: {error}") from error
    except (ModelError, OSError) as error:
        raise EngineError(str(error)) from error


def _nano() -> ListedModel:
    """Describe nano without making it ready."""
    words = "installed; made ready when it is first opened"
    try:
        nano.check()
        if (place := nano.found()) is not None:
            return _entry(NANO, place)
    except EngineError as error:
        words = str(error)
    return ListedModel(NANO, nano.where(), 0, _is_default(NANO), error=words)


def _embedded_folder(name: str) -> Path:
    """Return an embedded model's folder without importing the engine, which takes a second."""
    import dgedit_engine

    package = Path(str(dgedit_engine.__file__)).parent
    return package / "shipped" / name if name in DOMAINS else package / name


def _entry(name: str, place: Path) -> ListedModel:
    length, default_ = size(place), _is_default(name)
    try:
        found = facts(place)
    except EngineError as error:
        return ListedModel(name, place, length, default_, error=str(error))
    return ListedModel(name, place, length, default_, found, missing(place))


def _default_place(name: str) -> str:
    if name in OURS:
        return name
    try:
        return str(installed(name))
    except (EngineError, UsageError):
        raise EngineError(
            f"the default model {name} is not there; dgedit model use chooses another"
        ) from None


def _is_default(name: str) -> bool:
    try:
        return default() == name
    except UsageError:
        return False


def _advice(name: str) -> str:
    try:
        known = [place.name for place in folder().iterdir() if place.name[0] != "."]
    except OSError:
        known = []
    near = difflib.get_close_matches(name, [*OURS, *known], 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}dgedit model list shows all, dgedit model pull fetches one"


def _files(place: Path) -> Iterator[tuple[str, int]]:
    """Yield every file below a folder with its bytes. Only links to files are followed."""
    for top, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            path = Path(top, name)
            with contextlib.suppress(OSError):  # removed meanwhile
                yield str(path.relative_to(place)), path.stat().st_size


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot change {path}: {error.strerror or error}") from None
