"""Hold the texts that a client has open, and follow its changes.

A text is a list of lines, so that a key in a large file costs what its line costs. A change whose
version is not above the last one, or whose place cannot be, leaves a text out of step: it is not
used until the client sends the whole of it again. Texts that are too large are not held.

Knows the protocol's notifications; nothing of engines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dgedit.lsp.fields import LspPosition, field_at, list_at, range_at, text_at
from dgedit.protocol.positions import PositionEncoding, paired, to_column, to_units
from dgedit.protocol.rpc import RpcError

LARGEST = 20_000_000
"""The characters from which a text is not held: the editor refuses such files, too."""

_MOST = 2_000  # texts at once
_ALL = 10 * LARGEST  # characters of all of them
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class OutOfStep(Exception):
    """A notification that cannot be followed, in one line."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A text as it was at one version."""

    uri: str
    """Its name, as the client gave it."""
    language: str
    """Its language's id, as the client gave it."""
    version: int | None
    """Its version; None if the client does not count."""
    lines: tuple[str, ...]
    """Its lines with their endings; the last one has none, and may be empty."""
    encoding: PositionEncoding
    """What the client counts columns in."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.lines)

    def offset(self, at: LspPosition) -> int:
        """Return the code points before a position; one outside of the text is moved into it."""
        row = min(at.line, len(self.lines) - 1)
        return sum(map(len, self.lines[:row])) + _column(self.lines, at, self.encoding)

    def inside(self, at: LspPosition) -> dict[str, int]:
        """Return a position as it is sent, moved into the text and out of characters."""
        row, column = min(at.line, len(self.lines) - 1), _column(self.lines, at, self.encoding)
        return {"line": row, "character": to_units(self.lines[row], column, self.encoding)}

    def position(self, offset: int) -> dict[str, int]:
        """Return where an offset is, as the client counts."""
        for row, line in enumerate(self.lines):
            if offset < len(line) or row == len(self.lines) - 1:
                column = min(offset, len(line.rstrip("\r\n")))
                return {"line": row, "character": to_units(line, column, self.encoding)}
            offset -= len(line)
        raise AssertionError("a text has a line")

    def range(self, start: int, end: int) -> dict[str, dict[str, int]]:
        """Return a range of offsets as the client counts."""
        return {"start": self.position(start), "end": self.position(end)}


@dataclass(slots=True)
class _OpenText:
    """A text that the client has open."""

    language: str
    version: int | None
    lines: list[str] = field(default_factory=lambda: [""])
    size: int = 0
    in_step: bool = False
    snapshot: Snapshot | None = None


class OpenTexts:
    """The texts that a client has open, by their names."""

    def __init__(self) -> None:
        self.encoding: PositionEncoding = "utf-16"
        """What the client counts columns in."""
        self._texts: dict[str, _OpenText] = {}
        self._unknown: set[str] = set()

    def open(self, params: object) -> None:
        """Take a text. Raises OutOfStep if it is not held, RpcError for invalid parameters."""
        uri, text = text_at(params, "textDocument", "uri"), text_at(params, "textDocument", "text")
        language = field_at(params, "textDocument", "languageId")
        one = _OpenText(language if isinstance(language, str) else "", _version(params))
        self._texts.pop(uri, None)
        if len(self._texts) >= _MOST:
            raise OutOfStep(f"{_MOST:,} texts are open: another one is not held")
        self._texts[uri] = one
        self._replace(one, text)

    def change(self, params: object) -> str:
        """Follow changes of a text and return its name. Raises OutOfStep if that cannot be done;
        then the text is not used until all of it comes again.
        """
        uri, changes = text_at(params, "textDocument", "uri"), list_at(params, "contentChanges")
        if (one := self._texts.get(uri)) is None:
            if uri in self._unknown or len(self._unknown) >= _MOST:
                return uri
            self._unknown.add(uri)
            raise OutOfStep("a text that is not open was changed")
        before, one.version, one.snapshot = one.version, _version(params), None
        late = before is not None and one.version is not None and one.version <= before
        whole = any(isinstance(change, dict) and "range" not in change for change in changes)
        if late and not whole:
            one.version = max(before or 0, one.version or 0)
            if not one.in_step:
                return uri
            _drop(one)
            raise OutOfStep(
                "a version out of order: the text is not used until all of it comes again"
            )
        for change in changes:
            self._apply(one, change)
        return uri

    def close(self, params: object) -> str:
        """Forget a text and return its name."""
        uri = text_at(params, "textDocument", "uri")
        self._texts.pop(uri, None)
        self._unknown.discard(uri)
        return uri

    def get(self, uri: str) -> Snapshot | None:
        """Return a text as it is now; None if it is not held or out of step."""
        one = self._texts.get(uri)
        if one is None or not one.in_step:
            return None
        if one.snapshot is None:
            one.snapshot = Snapshot(uri, one.language, one.version, tuple(one.lines), self.encoding)
        return one.snapshot

    def is_at(self, snapshot: Snapshot) -> bool:
        """Say whether a text is still at the version of a snapshot. For any thread."""
        one = self._texts.get(snapshot.uri)
        return one is not None and one.in_step and one.version == snapshot.version

    def others(self, uri: str) -> list[Snapshot]:
        """Return all other texts, the last opened first."""
        found = (self.get(one) for one in reversed(self._texts) if one != uri)
        return [one for one in found if one is not None]

    def _apply(self, one: _OpenText, change: object) -> None:
        try:
            text = text_at(change, "text")
            if field_at(change, "range") is None:
                self._replace(one, text)
            elif one.in_step:
                start, end = range_at(change, "range")
                self._splice(one, start, end, text)
        except RpcError as error:
            _drop(one)
            raise OutOfStep(
                f"a change cannot be followed ({error}): the text is not used until all of it comes"
            ) from None

    def _replace(self, one: _OpenText, text: str) -> None:
        _drop(one)
        self._refuse_large(one, len(text))
        one.lines, one.size, one.in_step = _split(text), len(text), True

    def _splice(self, one: _OpenText, start: LspPosition, end: LspPosition, text: str) -> None:
        lines = one.lines
        first, last = (min(at.line, len(lines) - 1) for at in (start, end))
        head = lines[first][: _column(lines, start, self.encoding)]
        tail = lines[last][_column(lines, end, self.encoding) :]
        new = head + text + tail
        if new.startswith("\n") and first and lines[first - 1].endswith("\r"):
            first -= 1
            new = lines[first] + new
        size = one.size - sum(map(len, lines[first : last + 1])) + len(new)
        self._refuse_large(one, size)
        parts = _split(new)
        if last + 1 < len(lines):
            parts.pop()  # what follows the last line end is the next line
        lines[first : last + 1] = parts
        one.size = size

    def _refuse_large(self, one: _OpenText, size: int) -> None:
        held = sum(each.size for each in self._texts.values() if each is not one)
        if size >= LARGEST or held + size > _ALL:
            _drop(one)
            raise OutOfStep(f"a text of {size:,} characters is too large to be filled")


def _drop(one: _OpenText) -> None:
    one.lines, one.size, one.in_step, one.snapshot = [""], 0, False, None


def _split(text: str) -> list[str]:
    """Return the lines of a text; the last one has no ending."""
    if _SURROGATE.search(text):
        text = paired(text)
    lines = _LINE.findall(text)
    return lines if lines and not lines[-1].endswith(("\n", "\r")) else [*lines, ""]


def _column(lines: list[str] | tuple[str, ...], at: LspPosition, encoding: PositionEncoding) -> int:
    """Return the column of a position; that of the text's end for a line behind it."""
    line = lines[min(at.line, len(lines) - 1)].rstrip("\r\n")
    return len(line) if at.line >= len(lines) else to_column(line, at.units, encoding)


def _version(params: Any) -> int | None:
    table = field_at(params, "textDocument")
    value = table.get("version") if isinstance(table, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
