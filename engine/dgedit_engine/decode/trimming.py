"""Trim what a chat model writes into a hole: it likes to say again what stands around it.

It begins its answer with the hole's line from its beginning, ends it with the lines that follow, or
writes a block as if it stood at the margin; and it may close a long fence with a short one. Each
is undone only where the texts leave no doubt. Knows texts and drafts alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Draft

_LINES = 8  # of the text around a hole that may be said again, at most
_VISIBLE = 4  # characters that must agree: fewer may be meant
_FENCE = re.compile(r"^[ \t]*`{3,}", re.MULTILINE)
_SHORT = re.compile(r"\n[ \t]*`{3,}[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Trim:
    """The part of an answer that belongs into its hole."""

    start: int
    """Its start."""
    stop: int
    """Its end."""
    indent: str = ""
    """What all lines behind its first one lack; empty for nothing."""


def trimmed(draft: Draft, place: Surroundings) -> Draft:
    """Return the draft without what stands around its hole already."""
    text = draft.text
    trim = trim_of(text, place)
    if trim == Trim(0, len(text)):
        return draft
    pieces, sure, settled, at = [], [], [], 0
    for piece, value, over in zip(draft.pieces, draft.confidence, draft.settled, strict=True):
        first, last = max(at, trim.start), min(at + len(piece), trim.stop)
        at += len(piece)
        if own := _indented(text, first, last, trim):
            pieces.append(own)
            sure.append(value)
            settled.append(over)
    return Draft(tuple(pieces), tuple(sure), tuple(settled))


def trim_of(text: str, place: Surroundings) -> Trim:
    """Find the part of an answer that belongs into its hole."""
    stop = _unfenced(text, place)
    start = _said_before(text[:stop], place)
    least = 1 if text[:start].strip() else _VISIBLE  # who begins the line anew also ends it
    stop = start + _said_behind(text[start:stop], place, least)
    if not text[start:stop].strip():
        return Trim(0, len(text))  # it is what stands there, and may be meant twice
    return Trim(start, stop, _lacking(text[start:stop], place) if not start else "")


def _unfenced(text: str, place: Surroundings) -> int:
    """Return where a text ends that closes a fence which nobody in it or before it has opened."""
    short = _SHORT.search(text)
    opened = len(_FENCE.findall(text)) + len(_FENCE.findall(place.before))
    return short.start() if short and opened % 2 else len(text)


def _said_before(text: str, place: Surroundings) -> int:
    """Return the place behind what a text says again of what stands before its hole."""
    lines = place.before.split("\n")
    for count in range(min(_LINES, len(lines) - 1) + 1, 0, -1):
        head = "\n".join(lines[-count:])
        for form in (head, head.lstrip()):
            if _enough(form) and text.startswith(form):
                return len(form)
    line = place.line
    return len(line) if line and line.isspace() and text.startswith(line) else 0


def _said_behind(text: str, place: Surroundings, least: int) -> int:
    """Return the place before what a text says again of what stands behind its hole, at `least` so
    many characters.
    """
    lines = place.behind.split("\n")
    written = text.rstrip()
    for count in range(min(_LINES, len(lines)), 0, -1):
        tail = "\n".join(lines[:count]).rstrip()
        if _enough(tail, least) and written.endswith(tail):
            return len(written) - len(tail)
    return len(text)


def _lacking(text: str, place: Surroundings) -> str:
    """Return the indentation that a block lacks which was written at the margin: that of the hole,
    where its first line has it before it and the text around says that the block goes on so.
    """
    indent, (first, *rest) = place.line, text.split("\n")
    lines = [line for line in rest if line.strip()]
    if not indent or not indent.isspace() or first[:1].isspace() or not lines:
        return ""
    inner = lines[0].lstrip()
    # a block's first line that is indented as far as the hole: the block is not one yet
    flat = first.rstrip().endswith((":", "{", "(", "[")) and inner[0] not in ")]}"
    flat = flat and len(lines[0]) - len(inner) <= len(indent)
    if all(line.startswith(indent) for line in lines) and not flat:
        return ""
    held = [line for line in place.present.split("\n")[1:] if line.strip()]
    following = [line for line in place.behind.split("\n")[1:] if line.strip()]
    known = held or following[:1]
    return indent if known and all(line.startswith(indent) for line in known) else ""


def _indented(text: str, start: int, stop: int, trim: Trim) -> str:
    """Return a part of a text, each line in it that has text behind its indentation."""
    if not trim.indent:
        return text[start:stop]
    found = ""
    for at in range(start, stop):
        if at and text[at - 1] == "\n" and at > trim.start and text[at] != "\n":
            found += trim.indent
        found += text[at]
    return found


def _enough(text: str, least: int = _VISIBLE) -> bool:
    return len("".join(text.split())) >= least
