"""Choose the held-out texts that ship, from a built corpus.

    python -m dgedit_engine.eval.ship --corpus FOLDER
    python -m dgedit_engine.eval.ship --corpus FOLDER --languages

Takes whole files, of packages that are held out whole, so that no neighbour of a text is trained
on; from those packages in turn, in the order of a hash of the path. A text of which the training
split holds a good part is left out. With `--languages`: of other languages than Python, as many of
each. The same corpus gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dgedit_engine.decode.syntax import faults
from dgedit_engine.eval.texts import LANGUAGES, OTHERS, SHIPPED
from dgedit_engine.train.corpus import Corpus, share, shingles
from dgedit_engine.train.excerpts import Excerpt
from dgedit_engine.train.licensed import language_of

SMALLEST, LARGEST = 1_000, 16_000
"""Bytes of a text, at least and at most."""

FILES = 400
"""Texts that ship: enough for 250 spans of each kind from as many files."""

EACH = 90
"""Texts of each other language."""

KNOWN = 0.3
"""The share of a text's runs of five lines that may occur in training: licence heads are shared."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose the texts, write the file and its attribution. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        manifest = json.loads((options.corpus / "manifest.json").read_text(encoding="utf-8"))
        held, train = Corpus(options.corpus, "heldout"), Corpus(options.corpus)
        packages, files = manifest["packages"], options.files
        if options.languages:
            out, excerpts = options.out or OTHERS, []
            for language in LANGUAGES:
                excerpts += choose(held, train, packages, files=files or EACH, language=language)
        else:
            out = options.out or SHIPPED
            excerpts = choose(held, train, packages, files=files or FILES)
    except (OSError, ValueError, KeyError) as error:
        print(f"ship: {options.corpus}: {error}", file=sys.stderr)
        return 3
    write(excerpts, out)
    print(f"{out}: {len(excerpts)} texts, {out.stat().st_size:,} bytes")
    return 0


def choose(
    held: Corpus,
    train: Corpus,
    packages: dict[str, dict[str, object]],
    *,
    files: int,
    language: str = "python",
) -> list[Excerpt]:
    """Choose up to `files` texts of a language, in order of package and path. `packages` is the
    manifest's.
    """
    found: defaultdict[str, list[Excerpt]] = defaultdict(list)
    for index in range(len(held)):
        path, text = held.path(index), held.text(index)
        package = re.sub(r"[-_.]+", "-", path.split("/", 1)[0]).lower()
        facts = packages.get(package)
        fits = SMALLEST <= held.sizes[index] <= LARGEST
        if language_of(path) != language or path.endswith((".d.ts", ".d.mts")):
            continue  # declarations hold little to fill
        if facts and facts["held_out"] and fits and not faults(path, text):
            found[package].append(Excerpt(path, package, str(facts["licence"]), text))
    unknown = _unknown([one for column in found.values() for one in column], train)
    columns = [
        sorted((one for one in column if one in unknown), key=lambda one: share(one.path))
        for _, column in sorted(found.items())
    ]
    turns = [one for turn in zip_longest(*columns) for one in turn if one is not None]
    return sorted(turns[:files], key=lambda one: (one.package, one.path))


def write(excerpts: Iterable[Excerpt], out: Path) -> None:
    """Write the texts, packed, and beside them their attribution, HELDOUT.md."""
    excerpts = list(excerpts)
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in excerpts)
    out.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))
    packages: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for one in excerpts:
        packages[one.package, one.licence].append(len(one.text.encode()))
    rows = "".join(
        f"| {_linked(name)} | {licence} | {len(sizes)} | {sum(sizes):,} |\n"
        for (name, licence), sizes in sorted(packages.items())
    )
    named = "HELDOUT-LANGUAGES" if "languages" in out.name else "HELDOUT"
    text = _ATTRIBUTION.format(name=out.name, rows=rows, licences=f"{named}-LICENCES.txt")
    out.with_name(f"{named}.md").write_text(text)


_ATTRIBUTION = """# The texts in `{name}`

Source files of these packages, unchanged but for their line ends, each under its package's licence.
{licences} holds the texts of the licences that ask for it; what a file says of its
authors stands in it. They serve to measure a model (`dgedit eval`): no model of ours is trained on
them, nor on any other file of these packages. A line of the file is one text: `path`, `package`,
`licence`, `text`. Made by `python -m dgedit_engine.eval.ship`.

| package | licence | files | bytes |
|---|---|---|---|
{rows}"""


def _linked(package: str) -> str:
    """Return a package's name, with its address where it is of PyPI; other names say where they are
    from.
    """
    return package if ":" in package else f"[{package}](https://pypi.org/project/{package}/)"


def _unknown(excerpts: list[Excerpt], train: Corpus) -> set[Excerpt]:
    """Return the texts of whose runs of lines the training split holds at most `KNOWN`."""
    own = [np.array(sorted(shingles(one.text)), dtype=np.uint64) for one in excerpts]
    if not any(map(len, own)):
        return set()
    every = np.unique(np.concatenate(own))
    seen = np.zeros(len(every), dtype=bool)
    for index in range(len(train)):
        theirs = np.fromiter(shingles(train.text(index)), dtype=np.uint64)
        places = np.searchsorted(every, theirs)
        seen[places[every[np.minimum(places, len(every) - 1)] == theirs]] = True
    known = [float(seen[np.searchsorted(every, mine)].sum() / max(1, len(mine))) for mine in own]
    return {one for one, part in zip(excerpts, known, strict=True) if part <= KNOWN}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.eval.ship", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--languages", action="store_true", help="of other languages than Python")
    add("--files", type=int, help=f"how many texts ({FILES}; {EACH} of each language)")
    add("--out", type=Path, help="file to write (the one that ships)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
