"""What a project wants of a text that is saved: no blanks at the ends of lines, one ending for all.

Blanks are taken out of lines alone that were touched since the text was last saved, and not next to
a place that is to be filled; what is in such a place stays as it is. Knows texts and spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from dgedit.text.edits import Change, Part, Selection
from dgedit.text.merge import line_parts

_LINE_END = re.compile(r"\r\n|\n|\r")
_BLANKS = re.compile(r"(?<![ \t])[ \t]+(?=[\r\n]|\Z)")


@dataclass(frozen=True, slots=True)
class Tidying:
    """What is wanted."""

    trim: bool = False
    """Whether blanks at the ends of lines are to go."""
    final_newline: bool = False
    """Whether the last line is to be ended."""
    newline: str | None = None
    """What every line is to end with; None: with what it does."""


def tidied(
    text: str,
    saved: str,
    selection: Selection,
    wanted: Tidying,
    *,
    newline: str,
    holes: Sequence[tuple[int, int]] = (),
) -> Change | None:
    """Return the change that gives a text what is wanted of it; None for none. `newline` is what
    its last line is ended with, `holes` are the places to be filled.
    """
    trims = list(_trims(text, saved, holes)) if wanted.trim else []
    end = trims[-1].start if trims and trims[-1].end == len(text) else len(text)
    parts = list(trims)
    if wanted.newline is not None:
        parts += [
            Part(match.start(), match.end(), wanted.newline)
            for match in _LINE_END.finditer(text)
            if match[0] != wanted.newline
            and not any(one < match.end() and match.start() < two for one, two in holes)
        ]
    at_end = any(last == len(text) for _, last in holes)
    if wanted.final_newline and end and text[end - 1] not in "\r\n" and not at_end:
        parts.append(Part(len(text), len(text), wanted.newline or newline))
    if not parts:
        return None
    change = Change(tuple(sorted(parts, key=attrgetter("start", "end"))), selection)
    anchor, cursor = (change.map(index, before=True) for index in selection)
    return Change(change.parts, (anchor, cursor))


def _trims(text: str, saved: str, holes: Sequence[tuple[int, int]]) -> Iterator[Part]:
    by = 0
    for part in line_parts(saved, text):
        start = part.start + by
        for match in _BLANKS.finditer(text, start, start + len(part.text)):
            first, last = match.span()
            if not any(one <= last and first <= two for one, two in holes):
                yield Part(first, last, "")
        by += len(part.text) - (part.end - part.start)
