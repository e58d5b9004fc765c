"""Standard output and standard error: data exact, words visible, a reader that goes heeded.

Data goes to stdout and is exact, unless stdout is a terminal, where it is made visible; everything
else goes to stderr, which stays empty when all went well and nobody looks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import TextIO

from dgedit.config import Color
from dgedit.document import Document
from dgedit.errors import UsageError
from dgedit.visible import visible


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
    """Print what was read, as it was. Where stderr is the same file, nothing is said from then on:
    it would be taken for a part of the text.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        if os.path.samestat(os.fstat(1), os.fstat(2)):
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
