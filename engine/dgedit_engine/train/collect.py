"""Fetch the source that models are trained on: packages, unpacked, never run.

    python -m dgedit_engine.train.collect --out scratch/site
    python -m dgedit_engine.train.collect --out scratch/more --languages
    python -m dgedit_engine.train.corpus --limit 3 --out scratch/corpus scratch/site scratch/more …

Names of a list are wheels; `source:`, `npm:` and `debian:` before one say a source distribution, a
package of npm's, or one of Debian's (by `npm pack` and `apt-get download`). Only source files and
what says their licence are kept: what a package needs is not fetched, and nothing of it is
executed, but for what pip runs to read a source distribution's metadata. Some minutes and 1.4 GB
for `packages.txt`, some more and 0.4 GB for `languages.txt`. Knows nothing of corpora.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dgedit_engine.train.licensed import LANGUAGES

PACKAGES = Path(__file__).with_name("packages.txt")
"""The packages of the shipped weights, a name each line."""

LANGUAGES_LIST = Path(__file__).with_name("languages.txt")
"""Packages of other languages than Python, and source distributions."""

_PACKED = (".whl", ".gz", ".tgz", ".deb")
_DESCRIBES = ("PKG-INFO", "package.json", "Cargo.toml", "copyright")

_KEPT = ("/METADATA", "/RECORD")
_SECONDS = 180  # for one download
_OTHER = ("--python-version", "3.12")  # for wheels that are not made for this Python


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the packages. Returns the exit code: 0, 1 where some package could not be had, 3 for no
    list.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.collect", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    said = "names, one a line (packages.txt)"
    parser.add_argument("--packages", type=Path, default=PACKAGES, help=said)
    parser.add_argument("--at-once", type=int, default=6, help="downloads at a time (6)")
    parser.add_argument("pip", nargs="*", help="more options for pip download, behind --")
    parser.add_argument(
        "--languages",
        dest="packages",
        action="store_const",
        const=LANGUAGES_LIST,
        help="the list of other languages than Python (languages.txt)",
    )
    options = parser.parse_args(arguments)
    try:
        names = options.packages.read_text(encoding="utf-8").split()
    except OSError as error:
        print(f"collect: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3
    options.out.mkdir(parents=True, exist_ok=True)
    missing = 0
    for name in collect(names, options.out, pip=options.pip, at_once=options.at_once):
        missing += 1
        print(f"collect: cannot be had: {name}", file=sys.stderr)
    print(f"{len(names) - missing} of {len(names)} packages in {options.out}")
    return 1 if missing else 0


def collect(
    names: Sequence[str], out: Path, *, pip: Sequence[str] = (), at_once: int = 1
) -> Iterator[str]:
    """Fill `out` with the packages' source; yields the names of those that could not be had."""
    with ThreadPoolExecutor(at_once) as pool:
        had = pool.map(partial(_fetched, out=out, pip=pip), names)
        yield from (name for name, found in zip(names, had, strict=True) if not found)


def _fetched(name: str, *, out: Path, pip: Sequence[str]) -> bool:
    """Fetch and unpack a package; return whether that was possible."""
    kind, _, rest = name.rpartition(":")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            _FETCH[kind](rest, folder, pip)
            found = [file for file in folder.iterdir() if file.suffix in _PACKED]
            for file in found:
                if file.suffix == ".whl":
                    _unpack(file, out)
                elif file.suffix == ".deb":
                    _run(["dpkg-deb", "-x", str(file), str(out / rest)])
                else:
                    _untar(file, out / ("" if kind == "source" else rest.replace("/", "-")))
        except (OSError, subprocess.SubprocessError, tarfile.TarError):
            return False
        return bool(found)


def _wheel(name: str, folder: Path, pip: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *pip]
    command += ["--only-binary", ":all:", "--dest", str(folder)]
    try:
        _run([*command, "--", name])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        _run([*command, *_OTHER, "--", name])


def _source(name: str, folder: Path, pip: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *pip]
    _run([*command, "--no-binary", ":all:", "--dest", str(folder), "--", name])


def _npm(name: str, folder: Path, pip: Sequence[str]) -> None:
    _run(["npm", "pack", "--silent", "--pack-destination", str(folder), "--", name])


def _debian(name: str, folder: Path, pip: Sequence[str]) -> None:
    _run(["apt-get", "download", "--quiet", "--", name], folder=folder)


_FETCH = {"": _wheel, "source": _source, "npm": _npm, "debian": _debian}


def _run(command: Sequence[str], *, folder: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, cwd=folder)


def _untar(file: Path, out: Path) -> None:
    """Extract the source files and what describes the package; npm's lie in a folder `package`."""
    with tarfile.open(file) as packed:
        for item in packed:
            path = Path(item.name)
            if path.parts[:1] == ("package",):
                item.name = Path(*path.parts[1:]).as_posix()
            if item.isfile() and (path.suffix.lower() in LANGUAGES or path.name in _DESCRIBES):
                packed.extract(item, out, filter="data")


def _unpack(wheel: Path, out: Path) -> None:
    """Extract the Python files and what describes the package."""
    with zipfile.ZipFile(wheel) as packed:
        for item in packed.infolist():
            described = ".dist-info/" in item.filename and item.filename.endswith(_KEPT)
            if item.filename.endswith(".py") or described:
                packed.extract(item, out)


if __name__ == "__main__":
    sys.exit(main())
