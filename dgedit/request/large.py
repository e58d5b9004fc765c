"""Handle files too large to load: read an excerpt around the holes, leave the rest on disk.

One pass over the file records where each megabyte of it begins, in bytes, code points and line
ends, and hashes it. That suffices to find any line by decoding one megabyte. The excerpt is an
ordinary document of whole lines that knows what surrounds it in its file; on saving, the rest is
copied from file to file. So memory grows by only some 100 bytes per megabyte of the file.
"""

from __future__ import annotations

import codecs
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from dgedit.errors import InputError, UsageError
from dgedit.files import disk
from dgedit.files.document import (
    ERRORS,
    LARGEST,
    LINE_END,
    Document,
    Outside,
    Span,
    bom_of,
    looks_binary,
    unfit,
)
from dgedit.request.markers import MARKER, marked, refuse_far_apart
from dgedit.request.ranges import no_marker, range_span, refuse_overlaps

# The excerpt's margin on either side: the characters that a passage shows, a diff's three lines.
_REACH = 24_000
_LINES = 3
# The longest marker, in characters, that is found across the border of two pieces.
_LONGEST = 64_000


def excerpt(
    path: Path, ranges: Sequence[str | None], *, marker: str = MARKER
) -> tuple[Document, tuple[Span, ...]]:
    """Return the document around the spans that the ranges name, and the spans in it.

    Raises what `Document.load` and `spans_of` raise, and InputError if the lines around the spans
    are too large for memory.
    """
    with disk.reading(path), disk.opened(path) as fd:
        text = _Text(fd, path)
        spans: list[Span] = []
        for one in ranges:
            if one is None:
                spans.extend(_markers(text, marker))
            elif one.startswith(":"):
                raise InputError(f"{path} is too large to look for names in it: give a range")
            else:
                spans.append(range_span(one, text, str(path)))
        spans.sort()
        refuse_far_apart(spans, str(path))
        document = _cut(text, spans[0].start, spans[-1].end)
    at = document.outside.characters
    found = tuple(Span(span.start - at, span.end - at) for span in spans)
    refuse_overlaps(found, document)
    return document, found


@dataclass(frozen=True, slots=True)
class _Piece:
    """The start of a stretch of the file; stretches split no character and no \\r\\n."""

    byte: int
    """The offset of its first byte."""
    character: int
    """The code points before it."""
    ends: int
    """The line ends before it."""
    newlines: int
    """The number of these line ends that a diff counts: those with a newline."""


