"""Families of proteins out of a FASTA file of UniProt entries, split without near copies.

    apt-get download mmseqs2-examples && dpkg -x mmseqs2-examples_*.deb examples

brings 20,000 entries as `example-data/DB.fasta.gz`. A family is what bears one name. The split is
by family member, and a held-out member that shares more than half of its 4-mers with one of the
training is left out: strains of one bacterium on both sides would make a table of copies look good.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dgedit_engine.rules.proteins import AMINO_ACIDS, WINDOW
from dgedit_engine.types import ModelError

FEWEST = 20
"""Members of a family, at least."""

_WORD = 4  # residues of a word by which likeness is measured
_ALIKE = 0.5  # share of words above which a held-out member is a near copy
_HELD = 15  # per cent of the members
_HEADER = re.compile(r">\S+\s+(?P<name>.*?)\s+OS=")


@dataclass(frozen=True, slots=True)
class Family:
    """Proteins of one name."""

    name: str
    """The name."""
    train: tuple[str, ...]
    """Sequences to learn from."""
    held: tuple[str, ...]
    """Sequences to be measured on."""


def families(path: Path) -> list[Family]:
    """Return the families in a FASTA file, by name. Raises ModelError for a file that cannot be
    read or has none.
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name, sequence in entries(path):
        if sequence not in members[name] and set(sequence) <= set(AMINO_ACIDS):
            members[name].append(sequence)
    found = []
    for name, sequences in sorted(members.items()):
        lengths = median(map(len, sequences)) if sequences else 0
        if len(sequences) >= FEWEST and lengths <= WINDOW:
            found.append(_split(name, [one for one in sequences if len(one) <= WINDOW]))
    if not found:
        raise ModelError(f"{path}: no family of {FEWEST} proteins of one name")
    return found


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the sequence of each entry, without fragments and unnamed proteins."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    for entry in re.split(r"^(?=>)", text, flags=re.MULTILINE):
        header, _, body = entry.partition("\n")
        said = _HEADER.match(header)
        if said is None or "Fragment" in said["name"] or "ncharacterized" in said["name"]:
            continue
        yield said["name"], "".join(body.split())


def words(sequence: str) -> set[str]:
    """Return a sequence's words of four residues."""
    return {sequence[at : at + _WORD] for at in range(len(sequence) - _WORD + 1)}


def likeness(one: str, other: str) -> float:
    """Return the share of one's words that the other has too."""
    own = words(one)
    return len(own & words(other)) / max(1, len(own))


def _split(name: str, sequences: Sequence[str]) -> Family:
    ordered = sorted(sequences, key=lambda one: hashlib.sha256(one.encode()).digest())
    count = max(1, len(ordered) * _HELD // 100)
    train = tuple(ordered[count:])
    held = [
        one for one in ordered[:count] if max(likeness(one, other) for other in train) <= _ALIKE
    ]
    return Family(name, train, tuple(held))
