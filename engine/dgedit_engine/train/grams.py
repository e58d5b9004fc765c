"""Hash a text's runs of ten words, to find what a corpus shares with a benchmark.

A word is an identifier, a number or a run of punctuation, its case kept: `Name` and `name` are two
things in code. Comments and strings count like code. Knows neither corpora nor benchmarks, but for
the files that a text may come in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dgedit_engine.train.rows import holds_rows, rows

LENGTH = 10
"""Words of a gram."""

Hashes = npt.NDArray[np.uint64]

_WORD = re.compile(r"\w+|[^\w\s]+")
# Tables of numbers and rules of punctuation agree in any two files: `[0, 0, 0, 0, 0]` is a test of
# a benchmark, and stands in thousands of files that have nothing to do with it. What is shared
# tells something if there are names in it.
_NAMES = 3


def texts(path: Path) -> Iterator[str]:
    """Yield the texts in a file: each string of each row, or the whole of a file without rows."""
    if not holds_rows(path):
        yield path.read_text(encoding="utf-8", errors="replace")
        return
    for _, row in rows(path):
        yield from _strings(row)


def known(given: Iterable[str]) -> Hashes:
    """Return the grams of all the texts, sorted, without those with fewer than three different
    names.
    """
    found = [np.zeros(0, np.uint64)]
    for text in given:
        words = _WORD.findall(text)
        named = [word if word[0].isalpha() or word[0] == "_" else "" for word in words]
        keep = [
            len({*named[at : at + LENGTH]} - {""}) >= _NAMES
            for at in range(len(words) - LENGTH + 1)
        ]
        found.append(_hashes(words)[np.array(keep, dtype=bool)])
    return np.unique(np.concatenate(found))


def shares(text: str, grams: Hashes) -> bool:
    """Say whether the text has one of the sorted grams."""
    if not len(grams):
        return False
    own = _hashes(_WORD.findall(text))
    places = np.searchsorted(grams, own)
    return bool((grams[np.minimum(places, len(grams) - 1)] == own).any())


def _hashes(words: list[str]) -> Hashes:
    """Return a hash of every `LENGTH` neighbouring words."""
    count = len(words) - LENGTH + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    one = np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint64, len(words))
    mixed = np.zeros(count, np.uint64)
    for offset in range(LENGTH):
        mixed = (mixed ^ one[offset : offset + count]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)
