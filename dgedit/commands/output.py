"""Standard output and standard error: data exact, words visible, a reader that goes heeded.

Data goes to stdout and is exact, unless stdout is a terminal, where it is made visible; everything
else goes to stderr, which stays empty when all went well and nobody looks. All that is ever written
to stdout goes through `Whole`, whoever writes it: see `open_streams`.
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
_NEAR = 3  # callers: there may be shells between


def print_document(document: Document) -> None:
    """Print a document: as it reads on a terminal, elsewhere as it would be saved."""
    if sys.stdout.isatty():
        if document.is_excerpt:
            raise UsageError(f"{document.path} is too large to be shown: print it into a file")
        show(document.text, sys.stdout)
        return
    for chunk in document.stored():
        print_bytes(chunk)


def print_text(text: str) -> None:
    """On a terminal the text, made visible and on lines of its own; elsewhere exact."""
    if sys.stdout.isatty():
        show(text, sys.stdout)
    else:
        print_bytes(text.encode("utf-8", "surrogateescape"))


def print_bytes(data: bytes) -> None:
    """Print data, exact. Raises OutputError when it cannot all be written, BrokenPipeError when
    nobody reads it any more.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def show(text: str, stream: TextIO, *, paint: Callable[[str], str] = str) -> None:
    """Write a text for somebody to look at: made visible, then painted, on lines of its own."""
    end = "" if not text or text.endswith("\n") else "\n"
    encoding = stream.encoding or "utf-8"
    shown = visible(text, keep="\n\t").encode(encoding, "backslashreplace").decode(encoding)
    print(paint(shown), end=end, file=stream, flush=True)


def is_colored(stream: TextIO, color: Color) -> bool:
    """Whether colours belong on a stream: where they are asked for, or a terminal has them."""
    if color != "auto":
        return color == "always"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def give_back(data: bytes) -> None:
    """Print what was read, as it was. Where stderr would be taken for a part of the text, nothing
    is said from then on.
    """
    with contextlib.suppress(OSError, OutputError):  # nobody reads it
        print_bytes(data)
        if is_taken_for_text():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def is_taken_for_text() -> bool:
    """Whether what is said on stderr ends up in somebody's text. Vim gives a filter one file for
    stdout and stderr. Helix puts what a filter that fails said on stderr in the place of the text.
    """
    if os.isatty(1):
        return False
    return os.path.samestat(os.fstat(1), os.fstat(2)) or bool(_HELIX & set(_callers()))


def complain(message: str) -> None:
    """Say one line on stderr, in our name."""
    with contextlib.suppress(OSError):  # nobody to tell
        print(f"dgedit: {visible(' '.join(message.split()))}", file=sys.stderr)


class Whole(io.RawIOBase):
    """A stream that writes all that it is given, or says why not. Python's own writes once where
    PYTHONUNBUFFERED is set, and forgets the rest; of a pipe that does not block, also elsewhere.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def fileno(self) -> int:
        """The file that is written to; it stays open."""
        return self._fd

    def isatty(self) -> bool:
        """Whether that is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Write all of it, however long that takes."""
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
    """Let stdout write all it is given. Open those standard streams that we were not given, or a
    file of ours would take their place.

    Each the wrong way around, so that its use fails; but what is said on stderr is lost.
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
    """The names of the nearest programs that called us, where the system tells."""
    pid = os.getppid()
    with contextlib.suppress(OSError, ValueError):
        for _ in range(_NEAR):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            yield name.partition("(")[2]
            pid = int(rest.split()[1])
