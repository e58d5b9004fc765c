"""Read what a language server says: problems, places and descriptions, of which nothing is trusted.

What is not as the protocol has it is left out. Knows the protocol's tables; nothing of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dgedit.protocol.positions import PositionEncoding
from dgedit.protocol.told import Told

_MOST = 500  # problems of a file, or places of a name
_WORDS = 2_000  # characters of a problem
_HOVER = 20_000  # characters of what is said of a name
_LAST = 1 << 31  # lines and columns are below


class Severity(IntEnum):
    """How bad a problem is."""

    ERROR = 1
    WARNING = 2
    INFORMATION = 3
    HINT = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a server finds wrong in a text."""

    start: int
    """The offset at which it begins, in the text that the server was told last."""
    end: int
    """The offset behind it."""
    severity: Severity
    """How bad it is."""
    words: str
    """What is wrong."""
    source: str = ""
    """Who says so, with the rule's name."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place in some file."""

    path: Path
    """The file."""
    row: int
    """The line, from 0."""
    units: int
    """The column, as the server counts."""


def problems(items: Any, told: Told, encoding: PositionEncoding) -> list[Problem]:
    """Return the problems of a text, in its order, the first 500."""
    found = []
    for item in _tables(items):
        span = _span(item.get("range"))
        words = item.get("message")
        if span is None or not isinstance(words, str):
            continue
        start, end = (told.offset(*place, encoding) for place in span)
        severity = item.get("severity")
        said = [item.get("source"), item.get("code")]
        source = " ".join(str(part)[:80] for part in said if isinstance(part, str | int))
        level = Severity(severity) if type(severity) is int and 0 < severity < 5 else Severity.ERROR
        found.append(Problem(start, max(start, end), level, words[:_WORDS].strip(), source))
    return sorted(found, key=lambda one: (one.start, one.severity))[:_MOST]


def targets(said: Any) -> list[Target]:
    """Return the places of an answer: a location, several, or links to some."""
    found = []
    for item in _tables(said if isinstance(said, list) else [said]):
        uri = item.get("uri", item.get("targetUri"))
        span = _span(item.get("range", item.get("targetSelectionRange")))
        path = path_of(uri)
        if path is not None and span is not None:
            found.append(Target(path, *span[0]))
    return found[:_MOST]


def hovered(said: Any) -> str:
    """Return what an answer says of a name, as plain text."""
    content = said.get("contents") if isinstance(said, dict) else None
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("value") if isinstance(part, dict) else part for part in parts)
    return "\n\n".join(text for text in texts if isinstance(text, str))[:_HOVER].strip()


def path_of(uri: Any) -> Path | None:
    """Return the path of a file's address; None for any other address."""
    if not isinstance(uri, str):
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = unquote(parts.path, errors="surrogateescape")
    here = parts.scheme == "file" and parts.netloc in ("", "localhost")
    return Path(path) if here and path.startswith("/") and "\0" not in path else None


def _tables(items: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def _span(said: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the two places of a range, as lines and columns."""
    if not isinstance(said, dict):
        return None
    start, end = _place(said.get("start")), _place(said.get("end"))
    return None if start is None or end is None else (start, end)


def _place(said: Any) -> tuple[int, int] | None:
    if not isinstance(said, dict):
        return None
    row, units = said.get("line"), said.get("character")
    fits = all(type(part) is int and 0 <= part < _LAST for part in (row, units))
    return (row, units) if fits else None  # type: ignore[return-value]