class _Text:
    """The text of a file, with a few pieces in memory at a time. As a sequence: its lines."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd, self.path = fd, path
        info, hashed = os.fstat(fd), disk.new_digest()
        self.bom, self.encoding = bom_of(b"".join(disk.chunks(fd, 0, 4)))
        hashed.update(self.bom)
        last, self.pieces = "", [_Piece(len(self.bom), 0, 0, 0)]
        try:
            for size, last in self._decoded(hashed.update):
                before = self.pieces[-1]
                if before.character == 0 and looks_binary(last):
                    raise unfit(path, info.st_size)
                ends, newlines = _ends_in(last)
                after = (before.byte + size, before.character + len(last), before.ends + ends)
                self.pieces.append(_Piece(*after, before.newlines + newlines))
        except UnicodeDecodeError:  # half a code unit at the end: not UTF-16
            raise unfit(path, info.st_size) from None
        self.fingerprint = disk.Fingerprint.of(info, hashed.digest())
        self.characters = self.pieces[-1].character
        self._rest = bool(last) and last[-1] not in "\r\n"
        self.piece = lru_cache(maxsize=2)(self._piece)

    def __len__(self) -> int:
        return self.pieces[-1].ends + self._rest

    def __getitem__(self, line: int) -> Span:
        start = self._end(line - 1).end if line else 0
        if line < self.pieces[-1].ends:
            return Span(start, self._end(line).start)
        return Span(start, self.characters)

    def ends_before(self, offset: int) -> tuple[int, int]:
        """Count the line ends, and the newlines, before an offset that is in no line end."""
        at = self._at(offset)
        before = self.piece(at)[: offset - self.pieces[at].character]
        ends, newlines = _ends_in(before)
        return self.pieces[at].ends + ends, self.pieces[at].newlines + newlines

    def newline_before(self, offset: int) -> int:
        """Return the offset itself, or the nearest one before it, that follows a newline; or the
        start.
        """
        at = self._at(offset)
        end = offset - self.pieces[at].character
        while (found := self.piece(at).rfind("\n", 0, end)) < 0 and at > 0:
            at -= 1
            end = len(self.piece(at))
        return self.pieces[at].character + found + 1

    def newline_after(self, offset: int) -> int:
        """Return the offset itself, or the nearest one after it, that follows a newline; or the
        end.
        """
        at = self._at(max(0, offset - 1))
        start = max(0, offset - 1) - self.pieces[at].character
        while (found := self.piece(at).find("\n", start)) < 0:
            at, start = at + 1, 0
            if at == len(self.pieces) - 1:
                return self.characters
        return self.pieces[at].character + found + 1

    def byte_at(self, offset: int) -> int:
        """Convert an offset in code points to one in bytes of the file."""
        at = self._at(offset)
        before = self.piece(at)[: offset - self.pieces[at].character]
        return self.pieces[at].byte + len(before.encode(self.encoding, ERRORS[self.encoding]))

    def between(self, start: int, end: int) -> str:
        """Decode the text between two byte offsets of the file."""
        data = b"".join(disk.chunks(self.fd, start, end))
        return data.decode(self.encoding, ERRORS[self.encoding])

    def _at(self, offset: int) -> int:
        return min(
            bisect_right(self.pieces, offset, key=lambda one: one.character) - 1,
            max(0, len(self.pieces) - 2),
        )

    def _end(self, number: int) -> Span:
        """Return the span of a line end, by its number from 0."""
        at = bisect_right(self.pieces, number, key=lambda one: one.ends) - 1
        ends = LINE_END.finditer(self.piece(at))
        found = next(islice(ends, number - self.pieces[at].ends, None))
        before = self.pieces[at].character
        return Span(before + found.start(), before + found.end())

    def _piece(self, at: int) -> str:
        return self.between(self.pieces[at].byte, self.pieces[at + 1].byte)

    def _decoded(self, see: Callable[[bytes], None]) -> Iterator[tuple[int, str]]:
        """Yield the text piece by piece, each with its size in bytes; `see` is called with all
        bytes.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)(ERRORS[self.encoding])
        unit = 1 if self.encoding == "utf-8" else 2
        done = read = len(self.bom)
        held = ""
        for chunk in chain(disk.chunks(self.fd, read), [b""]):
            see(chunk)
            read += len(chunk)
            text = held + decoder.decode(chunk, not chunk)
            # Hold back a final \r, as a \n that belongs to it may follow.
            held = "\r" if chunk and text.endswith("\r") else ""
            text = text.removesuffix(held)
            size = read - len(decoder.getstate()[0]) - len(held) * unit - done
            if text:
                yield size, text
            done += size


def _markers(text: _Text, marker: str) -> list[Span]:
    if not marker:
        raise UsageError("the marker must not be empty")
    spans: list[Span] = []
    before, searched = "", 0
    for at in range(len(text.pieces) - 1):
        start = text.pieces[at].character - len(before)
        part = before + text.piece(at)
        for one in marked(part, marker):
            if start + one.span.end > searched:
                spans.append(Span(start + one.span.start, start + one.span.end))
        refuse_far_apart(spans, str(text.path))
        before, searched = part[-_LONGEST:], start + len(part)
    if not spans:
        raise no_marker(marker, str(text.path))
    return spans


def _cut(text: _Text, start: int, end: int) -> Document:
    """Load the lines that hold a range, and enough around it. A line ends in a newline here, as in
    a diff.
    """
    first, last = text.newline_before(start), text.newline_after(end)
    for _ in range(_LINES):
        first = text.newline_before(max(0, first - 1))
        last = text.newline_after(min(text.characters, last + 1))
    first = min(first, text.newline_before(max(0, start - _REACH)))
    last = max(last, text.newline_after(min(text.characters, end + _REACH)))
    byte, after = text.byte_at(first) if first else 0, text.byte_at(last)
    if after - byte > LARGEST:
        size = disk.in_units(after - byte)
        raise InputError(f"{text.path}: the lines around the holes are too large: {size}")
    bom = b"" if first else text.bom
    outside = Outside(byte, text.fingerprint.size - after, first, *text.ends_before(first))
    content = text.between(byte + len(bom), after)
    return Document(content, text.path, text.encoding, bom, text.fingerprint, outside)


def _ends_in(text: str) -> tuple[int, int]:
    newlines = text.count("\n")
    return newlines + text.count("\r") - text.count("\r\n"), newlines
