"""Decode a file to text, and encode it so that only what was edited changes.

Decoding is lossless: for any bytes that `load` accepts, `load(path).encode()` gives the same bytes.
Line endings stay as they are, the BOM is kept apart, bytes that are not UTF-8 become lone
surrogates. An edit changes its span only; its line endings follow those around it.

Knows text and bytes; `disk.py` and `saving.py` know files, nobody here knows models or terminals.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dgedit.errors import ConflictError, InputError
from dgedit.files import disk, saving

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]

_BOMS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ERRORS = {
    "utf-8": "surrogateescape",
    "utf-16-le": "surrogatepass",
    "utf-16-be": "surrogatepass",
}
"""The error handler of each encoding, which keeps undecodable bytes: as escapes in UTF-8, as
unpaired surrogates in UTF-16.
"""

# The words of `.editorconfig`.
_CHARSETS: dict[str, tuple[bytes, Encoding]] = {
    "utf-8": (b"", "utf-8"),
    "utf-8-bom": _BOMS[0],
    "utf-16le": _BOMS[1],
    "utf-16be": _BOMS[2],
}

LINE_END = re.compile(r"\r\n|\n|\r")
"""The line endings; nothing else ends a line."""

_SURROGATE = re.compile("[\ud800-\udfff]")
# Characters that would turn a text file into a binary one, or cannot be stored.
_UNFIT = re.compile("[\0\ud800-\udfff]")

LARGEST = 20_000_000
"""The size in bytes from which the editor refuses a file: every key would be too slow. The command
line reads only an excerpt of such a file.
"""

# A NUL in the first 8 KB means "not text", as it does for git and grep.
_SNIFF = 8192
# The characters on either side of a span in which line endings are counted.
_AROUND = 2000


class UnfitError(InputError):
    """A file that can be read but is not fit to be edited as text; the user may insist."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of a document, in code points."""

    start: int
    """The first code point inside."""
    end: int
    """The first code point after it; equal to `start` for a place between two."""

    def __post_init__(self) -> None:
        assert 0 <= self.start <= self.end, self


