"""Read data sets in their published formats: JSON lines, plain or packed, and Parquet.

Knows nothing of what the rows mean. pyarrow is needed for Parquet alone, and imported for it alone.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".parquet")
"""Suffixes of files that hold rows."""


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows with their numbers, from 1: the line's, in a file of lines.

    Raises ValueError, one line naming the file and the row, for an unusable one.
    """
    if not holds_rows(path):
        raise ValueError(f"{path}: rows come in {', '.join(SUFFIXES)}")
    yield from _parquet(path) if path.name.endswith(".parquet") else _lines(path)


def holds_rows(path: Path) -> bool:
    """Say whether a file holds rows, by its name."""
    return path.name.endswith(SUFFIXES)


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: {error}") from None
    elif path.name.endswith(".xz"):
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError as error:
            raise ValueError(f"{path}: {error}") from None
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number}: {line[:40]!r} is no object")
        yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(f"{path}: Parquet needs pyarrow: pip install 'dgedit[eval]'") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    yield from enumerate(table.to_pylist(), start=1)
