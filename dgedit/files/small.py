"""Read small files that the user did not name: settings, ignore files, git's, our own state.

They are untrusted: one may be a device that never ends, a pipe without a writer, or larger than
memory. So there is one way to read them: regular files only, up to a size that the caller must
state.

Knows bytes and text; not what they mean.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk

SETTINGS = 1_000_000
"""The most bytes of a file that people write by hand."""


def read(path: Path, *, most: int) -> bytes | None:
    """Return a regular file's bytes; None if it does not exist.

    Raises InputError, in one line, for a special file, one larger than `most` bytes, or one that
    cannot be read.
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
    """Return a file as UTF-8 text without a byte order mark; None if it does not exist.

    Raises InputError as `read` does, and for undecodable bytes if `errors` is "strict".
    """
    data = read(path, most=most)
    if data is None:
        return None
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: byte {error.start + 1}") from None