@dataclass(frozen=True, slots=True)
class Outside:
    """The size of what surrounds an excerpt in its file. An excerpt consists of whole lines."""

    before: int = 0
    """The bytes before it."""
    after: int = 0
    """The bytes behind it."""
    characters: int = 0
    """The code points before it."""
    lines: int = 0
    """The lines before it."""
    newlines: int = 0
    """The lines before it as a diff counts them: only those that end in a newline."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text, where it came from, and how it was stored there."""

    text: str
    """Decoded, line endings exactly as stored, without the BOM."""
    path: Path | None = None
    """The file's path as the user named it; None for a text without a file."""
    encoding: Encoding = "utf-8"
    """The encoding of the file."""
    bom: bytes = b""
    """The byte order mark that precedes it, if any."""
    fingerprint: disk.Fingerprint | None = None
    """The file as loaded or last saved; None if it was neither."""
    outside: Outside = Outside()
    """What else the file holds, where the text is an excerpt."""
    newline: str = "\n"
    """What ends the lines of a text that has none."""

    @classmethod
    def load(cls, path: Path, *, largest: int | None = None, binary: bool = False) -> Document:
        """Read a file.

        Raises InputError if it cannot be read, and UnfitError if it is not text (unless `binary`)
        or not smaller than `largest` bytes.
        """
        if largest is not None and (size := disk.size_of(path)) >= largest:
            raise UnfitError(f"{path} is too large to edit: {disk.in_units(size)}")
        data, fingerprint = disk.read(path)
        return replace(cls.from_bytes(data, path, binary=binary), fingerprint=fingerprint)

    @classmethod
    def from_bytes(cls, data: bytes, path: Path | None = None, *, binary: bool = False) -> Document:
        """Decode bytes. Raises UnfitError if they are not text, unless `binary`."""
        bom, encoding = bom_of(data)
        try:
            text = data[len(bom) :].decode(encoding, ERRORS[encoding])
            fit = not looks_binary(text)
        except UnicodeDecodeError:  # half a code unit at the end: not UTF-16
            bom, encoding, fit = b"", "utf-8", False
            text = data.decode("utf-8", "surrogateescape")
        if not (fit or binary):
            raise unfit(path, len(data))
        return cls(text, path, encoding, bom)

    @classmethod
    def from_text(cls, text: str, path: Path | None = None) -> Document:
        """Make a document of a text that is in no file yet; it is saved as UTF-8."""
        return cls(text, path)

    @property
    def is_excerpt(self) -> bool:
        """True if the file holds more than the text."""
        return bool(self.outside.before or self.outside.after)

    @property
    def eol(self) -> str:
        """The line ending that the text uses most; when it has none, the one it is to have."""
        return _dominant(self.text) or self.newline

    def encode(self) -> bytes:
        """Return the bytes to store. Raises InputError for text that the encoding cannot hold."""
        try:
            return self.bom + self.text.encode(self.encoding, ERRORS[self.encoding])
        except UnicodeEncodeError as error:
            bad = f"U+{ord(self.text[error.start]):04X}"
            raise InputError(f"{bad} cannot be stored as {self.encoding}") from None

    def stored(self) -> Iterator[bytes]:
        """Yield all bytes to store in chunks: those of `encode`, and what surrounds an excerpt.

        Raises ConflictError if the file of an excerpt has changed since it was read.
        """
        if self.path is None or not self.is_excerpt:
            yield self.encode()
            return
        if self.is_stale():
            raise ConflictError(f"{self.path} has changed on disk since it was read")
        with disk.reading(self.path), disk.opened(self.path) as fd:
            for part in self._parts():
                yield from (
                    [part] if isinstance(part, bytes) else disk.chunks(fd, part.start, part.end)
                )

    def stored_as(self, charset: str | None) -> Document:
        """Return the same document, to be stored in another way; as it is where that is none of
        ours. UTF-16 has its mark, without which it is not told from what is no text.
        """
        bom, encoding = _CHARSETS.get(charset or "", (self.bom, self.encoding))
        return replace(self, bom=bom, encoding=encoding)

    def with_text(self, text: str) -> Document:
        """Return the same document with another text, which is not adapted."""
        return replace(self, text=text)

    def apply(self, edits: Sequence[tuple[Span, str]]) -> Document:
        """Replace the spans by texts. The spans may come in any order and must not overlap.

        Line endings of the new text follow those around the span, and characters that no text may
        hold become U+FFFD. A text that reads the same as the old one changes nothing, so that an
        unchanged span keeps its odd line endings and bytes.
        """
        parts: list[str] = []
        done = 0
        for span, new in sorted(edits):
            assert done <= span.start and span.end <= len(self.text), (
                f"{span} overlaps or is outside"
            )
            parts += [self.text[done : span.start], self.fitted(new, span)]
            done = span.end
        return self.with_text("".join(parts) + self.text[done:])

    def fitted(self, new: str, span: Span) -> str:
        """Return what `apply` would put into a span for a text."""
        old = self.text[span.start : span.end]
        if readable(new) == readable(old):
            return old
        around = self.text[max(0, span.start - _AROUND) : span.end + _AROUND]
        return LINE_END.sub(_dominant(around) or self.eol, _UNFIT.sub("\ufffd", new))

    def save(self, *, overwrite: bool = False) -> Document:
        """Store the text in its file, wholly or not at all, and return the document as saved.

        Raises ConflictError if the file on disk is not the one this document came from, unless
        `overwrite`.
        """
        assert self.path is not None, "a document without a path cannot be saved"
        assert not (overwrite and self.is_excerpt), "what lies around it might be another's"
        fingerprint = saving.write(
            self.path, self._parts(), expected=self.fingerprint, overwrite=overwrite
        )
        return replace(self, fingerprint=fingerprint)

    def is_stale(self) -> bool:
        """Say whether the file on disk has changed since the document was read or saved."""
        return self.path is not None and disk.has_changed(self.path, self.fingerprint)

    def _parts(self) -> list[bytes | saving.Kept]:
        size = self.fingerprint.size if self.fingerprint else 0
        before, after = self.outside.before, size - self.outside.after
        return [saving.Kept(0, before), self.encode(), saving.Kept(after, size)]


def readable(text: str) -> str:
    """Return the text as a model reads it: lines end in \\n, undecodable bytes become U+FFFD."""
    return _SURROGATE.sub("\ufffd", LINE_END.sub("\n", text))


def bom_of(head: bytes) -> tuple[bytes, Encoding]:
    """Return the byte order mark that a file begins with, if any, and the encoding it implies."""
    return next(((bom, name) for bom, name in _BOMS if head.startswith(bom)), (b"", "utf-8"))


def looks_binary(text: str) -> bool:
    """Say whether the beginning of a text looks binary: it has a NUL."""
    return "\0" in text[:_SNIFF]


def unfit(path: Path | None, size: int) -> UnfitError:
    """Make the error for a file that is not text."""
    return UnfitError(f"{path or 'standard input'} is not text ({disk.in_units(size)})")


def _dominant(text: str) -> str | None:
    crlf = text.count("\r\n")
    counts = {"\n": text.count("\n") - crlf, "\r\n": crlf, "\r": text.count("\r") - crlf}
    most = max(counts, key=lambda eol: counts[eol])
    return most if counts[most] else None
