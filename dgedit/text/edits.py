"""Pure editing commands: functions from a text and a selection to a change or a new cursor.

A change is a list of replacements and the selection after them, all in code points, so that tests
can apply it to a plain string. Lines end at \\n, \\r\\n and \\r; a line that is moved or duplicated
takes its own line ending along, and a last line without one gets the ending used in the file.

Knows strings and offsets; nothing of widgets, holes or files. Fast because only the lines that the
selection touches are looked at: a command in the middle of 50,000 lines takes well under 1 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import regex

# A word with its accents, a run of blanks, or a run of punctuation.
_RUN = regex.compile(r"\w[\w\p{M}]*+|[^\S\r\n]+|[^\w\s]+")
_BACKWARDS = regex.compile(r"(?r)\w[\w\p{M}]*|[^\S\r\n]+|[^\w\s]+")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_OPENING = {close: open_ for open_, close in _BRACKETS.items()}

Selection = tuple[int, int]
"""The anchor, where the selection was begun, and the cursor; equal if nothing is selected."""


@dataclass(frozen=True, slots=True)
class Part:
    """The replacement of one range of the text."""

    start: int
    """The first code point that is replaced, in the text before the change."""
    end: int
    """The code point after the last one that is replaced."""
    text: str
    """The new text."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A range of text that a change moves elsewhere, unaltered."""

    start: int
    """Its first code point before the change."""
    end: int
    """The code point after its last one."""
    by: int
    """The distance, in code points; negative to the left."""


@dataclass(frozen=True, slots=True)
class Change:
    """An edit that is applied at once, and undone at once."""

    parts: tuple[Part, ...]
    """In order; none overlaps another."""
    selection: Selection
    """The selection in the text after the change."""
    moved: tuple[Moved, ...] = ()
    """The ranges that only move, so that holes inside them can follow."""

    def splice(self, text: str) -> tuple[int, int, str]:
        """Merge all parts into one replacement: return its start, its end and the new text."""
        pieces = []
        start = done = self.parts[0].start if self.parts else 0
        for part in self.parts:
            assert done <= part.start <= part.end <= len(text), part
            pieces += [text[done : part.start], part.text]
            done = part.end
        return start, done, "".join(pieces)

    def apply(self, text: str) -> str:
        """Return the text after the change. Every editor that applies it must agree with this."""
        start, end, new = self.splice(text)
        return text[:start] + new + text[end:]

    def invert(self, text: str, start: int = 0) -> Change:
        """Return the change that undoes this one. `text` is the text before it, from offset `start`
        on.
        """
        parts, by = [], 0
        for part in self.parts:
            old = text[part.start - start : part.end - start]
            parts.append(Part(part.start + by, part.start + by + len(part.text), old))
            by += len(part.text) - len(old)
        moved = tuple(Moved(one.start + one.by, one.end + one.by, -one.by) for one in self.moved)
        back = Change(tuple(parts), self.selection, moved)
        anchor, cursor = self.selection
        return replace(back, selection=(back.map(anchor), back.map(cursor)))

    def map(self, index: int, *, before: bool = False) -> int:
        """Return where an offset is after the change.

        An offset inside replaced text keeps its distance from the part's start, as far as the new
        text reaches. With `before`, an offset at an insertion stays in front of the inserted text.
        """
        for one in self.moved:
            if one.start <= index < one.end:
                return index + one.by
        by = 0
        for part in self.parts:
            if part.start > index:
                break
            if part.end < index or (part.end == index and not (before and part.start == index)):
                by += len(part.text) - (part.end - part.start)
            elif part.start < index:
                return part.start + by + min(index - part.start, len(part.text))
        return index + by


@dataclass(frozen=True, slots=True)
class Line:
    """The offsets of a line."""

    start: int
    """Its first code point."""
    end: int
    """The offset of its line ending."""
    stop: int
    """The offset at which the next line begins."""


# Lines


def line_at(text: str, index: int) -> Line:
    """Return the line that holds an offset."""
    start = max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1
    ends = [at for at in (text.find("\n", index), text.find("\r", index)) if at >= 0]
    end = min(ends, default=len(text))
    return Line(start, end, min(len(text), end + (2 if text.startswith("\r\n", end) else 1)))


