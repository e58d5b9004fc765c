"""Files that nobody named and we read all the same: settings, ignore files, git's, our own state.

Whoever made the tree made them: one may be a device that never ends, a pipe that never begins, or
larger than the machine. So there is one way to read them: regular files alone, up to a size that
whoever asks must state.

Knows bytes and text; not what they mean.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk

SETTINGS = 1_000_000
"""Bytes of a file that people write by hand, at most."""


def read(path: Path, *, most: int) -> bytes | None:
    """A regular file's bytes; None where nothing is. Raises InputError, in one line, for what is no
    regular file, is larger than `most` bytes or cannot be read.
    """
    with disk.reading(path):
        try:
            with disk.opened(path) as fd:
                data = b"".join(disk.chunks(fd, 0, most + 1))
        except FileNotFoundError:
            return None
    if len(data) > most:
        raise InputError(f"{path} is larger than {most:,} bytes")
    return data


def text(path: Path, *, most: int = SETTINGS, errors: str = "strict") -> str | None:
    """The same as text: UTF-8, without the mark that some editors put first. Raises InputError for
    other bytes, unless `errors` says what becomes of them.
    """
    data = read(path, most=most)
    if data is None:
        return None
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: byte {error.start + 1}") from None
