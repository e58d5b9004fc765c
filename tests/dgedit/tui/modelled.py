"""What is true of a text whatever key is pressed: a plain string, told apart from any widget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import regex

from dgedit.files.document import LINE_END
from dgedit.text.indentation import dedented, opens_block, opens_inside, to_stop
from dgedit.text.pairs import Pending, holds_empty_pair, opens_pair, pairs_of

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


def left_of(text: str, at: int) -> int:
    """The last place of a cursor before an offset."""
    return max((one for one in boundaries(text) if one < at), default=0)


def right_of(text: str, at: int) -> int:
    """The next place of a cursor behind an offset."""
    return min((one for one in boundaries(text) if one > at), default=len(text))


def put(text: str, selection: Selection, new: str) -> tuple[str, int]:
    """The text with another in the selection's place, and where the cursor is then."""
    start, end = sorted(selection)
    text, at = text[:start] + new + text[end:], start + len(new)
    return text, at if at in boundaries(text) else left_of(text, at)


def put_above(text: str, at: int, lines: str) -> tuple[str, int]:
    """The text with lines above that of a cursor, and where that is then."""
    start = max((end.end() for end in LINE_END.finditer(text, 0, at)), default=0)
    return text[:start] + lines + text[start:], at + len(lines)


@dataclass
class Typist:
    """A text and a selection, to which keys do what they do by hand."""

    text: str
    selection: Selection
    name: str
    """The file's."""
    step: int
    """The cells of a step of its indentation."""
    unit: str
    """Such a step."""
    pending: Pending
    """What was put in and not typed since."""

    def types(self, chars: Iterable[str], *, in_hole: bool = False) -> None:
        """Type, one character after the other."""
        for char in chars:
            self._types(char, in_hole)

    def _types(self, char: str, in_hole: bool) -> None:
        anchor, at = self.selection
        pairs = pairs_of(self.name)
        start, end = sorted(self.selection)
        if anchor != at and char in pairs:
            inner = char + self.text[start:end] + pairs[char]
            self.text = self.text[:start] + inner + self.text[end:]
            self.selection = anchor + 1, at + 1
            return
        before, behind, above = self._around(at)
        row, tail = len(above), len(behind)
        inner_end = self.pending.has(row, tail) and behind[0] in pairs.values()
        if anchor == at and inner_end and behind[0] == char:
            self.pending = self.pending.closed(row, tail)
            self._goes_to(at + 1)
        elif anchor != at or in_hole:
            self._puts(char)
        else:
            new = char
            if opens_pair(before + behind, len(before), char, pairs, inner=inner_end):
                new += pairs[char]
                self.pending = self.pending.opened(row, tail + 1)
            lead = dedented(before + char, above, self.name)
            if lead is not None:
                old = at - len(before)
                gone = len(indent_of(before + char)) - len(lead)
                self.text = self.text[: old + len(lead)] + self.text[old + len(lead) + gone :]
                self.selection = at - gone, at - gone
            self._puts(new)
            if len(new) > 1:
                self._goes_to(self.selection[1] - 1)

    def breaks_line(self, newline: str, *, in_hole: bool = False) -> None:
        """End the line."""
        start, end = sorted(self.selection)
        before, behind = self._around(start)[0], self._around(end)[1]
        new = newline + indent_of(before) + self.unit * opens_block(before, self.name)
        if not in_hole and opens_inside(before, behind, self.name):
            start -= len(before) - len(before.rstrip(" \t"))
            end += len(behind) - len(behind.lstrip(" \t"))
            self.text = self.text[:end] + newline + indent_of(before) + self.text[end:]
        self.text = self.text[:start] + new + self.text[end:]
        self._goes_to(start + len(new))

    def deletes_left(self, *, in_hole: bool = False) -> None:
        """Take out what Backspace does."""
        start, end = sorted(self.selection)
        if start == end:
            before, behind, above = self._around(end)
            start = left_of(self.text, end)
            if not in_hole and holds_empty_pair(before + behind, len(before), pairs_of(self.name)):
                self.pending = self.pending.closed(len(above), len(behind))
                end += 1
            elif not in_hole and before and not before.strip(" \t"):
                start = end - to_stop(before, self.step, 4)
        self.text, at = put(self.text, (start, end), "")
        self.selection = at, at

    def _puts(self, new: str) -> None:
        self.text, at = put(self.text, self.selection, new)
        self.selection = at, at

    def _goes_to(self, at: int) -> None:
        at = at if at in boundaries(self.text) else left_of(self.text, at)
        self.selection = at, at

    def _around(self, at: int) -> tuple[str, str, list[str]]:
        """What of its line is before an offset, and behind it, and the lines above it."""
        *above, head = LINE_END.split(self.text[:at])
        return head, LINE_END.split(self.text[at:])[0], above[::-1]


def indent_of(line: str) -> str:
    """The blanks that a line begins with."""
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