def lines_of(text: str, selection: Selection) -> list[Line]:
    """Return the lines that a selection touches, without a last one at whose first column the
    selection ends.
    """
    first, last = sorted(selection)
    lines = [line_at(text, first)]
    while lines[-1].stop < last:
        lines.append(line_at(text, lines[-1].stop))
    return lines


def indent(text: str, selection: Selection, unit: str) -> Change | None:
    """Indent the selected lines; empty lines stay empty."""
    lines = [line for line in lines_of(text, selection) if line.end > line.start]
    return followed([Part(line.start, line.start, unit) for line in lines], selection)


def dedent(text: str, selection: Selection, width: int) -> Change | None:
    """Dedent the selected lines by a tab, or by up to `width` blanks."""
    parts = []
    for line in lines_of(text, selection):
        lead = text[line.start : line.start + min(width, lead_of(text, line))]
        cut = lead.find("\t") + 1 or len(lead)
        if cut:
            parts.append(Part(line.start, line.start + cut, ""))
    return followed(parts, selection)


def duplicate(text: str, selection: Selection, newline: str, *, below: bool = True) -> Change:
    """Insert a copy of the selected lines below them; `below` moves the selection to it."""
    lines = lines_of(text, selection)
    start, stop = lines[0].start, lines[-1].stop
    body = text[start:stop]
    if lines[-1].end == len(text):  # the last line has no line ending
        body = newline + body
    anchor, cursor = selection
    by = len(body) if below else 0
    return Change((Part(stop, stop, body),), (anchor + by, cursor + by))


def insert_above(text: str, selection: Selection, lines: str) -> Change:
    """Put lines above that of the cursor, which stays where it is in its own."""
    start, by = line_at(text, selection[1]).start, len(lines)
    anchor, cursor = selection
    return Change((Part(start, start, lines),), (anchor + by, cursor + by))


def move(text: str, selection: Selection, *, down: bool) -> Change | None:
    """Swap the selected lines with the line above or below them."""
    lines = lines_of(text, selection)
    if (lines[-1].end == len(text)) if down else (lines[0].start == 0):
        return None
    if down:
        other = line_at(text, lines[-1].stop)
        start, middle, stop = lines[0].start, lines[-1].stop, other.stop
    else:
        other = line_at(text, lines[0].start - 1 - text.endswith("\r\n", 0, lines[0].start))
        start, middle, stop = other.start, lines[0].start, lines[-1].stop
    upper, lower = text[start:middle], text[middle:stop]
    bare, back, forth = len(_bare(upper)), start - middle, len(lower)
    swapped = lower + upper
    if _bare(lower) == lower:  # the text's last line: it takes the ending of the one above it
        swapped = lower + upper[bare:] + upper[:bare]
        forth += len(upper) - bare
    moved = (Moved(start, start + bare, forth), Moved(middle, middle + len(_bare(lower)), back))
    by = forth if down else back
    limit = start + len(swapped)
    anchor, cursor = (min(index + by, limit) for index in selection)
    return Change((Part(start, stop, swapped),), (anchor, cursor), moved)


def delete_lines(text: str, selection: Selection) -> Change | None:
    """Delete the selected lines; the cursor keeps its column on the next line."""
    lines = lines_of(text, selection)
    start, stop = lines[0].start, lines[-1].stop
    column = selection[1] - line_at(text, selection[1]).start
    if lines[-1].end == len(text) and start > 0:  # also delete the line ending before it
        start -= 1 + text.endswith("\r\n", 0, start)
        stop = len(text)
        line = line_at(text, start)
        cursor = min(line.start + column, start)
    else:
        following = line_at(text, stop).end - stop if stop < len(text) else 0
        cursor = start + min(column, following)
    return Change((Part(start, stop, ""),), (cursor, cursor)) if start < stop else None


def join(text: str, selection: Selection) -> Change | None:
    """Join the selected lines, or one line with the next, with one blank between them."""
    lines = lines_of(text, selection)
    if len(lines) == 1 and lines[0].end < len(text):
        lines.append(line_at(text, lines[0].stop))
    parts: list[Part] = []
    begun = False
    for upper, lower in pairwise(lines):
        body = len(text[upper.start : upper.end].rstrip())
        begun = begun or body > 0
        left = max(upper.start + body, parts[-1].end if parts else 0)
        right = lower.start + lead_of(text, lower)
        parts.append(Part(left, right, " " if begun and right < lower.end else ""))
    if not parts:
        return None
    change = Change(tuple(parts), selection)
    at = change.map(parts[-1].start)
    return replace(change, selection=(at, at))


