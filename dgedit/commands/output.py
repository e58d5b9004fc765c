"""Standard output and standard error: data exact, words visible, a reader that goes heeded.

Data goes to stdout and is exact, unless stdout is a terminal, where it is made visible; everything
else goes to stderr, which stays empty when all went well and nobody looks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from dgedit.config import Color
from dgedit.errors import UsageError
from dgedit.files.document import Document
from dgedit.text.visible import visible

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
        sys.stdout.buffer.write(chunk)
    sys.stdout.flush()


def print_text(text: str) -> None:
    """On a terminal the text, made visible and on lines of its own; elsewhere exact."""
    if sys.stdout.isatty():
        show(text, sys.stdout)
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
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
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        if _is_taken_for_text():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    except OSError:  # nobody reads it
        drop()


def complain(message: str) -> None:
    """Say one line on stderr, in our name."""
    with contextlib.suppress(OSError):  # nobody to tell
        print(f"dgedit: {visible(' '.join(message.split()))}", file=sys.stderr)


def drop() -> None:
    """Point stdout at nothing, or Python would try once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_streams() -> None:
    """Open those standard streams that we were not given, or a file of ours would take their place.

    Each the wrong way around, so that its use fails; but what is said on stderr is lost.
    """
    modes = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR))
    for name, mode, flags in modes:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def _is_taken_for_text() -> bool:
    """Vim gives a filter one file for stdout and stderr. Helix puts what a filter that fails said
    on stderr in the place of the text.
    """
    return os.path.samestat(os.fstat(1), os.fstat(2)) or bool(_HELIX & set(_callers()))


def _callers() -> Iterator[str]:
    """The names of the nearest programs that called us, where the system tells."""
    pid = os.getppid()
    with contextlib.suppress(OSError, ValueError):
        for _ in range(_NEAR):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            yield name.partition("(")[2]
            pid = int(rest.split()[1])
