"""Turn lines into comments, and comments back into lines.

Inside a comment that has an end mark, such as `*/`, another end mark would close it too early.
Commenting therefore puts a backslash between the two characters of every mark in the text (one more
if there are some already), and uncommenting removes exactly one. Knows strings and file names.
"""

from __future__ import annotations

import re

from dgedit.text.edits import Change, Line, Part, Selection, followed, lead_of, lines_of
from dgedit.text.languages import kind_of

# For each end mark: where to insert an escaping backslash, and a pattern for one to remove.
_PARTED = {
    "*/": (r"(?<=\*)(?=\\*/)|(?<=/)(?=\\*\*)", r"(?<=\*)\\(?=\\*/)|(?<=/)\\(?=\\*\*)"),
    "-->": (r"(?<=-)(?=\\*-)", r"(?<=-)\\(?=\\*-)"),
}


def comment_marks(name: str) -> tuple[str, str] | None:
    """Return the start and end mark of a comment in a file of this name; None if there is no
    comment syntax.
    """
    return kind_of(name).comment


def toggle_comment(text: str, selection: Selection, marks: tuple[str, str]) -> Change | None:
    """Comment the selected lines, or uncomment them if every one is a comment."""
    lines = lines_of(text, selection)
    full = [line for line in lines if text[line.start : line.end].strip()] or lines
    bodies = [(line.start + lead_of(text, line), _body_end(text, line)) for line in full]
    if all(_is_comment(text[at:stop], marks) for at, stop in bodies):
        parts = [part for body in bodies for part in _bared(text, *body, marks)]
    else:
        column = min(at - line.start for line, (at, _) in zip(full, bodies, strict=True))
        starts = [line.start + column for line in full]
        parts = [
            part
            for start, (_, stop) in zip(starts, bodies, strict=True)
            for part in _wrapped(text, start, max(stop, start), marks)
        ]
    return followed(parts, selection)


def _is_comment(body: str, marks: tuple[str, str]) -> bool:
    """Say whether the text is exactly one comment and nothing else."""
    begin, end = marks
    if not body.startswith(begin):
        return False
    return not end or body.find(end, len(begin)) == max(len(begin), len(body) - len(end))


def _wrapped(text: str, start: int, stop: int, marks: tuple[str, str]) -> list[Part]:
    begin, end = marks
    opened = Part(start, start, begin + " ")
    if not end:
        return [opened]
    places = [start + one.start() for one in re.finditer(_PARTED[end][0], text[start:stop])]
    return [opened, *(Part(at, at, "\\") for at in places), Part(stop, stop, " " + end)]


def _bared(text: str, at: int, stop: int, marks: tuple[str, str]) -> list[Part]:
    begin, end = marks
    inner, last = at + len(begin), stop - len(end)
    first = inner + text.startswith(" ", inner, last)
    if not end:
        return [Part(at, first, "")]
    last -= text.startswith(" ", last - 1, last) and last > first
    places = [first + one.start() for one in re.finditer(_PARTED[end][1], text[first:last])]
    return [Part(at, first, ""), *(Part(p, p + 1, "") for p in places), Part(last, stop, "")]


def _body_end(text: str, line: Line) -> int:
    body = text[line.start : line.end]
    return line.start + max(len(body.rstrip(" \t")), lead_of(text, line))
