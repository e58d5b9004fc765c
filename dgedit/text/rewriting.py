"""Write a text otherwise: in capitals, in order, with other line ends or another indentation.

Functions from a text and a selection to a change, which holes can follow: only what differs is
replaced, and lines that only move say so. Knows strings and offsets.
"""

from __future__ import annotations

import re
from itertools import accumulate
from operator import attrgetter

import regex

from dgedit.text.cells import width_of
from dgedit.text.edits import Change, Moved, Part, Selection, followed, lines_of, word_at

_LINE_END = re.compile(r"\r\n|\n|\r")
_LEAD = re.compile(r"(?:\A|(?<=[\r\n]))[ \t]+")
_WORD = regex.compile(r"[\w\p{M}]+")


def recased(text: str, selection: Selection, *, upper: bool) -> Change | None:
    """Write the selection in capitals, or without any; if nothing is selected, the word there."""
    start, end = sorted(selection)
    if start == end:
        start, end = word_at(text, end)
    parts = []
    for word in _WORD.finditer(text, start, end):
        new = word[0].upper() if upper else word[0].lower()
        if new != word[0]:
            parts.append(Part(word.start(), word.end(), new))
    return followed(parts, selection)


def sorted_lines(text: str, selection: Selection) -> Change | None:
    """Put the selected lines in order, by the numbers of their characters. The line ends stay."""
    lines = lines_of(text, selection)
    bodies = [text[line.start : line.end] for line in lines]
    order = sorted(range(len(lines)), key=bodies.__getitem__)
    if order == list(range(len(lines))):
        return None
    sizes = (len(bodies[at]) + line.stop - line.end for at, line in zip(order, lines, strict=True))
    start, stop = lines[0].start, lines[-1].stop
    parts, moved = [], []
    for here, (at, there) in enumerate(zip(order, accumulate(sizes, initial=start), strict=False)):
        old, line = lines[at], lines[here]
        if at != here:
            parts.append(Part(line.start, line.end, bodies[at]))
            moved.append(Moved(old.start, old.end, there - old.start))
    moved.sort(key=attrgetter("start"))
    anchor, cursor = (start, stop) if selection[0] <= selection[1] else (stop, start)
    return Change(tuple(parts), (anchor, cursor), tuple(moved))


def with_line_ends(text: str, selection: Selection, newline: str) -> Change | None:
    """End every line in the same way."""
    parts = [
        Part(match.start(), match.end(), newline)
        for match in _LINE_END.finditer(text)
        if match[0] != newline
    ]
    return followed(parts, selection)


def reindented(
    text: str, selection: Selection, unit: str, *, step: int, tab_width: int
) -> Change | None:
    """Indent every line by as many units as it was by steps, of so many cells; blanks that make no
    whole step stay behind them.
    """
    parts = []
    for match in _LEAD.finditer(text):
        count, rest = divmod(width_of(match[0], tab_width), step)
        new = unit * count + " " * rest
        if new != match[0]:
            parts.append(Part(match.start(), match.end(), new))
    return followed(parts, selection)
