"""Choose the GGUF file of a repository that this machine can use best.

What a file takes of a device's memory is not its size: that follows from its tensors' types, which
stand in its first megabytes. These are fetched, the largest file first, and put before a hole as
large as the rest, so that the engine plans with them as with the file. Knows no terminal.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dgedit.errors import EngineError
from dgedit.files.disk import in_units
from dgedit.models import asking, store
from dgedit_engine.types import ModelError

if TYPE_CHECKING:
    from dgedit_engine.memory.plan import Fit

_FIRST, _LONGEST = 1 << 20, 64 << 20  # bytes of a header that are fetched: at first, at most
_ASIDE = ("mmproj", "imatrix")  # in names of files that are no model
_NEAR = 0.9  # share of the best that a smaller file may have instead


@dataclass(frozen=True, slots=True)
class FittingFile:
    """A file that fits."""

    name: str
    """Its name, of a split one that of the first part."""
    size: int
    """Its bytes."""
    fit: Fit
    """How it would be opened."""

    @property
    def worth(self) -> int:
        """Its bytes that count: narrowed, it is no better than what it becomes, and codes that take
        more here than in the file are no better for it.
        """
        return min(self.size, self.fit.need.weights)


@dataclass(slots=True)
class Chooser:
    """Chooses a file, and keeps what there is to say of it."""

    said: str = ""
    """What was chosen and why, in one line; empty before, and where nothing could be."""

    def __call__(
        self, repo: str, commit: str, models: Mapping[str, Mapping[str, int]]
    ) -> str | None:
        """Return the name of the best file that fits; None where none is a model that is known.

        Raises EngineError where none fits, naming what the smallest one needs.
        """
        with store.engine():
            from dgedit_engine.memory.devices import device_of, free_bytes

            place = device_of(None)
            free = free_bytes(place)
            if free == sys.maxsize:  # unknown
                return None
        found, refused = list[FittingFile](), ""
        sizes = {name: sum(files.values()) for name, files in models.items()}
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            if any(word in name.lower() for word in _ASIDE):
                continue
            if sizes[name] > free:
                refused = f"{name} has {in_units(sizes[name])}"
                continue
            one = _planned(repo, commit, name, models[name], str(place), free)
            if isinstance(one, str):
                refused = f"{name} needs {one}" if one else refused
                continue
            found.append(one)
            if one.fit.narrow is None:  # those that follow have less
                break
        if not found:
            if refused:
                raise EngineError(
                    f"no GGUF file of {repo} fits: {refused} (--file fetches one all the same)"
                )
            return None
        best = max(one.worth for one in found)
        chosen = min((one for one in found if one.worth >= _NEAR * best), key=lambda one: one.size)
        needs, has = in_units(chosen.fit.need.total), in_units(free)
        less = ", in 4 bits" if chosen.fit.narrow else ""
        self.said = (
            f"{chosen.name}, of {len(models)} GGUF files: it needs {needs}{less},"
            f" {place} has {has} free (--file fetches another)"
        )
        return chosen.name


def _planned(
    repo: str, commit: str, first: str, files: Mapping[str, int], device: str, free: int
) -> FittingFile | str:
    """Plan a model from its files' headers; what it needs where it does not fit, and nothing where
    it is no model that is known.
    """
    from dgedit_engine.memory.plan import TooLarge, check

    with tempfile.TemporaryDirectory(prefix="dgedit-") as folder:
        stubs = []
        for name, size in files.items():
            stub, header = Path(folder, PurePosixPath(name).name), _header(repo, commit, name, size)
            if header is None or stub.name.startswith(".") or not stub.name.isprintable():
                return ""
            with stub.open("wb") as out:
                out.write(header)
                out.truncate(size)
            stubs.append(stub)
        try:
            return FittingFile(first, sum(files.values()), check(stubs[0], free, device=device))
        except TooLarge as error:
            return str(error).partition(" needs ")[2]
        except ModelError:
            return ""


def _header(repo: str, commit: str, name: str, size: int) -> bytes | None:
    """Fetch a file's header; None where it has none."""
    from dgedit_engine.formats.gguf import complete

    data, wanted = bytearray(), _FIRST
    with contextlib.closing(_begins(repo, commit, name)) as chunks, contextlib.suppress(ModelError):
        for chunk in chunks:
            data += chunk
            if len(data) >= min(wanted, size):
                if complete(bytes(data)):
                    return bytes(data[:size])
                wanted *= 2
            if len(data) >= min(_LONGEST, size):
                break
    return None


def _begins(repo: str, commit: str, name: str) -> Generator[bytes, None, None]:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repo, name, revision=commit, endpoint=asking.endpoint())
    with asking.asked(url) as response:
        yield from response.iter_raw(1 << 18)
