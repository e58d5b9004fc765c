"""What is true of a text whatever key is pressed: a plain string, told apart from any widget."""

from __future__ import annotations

from collections.abc import Iterable

import regex

from dgedit.files.document import LINE_END

Selection = tuple[int, int]
"""Where it was begun, where the cursor is."""

_CHARACTER = regex.compile(r"\r\n|\r|\n|\X")


def boundaries(text: str) -> list[int]:
    """Where a cursor can be: before each character as it is read, and behind the last."""
    found, start = [], 0
    for end in [*LINE_END.finditer(text), None]:
        stop = end.start() if end else len(text)
        found += [start + one.start() for one in _CHARACTER.finditer(text[start:stop])]
        found.append(stop)
        start = end.end() if end else stop
    return found


def before(text: str, at: int) -> int:
    """The last place of a cursor before an offset."""
    return max((one for one in boundaries(text) if one < at), default=0)


def behind(text: str, at: int) -> int:
    """The next place of a cursor behind an offset."""
    return min((one for one in boundaries(text) if one > at), default=len(text))


def put(text: str, selection: Selection, new: str) -> tuple[str, int]:
    """The text with another in the selection's place, and where the cursor is then."""
    start, end = sorted(selection)
    text, at = text[:start] + new + text[end:], start + len(new)
    return text, at if at in boundaries(text) else before(text, at)


def typed(text: str, selection: Selection, chars: Iterable[str]) -> tuple[str, int]:
    """The same, one character after the other."""
    at = selection[1]
    for char in chars:
        text, at = put(text, selection, char)
        selection = at, at
    return text, at


def indent_at(text: str, at: int) -> str:
    """The blanks that the line of an offset begins with, as far as they are before it."""
    line = LINE_END.split(text[:at])[-1]
    return line[: len(line) - len(line.lstrip(" \t"))]


def same_outside(old: str, new: str, start: int, end: int) -> bool:
    """Whether the new text differs from the old one in that span of it at most."""
    enough = len(new) >= start + len(old) - end
    return enough and new.startswith(old[:start]) and new.endswith(old[end:])


def lines_around(text: str, selection: Selection) -> tuple[int, int]:
    """The lines that a selection touches, with the ones above and below."""
    starts = [0, *(end.end() for end in LINE_END.finditer(text))]
    first, last = (max(i for i, at in enumerate(starts) if at <= one) for one in sorted(selection))
    stop = starts[last + 2] if last + 2 < len(starts) else len(text)
    return starts[max(0, first - 1)], stop


class History:
    """What an undo brings back: the text at each depth of what can be undone."""

    def __init__(self, text: str) -> None:
        self.depth = 0
        self.texts = {0: text}
        """Not those that were passed by in one step."""

    def edited(self, depth: int, text: str) -> None:
        """An edit led there: nothing beyond it can be done again."""
        kept = min(self.depth + 1, depth)
        self.texts = {at: one for at, one in self.texts.items() if at < kept}
        self.gone_to(depth, text)

    def gone_to(self, depth: int, text: str) -> None:
        """An undo led there, or what takes one back."""
        self.depth = depth
        self.texts[depth] = text
