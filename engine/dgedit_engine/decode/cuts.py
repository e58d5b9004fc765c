"""Rules of text for drafts without an end: where one may end, when it has gone too far, what fits.

A model that reads from left to right alone writes on, past the hole, into what it takes to follow.
Every place at which the hole's text could end there is a candidate: the ends of lines, or where the
line goes on behind the hole, the places from which the draft repeats what stands there. Works by
lines and indentation; knows neither tokens nor models.
"""

from __future__ import annotations

import re

from dgedit_engine.decode.endings import circle, met
from dgedit_engine.prompt.plain import Surroundings

LINES = 40
"""Lines after which a draft is given up."""

_MARKER = "<FILL"  # how a marker begins, as users write it
_CLOSING = tuple(")]}")  # what begins a line that may stand further left
_CLAUSE = re.compile(r"\s*((elif|else|except|finally|case|default|when)\b|[)\]}])")
_SAME = 8  # lines at the end that are held against those behind, at most
_EMPTY = "\n" * 5  # ends a draft that has nothing more to say
_INSIDE = 4  # places within a line at which a draft may end, at most
_AGREED = 4  # characters of the text behind that a line's draft must say to end inside it


def continues(behind: str) -> bool:
    """Say whether the line goes on behind the hole."""
    return bool(behind) and behind[0] not in "\r\n"


def visible(text: str, place: Surroundings) -> str:
    """Return a draft without the empty lines that it begins with, where it begins a line: those
    around a hole stand there already.
    """
    if not place.starts_line:
        return text
    start = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, start) + 1 :]


def cuts(text: str, place: Surroundings, *, ended: bool = False, asked: bool = False) -> list[int]:
    """Return the lengths at which the draft `text` may end, ascending; `ended` where its own end is
    one too, and `asked` where the model was asked for the hole's text alone, so that its end is the
    right one and nothing behind the hole is to be found in the draft.

    Where the hole begins a line and a line begins behind it, its text ends with a line's end; where
    the line ends behind it, before one; where a line goes on behind it, where the draft goes on as
    that line does, be it the first line or a later one, unless what the hole holds tells them
    apart.
    """
    goes_on, starts_line = continues(place.behind), place.starts_line
    takes_end = starts_line and (goes_on or not place.behind)
    ends = [at + takes_end for at, char in enumerate(text) if char == "\n"][:LINES]
    found = set(ends)
    if asked:
        found = (set() if goes_on else found) | ({len(text)} if ended else set())
    elif goes_on and not _whole_lines(place):
        line = text.split("\n", 1)[0]
        if not starts_line:
            found = {len(line)} if ends or ended else set()
        elif place.present.strip():
            found = set()
        found.update(_agreeing(line, place.behind, _AGREED if starts_line else 1))
        later = _agreeing(text, place.behind, _AGREED)
        found.update(at for at in later if at > len(line))
    elif ended and not goes_on:
        found.add(len(text) if takes_end else len(text.rstrip()))
    lines = takes_end or goes_on
    return sorted(length for length in found if _sound(text[:length], place, lines))


def too_far(text: str, place: Surroundings) -> bool:
    """Say whether more of a draft can be of no use: it repeats what stands behind the hole, a
    line's rest at least, has left the hole's block, goes round in circles, is at an end of empty
    lines or is too long.
    """
    lines, behind = text.split("\n"), place.behind
    if len(lines) > LINES or (len(lines) > 1 and circle(text) is not None):
        return True
    rest = behind.split("\n", 1)[0]
    if continues(behind) and rest.strip() and f"{rest}\n" in text:
        return True
    if text.endswith(_EMPTY) or met(text, behind):
        return True
    return len(lines) > 1 and left_block(text, place) is not None  # "el" may become "else:"


def fits(text: str, place: Surroundings) -> bool:
    """Say whether a text can be a hole's: it stays in its block, begins with no empty line that the
    hole did not begin with, ends a line where the hole did, and neither repeats what stands right
    behind it nor has a marker of a hole in it.
    """
    if _MARKER in text and _MARKER not in place.present:
        return False
    stays = left_block(text, place)
    if stays is not None and text[stays:].strip():
        return False
    empty = not place.line.strip() and text.strip() and not text.split("\n", 1)[0].strip()
    if empty and not _begins_empty(place.present):
        return False
    if _whole_lines(place) and text and not text.endswith("\n"):
        return False
    return not _repeats(text, place)


def left_block(text: str, place: Surroundings) -> int | None:
    """Return the place where a draft leaves the block that its hole is in: the start of the first
    line with less indentation than the hole's first one, or than what is around an empty hole; or
    behind a line that closes a bracket, which may stand further left as the last one. None where it
    stays.
    """
    line = place.line
    least = _least(text, place)
    at, closed = -len(line), False
    for index, one in enumerate((line + text).split("\n")):
        if one.strip():
            left = _indent(one) < least
            if closed or (left and (one.lstrip()[:1] not in _CLOSING or not index)):
                return max(at, 0)
            closed = closed or left
        at += len(one) + 1
    return None


def _whole_lines(place: Surroundings) -> bool:
    """Say whether a hole is lines with their ends: it begins one, and one begins behind it, which
    its present text shows, or else indentation there.
    """
    if not place.starts_line or not continues(place.behind):
        return False
    return place.present.endswith("\n") or (not place.present and place.behind[0] in " \t")


def _least(text: str, place: Surroundings) -> int:
    """Return the indentation of the hole's block."""
    if place.line.strip():
        return _indent(place.line)
    own = place.present if place.present.strip() else text
    first = next((one for one in (place.line + own).split("\n") if one.strip()), "")
    if not place.starts_line or place.present.strip() or _CLAUSE.match(first):
        return _indent(first)
    above = next((one for one in reversed(place.before.split("\n")) if one.strip()), "")
    below = next((one for one in place.behind.split("\n") if one.strip()), "")
    return max(_indent(first), min(_indent(above), _indent(below)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _begins_empty(text: str) -> bool:
    return bool(text.strip()) and not text.split("\n", 1)[0].strip()


def _repeats(text: str, place: Surroundings) -> bool:
    """Say whether a text ends with the lines that stand behind it, the same indentation
    included.
    """
    if continues(place.behind) and not text.endswith("\n"):
        return False
    own = [one.rstrip() for one in (place.line + text).split("\n") if one.strip()]
    next_ = [one.rstrip() for one in place.behind.split("\n") if one.strip()]
    most = min(len(own), len(next_), _SAME)
    return any(own[-count:] == next_[:count] for count in range(1, most + 1))


def _agreeing(text: str, behind: str, least: int) -> list[int]:
    """Return the places in a text from which it goes on as the line behind, for `least` characters
    at least; those that agree longest.
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


def _sound(text: str, place: Surroundings, takes_end: bool) -> bool:
    """Say whether a text can be a hole's: it is not blank, and neither begins nor ends with an
    empty line, but for the beginning of the line that goes on behind it.
    """
    lines = (text.rstrip(" \t").removesuffix("\n") if takes_end else text).split("\n")
    blank = not lines[-1].strip() and len(lines) > 1
    begins = place.starts_line and not lines[0].strip()
    return bool(text.strip()) and not blank and not begins and fits(text, place)
