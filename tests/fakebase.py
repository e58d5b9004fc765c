"""A base for nano that is small: four packages whose code must not run, or one file in their place.

What the engine knows of the real one (sizes, hash, names) is changed to it, in this process, and by
`code` in another. It is not converted: what is made of it is the file as it is.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgedit_engine.nano import parts, prepared
from dgedit_engine.nano.parts import BaseFile

PACKAGES = tuple(f"fakebase_part{number}" for number in range(1, 5))


@dataclass(frozen=True)
class FakeBase:
    """A base that a test has."""

    site: Path
    """The folder with the packages."""
    content: bytes
    """What they hold together."""
    code: str
    """Makes another process take it for the base."""

    def part(self, number: int) -> Path:
        """The file in a package; they count from 1."""
        return self.site / PACKAGES[number - 1] / parts.PARTS[number - 1].file

    def hide(self) -> None:
        """Take the packages away."""
        self.site.rename(self.site.with_name("hidden"))
        importlib.invalidate_caches()

    def fetch(self) -> Path:
        """Have it as one file, as from a hub."""
        place = parts.fetched()
        place.parent.mkdir(parents=True)
        place.write_bytes(self.content)
        return place


def as_it_is(base: Path, out: Path) -> None:
    """Stands in for the conversion: there is none."""


def without_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none, whatever is installed here."""
    gone = tuple(BaseFile(f"{part.package}_is_gone", part.file, part.size) for part in parts.PARTS)
    monkeypatch.setattr(parts, "PARTS", gone)


def fake_base(
    monkeypatch: pytest.MonkeyPatch, site: Path, content: bytes = bytes(range(251)) * 40
) -> FakeBase:
    """Install one in a folder of the test's."""
    size = len(content) // 4 + 1
    runs = [content[start : start + size] for start in range(0, len(content), size)]
    found = []
    for number, (package, run) in enumerate(zip(PACKAGES, runs, strict=True)):
        file = f"data/{parts.FILE}.part0{number}"
        path = site / package / file
        path.parent.mkdir(parents=True)
        path.write_bytes(run)
        (site / package / "__init__.py").write_text("raise SystemExit('this must not run')")
        found.append(BaseFile(package, file, len(run)))
    facts = {
        "PARTS": tuple(found),
        "SIZE": len(content),
        "SHA256": hashlib.sha256(content).hexdigest(),
    }
    lines = ["import sys", f"sys.path[:0] = {[str(site), str(Path(__file__).parent)]!r}"]
    lines += ["from dgedit_engine.nano import parts, prepared"]
    lines += ["from dgedit_engine.nano.parts import BaseFile", "from fakebase import as_it_is"]
    lines += ["prepared._convert = as_it_is"]
    monkeypatch.setattr(prepared, "_convert", as_it_is)
    for name, value in facts.items():
        monkeypatch.setattr(parts, name, value)
        lines.append(f"parts.{name} = {value!r}")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return FakeBase(site, content, "\n".join(lines))
