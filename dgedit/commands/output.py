"""Write to stdout and stderr: data exactly, messages safe to show on a terminal.

Data goes to stdout unchanged, unless stdout is a terminal, where it is made visible. Everything
else goes to stderr, which stays empty if all went well and it is not a terminal. Every write to
stdout goes through `Whole`: see `open_streams`.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dgedit.config import Color
from dgedit.errors import OutputError, UsageError
from dgedit.files.document import Document
from dgedit.text.visible import visible

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_HELIX = {"hx", "helix"}
_NEAR = 3  # ancestors of our process that are examined: there may be shells between


def print_document(document: Document) -> None:
    """Print a document: readable on a terminal, elsewhere as it would be saved."""
    if sys.stdout.isatty():
        if document.is_excerpt:
            raise UsageError(f"{document.path} is too large to be shown: print it into a file")
        show(document.text, sys.stdout)
        return
    for chunk in document.stored():
        print_bytes(chunk)


def print_text(text: str) -> None:
    """Print a text: made visible and as whole lines on a terminal, elsewhere exactly."""
    if sys.stdout.isatty():
        show(text, sys.stdout)
    else:
        print_bytes(text.encode("utf-8", "surrogateescape"))


def print_bytes(data: bytes) -> None:
    """Print data exactly. Raises OutputError if it cannot be written, BrokenPipeError if the reader
    has closed.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def show(text: str, stream: TextIO, *, paint: Callable[[str], str] = str) -> None:
    """Write a text for people: made visible, then painted, ending in a newline."""
    end = "" if not text or text.endswith("\n") else "\n"
    encoding = stream.encoding or "utf-8"
    shown = visible(text, keep="\n\t").encode(encoding, "backslashreplace").decode(encoding)
    print(paint(shown), end=end, file=stream, flush=True)


def is_colored(stream: TextIO, color: Color) -> bool:
    """Say whether to colour a stream: if asked for, or if a terminal supports it."""
    if color != "auto":
        return color == "always"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def give_back(data: bytes) -> None:
    """Print the input unchanged. If stderr would end up in the user's text, it is closed to further
    messages.
    """
    with contextlib.suppress(OSError, OutputError):  # the reader has closed
        print_bytes(data)
        if is_taken_for_text():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def is_taken_for_text() -> bool:
    """Say whether stderr ends up in the user's text.

    Vim gives a filter one file for stdout and stderr. Helix replaces the text by the stderr of a
    filter that fails.
    """
    if os.isatty(1):
        return False
    return os.path.samestat(os.fstat(1), os.fstat(2)) or bool(_HELIX & set(_callers()))


def complain(message: str) -> None:
    """Print one line on stderr, prefixed with our name."""
    with contextlib.suppress(OSError):  # stderr is closed
        print(f"dgedit: {visible(' '.join(message.split()))}", file=sys.stderr)


class Whole(io.RawIOBase):
    """A raw stream that writes everything or raises.

    Python's own stream writes once and drops the rest if PYTHONUNBUFFERED is set, or if the pipe is
    non-blocking.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def fileno(self) -> int:
        """Return the file descriptor, which closing the stream leaves open."""
        return self._fd

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Return true."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Write all of the data, however long that takes. Raises OutputError."""
        whole = rest = memoryview(data).cast("B")
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputError(f"cannot write the output: {error.strerror}") from None
        return len(whole)


def open_streams() -> None:
    """Make stdout write everything, and open standard streams that are missing.

    Otherwise a file that we open would get a missing stream's number. The replacements are opened
    in the wrong mode, so that their use fails, except stderr, which discards its output.
    """
    modes = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR))
    for name, mode, flags in modes:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))
    out = sys.stdout
    sys.stdout = io.TextIOWrapper(
        Whole(out.fileno()), encoding=out.encoding, errors=out.errors, write_through=True
    )


def _callers() -> Iterator[str]:
    """Yield the names of the processes above ours, if the system tells them."""
    pid = os.getppid()
    with contextlib.suppress(OSError, ValueError):
        for _ in range(_NEAR):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            yield name.partition("(")[2]
            pid = int(rest.split()[1])