def select_lines(text: str, selection: Selection) -> Selection:
    """Extend the selection to whole lines, or by one more line if it is whole lines already."""
    lines = lines_of(text, selection)
    start, stop = lines[0].start, lines[-1].stop
    if tuple(sorted(selection)) == (start, stop):
        stop = line_at(text, stop).stop
    return start, stop


def home(text: str, cursor: int) -> int:
    """Return the offset of the line's first character that is no blank; if the cursor is there
    already, the line's start.
    """
    line = line_at(text, cursor)
    first = line.start + lead_of(text, line)
    return line.start if cursor == first else first


# Words


def word_left(text: str, cursor: int) -> int:
    """Return the start of the word on the left; from a line's start, the end of the line above."""
    line = line_at(text, cursor)
    if cursor == line.start:
        return cursor - (1 + text.endswith("\r\n", 0, cursor) if cursor else 0)
    for match in _BACKWARDS.finditer(text, line.start, cursor):
        if not match[0].isspace():
            return int(match.start())
    return line.start


def word_right(text: str, cursor: int) -> int:
    """Return the end of the word on the right; from a line's end, the next line's start."""
    line = line_at(text, cursor)
    if cursor == line.end:
        return line.stop
    for match in _RUN.finditer(text, cursor, line.end):
        if not match[0].isspace():
            return int(match.end())
    return line.end


def word_at(text: str, cursor: int) -> Selection:
    """Return the word that the cursor is in or right behind; else the punctuation or blanks around
    it.
    """
    line = line_at(text, cursor)
    near = [
        (match.start(), match.end())
        for match in _RUN.finditer(text, line.start, line.end)
        if match.start() <= cursor <= match.end()
    ]
    if not near:
        return cursor, cursor
    words = [span for span in near if text[span[0]].isalnum() or text[span[0]] == "_"]
    return (words or near)[-1]


def occurrences(text: str, selection: Selection) -> list[Selection]:
    """Return the other occurrences of the selected text, from the selection on and around the end;
    of a whole word, those that are whole words.
    """
    start, end = sorted(selection)
    what = regex.escape(text[start:end], literal_spaces=True)
    if word_at(text, end) == (start, end) and text[start].isalnum():
        what = rf"(?<!\w){what}(?![\w\p{{M}}])"
    pattern = regex.compile(what)
    behind = [match.span() for match in pattern.finditer(text, end)]
    before = [match.span() for match in pattern.finditer(text, 0) if match.end() <= start]
    return behind + before


# Brackets


def matching_bracket(text: str, cursor: int) -> int | None:
    """Return the offset of the partner of the bracket at the cursor, before it, or next on its
    line.
    """
    at = _bracket_near(text, cursor)
    if at is None:
        return None
    one = text[at]
    if one in _BRACKETS:
        signs = regex.compile("[" + regex.escape(one + _BRACKETS[one]) + "]")
        found: Iterator[regex.Match[str]] = signs.finditer(text, at)
    else:
        signs = regex.compile("(?r)[" + regex.escape(_OPENING[one] + one) + "]")
        found = signs.finditer(text, 0, at + 1)
    depth = 0
    for match in found:
        depth += 1 if match[0] == one else -1
        if depth == 0:
            return int(match.start())
    return None


def _bracket_near(text: str, cursor: int) -> int | None:
    for at in (cursor, cursor - 1):
        if 0 <= at < len(text) and (text[at] in _BRACKETS or text[at] in _OPENING):
            return at
    match = regex.compile(r"[()\[\]{}]").search(text, cursor, line_at(text, cursor).end)
    return None if match is None else int(match.start())


# Offsets


def followed(parts: list[Part], selection: Selection) -> Change | None:
    """Return a change whose selection stays on its text; None if there are no parts."""
    if not parts:
        return None
    anchor, cursor = selection
    change = Change(tuple(parts), selection)
    anchor, cursor = (
        change.map(anchor, before=anchor < cursor),
        change.map(cursor, before=cursor < anchor),
    )
    return replace(change, selection=(anchor, cursor))


def lead_of(text: str, line: Line) -> int:
    """Count the blanks and tabs that a line begins with."""
    body = text[line.start : line.end]
    return len(body) - len(body.lstrip(" \t"))


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
