"""Where the draft of a reader that never says "end" may end, and when it has gone too far.

A model that reads from left to right alone writes on, past the hole, into what it takes to follow.
Every place at which the hole's text could end there is a candidate: the ends of lines, or where the
line goes on behind the hole, the places from which the draft says what stands there. Rules of text,
by lines and indentation; knows neither tokens nor models.
"""

from __future__ import annotations

from dgedit_engine.decode.endings import circle, met

LINES = 40
"""Lines after which a draft is given up."""

_EMPTY = "\n" * 5  # ends a draft that has nothing more to say
_INSIDE = 4  # places within a line at which a draft may end, at most
_AGREED = 4  # characters of the text behind that a line's draft must say to end inside it


def continues(behind: str) -> bool:
    """Whether the line goes on behind the hole."""
    return bool(behind) and behind[0] not in "\r\n"


def visible(text: str, before: str) -> str:
    """A draft without the empty lines that it begins with, where it begins a line: those around a
    hole stand there already.
    """
    if before and not before.endswith("\n"):
        return text
    start = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, start) + 1 :]


def cuts(text: str, before: str, behind: str, *, ended: bool = False) -> list[int]:
    """Lengths at which the draft `text` may end, ascending; `ended`, where its end is one too.

    Where the hole begins a line and a line begins behind it, its text ends with a line's end; where
    the line ends behind it, before one; where a line goes on behind it, where the draft goes on as
    that line does, be it the first line or a later one.
    """
    starts_line = not before or before.endswith("\n")
    goes_on = continues(behind)
    takes_end = starts_line and (goes_on or not behind)
    ends = [place + takes_end for place, char in enumerate(text) if char == "\n"][:LINES]
    found = set(ends)
    if goes_on:
        line = text.split("\n", 1)[0]
        if not starts_line:
            found = {len(line)} if ends or ended else set()
        found.update(_agreeing(line, behind, _AGREED if starts_line else 1))
        found.update(place for place in _agreeing(text, behind, _AGREED) if place > len(line))
    elif ended:
        found.add(len(text) if takes_end else len(text.rstrip()))
    lines = takes_end or goes_on
    return sorted(length for length in found if _sound(text[:length], starts_line, lines))


def too_far(text: str, before: str, behind: str) -> bool:
    """Whether more of a draft can be no use: it says what stands behind the hole, a line's rest at
    least, has left the hole's block, goes round in circles, says nothing more or is too long.
    """
    lines = text.split("\n")
    if len(lines) > LINES or (len(lines) > 1 and circle(text) is not None):
        return True
    rest = behind.split("\n", 1)[0]
    if continues(behind) and rest.strip() and f"{rest}\n" in text:
        return True
    return text.endswith(_EMPTY) or met(text, behind) or left_block(text, before) is not None


def left_block(text: str, before: str) -> int | None:
    """Where a draft leaves the block that its hole is in: the start of the first line with less
    indentation than the first one; None where it stays.
    """
    line = before[before.rfind("\n") + 1 :]
    lines = (line + text).split("\n")
    first = next((one for one in lines if one.strip()), "")
    least = _indent(first)
    place = -len(line)
    for index, one in enumerate(lines):
        if index and one.strip() and _less(one, least):
            return place
        place += len(one) + 1
    return None


def _less(line: str, least: int) -> bool:
    """Whether a line stands to the left of a block; what closes a bracket belongs to it."""
    return _indent(line) < least and line.lstrip()[:1] not in ")]}"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _agreeing(text: str, behind: str, least: int) -> list[int]:
    """The places in a text from which it goes on as the line behind, at least so many characters;
    those that agree longest.
    """
    head = behind.split("\n", 1)[0]
    least = min(least, len(head))
    found = []
    place = text.find(head[:least])
    while place >= 0:
        agreed = least
        while agreed < len(head) and text[place + agreed : place + agreed + 1] == head[agreed]:
            agreed += 1
        found.append((-agreed, place))
        place = text.find(head[:least], place + 1)
    return [place for _, place in sorted(found)[:_INSIDE]]


def _sound(text: str, starts_line: bool, takes_end: bool) -> bool:
    """Whether a text can be a hole's: it says something, and neither begins nor ends with an empty
    line, but for the beginning of the line that goes on behind it.
    """
    lines = (text.rstrip(" \t").removesuffix("\n") if takes_end else text).split("\n")
    blank = not lines[-1].strip() and len(lines) > 1
    return bool(text.strip()) and not blank and not (starts_line and not lines[0].strip())
