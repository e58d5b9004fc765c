"""Rules of text for drafts without an end: where one may end, when it has gone too far, what fits.

A model that reads from left to right alone writes on, past the hole, into what it takes to follow.
Every place at which the hole's text could end there is a candidate: the ends of lines, or where the
line goes on behind the hole, the places from which the draft repeats what stands there. Works by
lines and indentation; knows neither tokens nor models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from dgedit_engine.decode.endings import circle, met
from dgedit_engine.prompt.plain import Surroundings

LINES = 40
"""Lines after which a draft is given up."""

_MARKER = "<FILL"  # how a marker begins, as users write it
_CLOSING = tuple(")]}")  # what begins a line that may stand further left
# The end of a line that leads to lines further right, a comment behind it or not; and what begins
# one that does, or that belongs to the next: a decorator, a comment, an item of a list.
_LEADS = re.compile(
    r"([:{(\[,\\=+|&<>?]|\b(and|or|not|in|do|then|else|try|begin))\s*((#|//|/\*).*)?$"
    r"|^\s*([@#*-]|\d+[.)]|//|/\*)"
)
_INDENTED = re.compile(r"\t|  | \*")  # a line's indentation, not a blank between two words
_GOES_ON = tuple(".?|&+*/:=<")  # what begins a line that goes on with the one above
_SAME = 8  # lines at the end that are held against those behind, at most
_EMPTY = "\n" * 5  # ends a draft that has nothing more to say
_INSIDE = 4  # places within a line at which a draft may end, at most
_AGREED = 4  # characters of the text behind that a line's draft must say to end inside it


def continues(behind: str) -> bool:
    """Say whether the line goes on behind the hole."""
    return bool(behind) and behind[0] not in "\r\n"


def between_lines(place: Surroundings) -> bool:
    """Say whether a hole without text may go from a line's end to where another begins: before it
    stands a part of a line, and behind it an indented one.
    """
    begun = bool(place.line.strip()) and not place.line[-1].isspace()
    behind = place.behind.split("\n", 1)[0]
    return begun and not place.present and bool(behind.strip() and _INDENTED.match(behind))


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
    return sorted(length for length in found if fitting(text[:length], place))


def fitting(text: str, place: Surroundings) -> bool:
    """Say whether a text can be a hole's, wherever it was cut: it fits, is not blank, and neither
    begins nor ends with an empty line, but for the beginning of the line that goes on behind it.
    """
    takes_end = continues(place.behind) or (place.starts_line and not place.behind)
    lines = (text.rstrip(" \t").removesuffix("\n") if takes_end else text).split("\n")
    blank = not lines[-1].strip() and len(lines) > 1
    begins = place.starts_line and not lines[0].strip()
    return bool(text.strip()) and not blank and not begins and fits(text, place)


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
    """Say whether a text can be a hole's: it stays in its block, or leads to the one behind, begins
    with no empty line that the hole did not begin with, ends a line where the hole did, and neither
    repeats what stands right behind it nor has a marker of a hole in it.
    """
    if _MARKER in text and _MARKER not in place.present:
        return False
    stays = left_block(text, place)
    if (stays is not None and text[stays:].strip()) or not _leads(text, place):
        return False
    empty = not place.line.strip() and text.strip() and not text.split("\n", 1)[0].strip()
    if empty and not _begins_empty(place.present):
        return False
    if _whole_lines(place) and text and not text.endswith("\n"):
        return False
    return not _repeats(text, place)


def left_block(text: str, place: Surroundings) -> int | None:
    """Return the place where a draft leaves the block that its hole is in: the start of the first
    line that is further left than any of the hole's can be; or behind a line that closes a bracket,
    which may stand further left as the last one. None where it stays.
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
    indented = _INDENTED.match(place.behind) is not None
    return place.present.endswith("\n") or (not place.present and indented)


def _least(text: str, place: Surroundings) -> int:
    """Return how far left the hole's lines may stand: not left of its present text; in an empty
    hole not left of the block that the line behind is in, unless that line may be in a block that
    they lead to.
    """
    if place.present.strip():
        lines = (place.line + place.present).split("\n")
        return min(_indent(one) for one in lines if one.strip())
    first = _indent(next(_lines(place.line + text), ""))
    below, parted = _below(place)
    if below is None:
        return min(first, 1)
    if _indent(below) < first and parted:
        return _indent(below) + 1
    if first or not _indent(below) or place.line.strip():
        return min(first, 1)
    return 1 if _inside(place) and text.lstrip()[:1] not in _CLOSING else 0


def _leads(text: str, place: Surroundings) -> bool:
    """Say whether the last line of an empty hole may stand before the line behind it: that is no
    further right, or the last one leads to it.
    """
    below, _ = _below(place)
    if place.present.strip() or below is None or below.lstrip().startswith(_GOES_ON):
        return True
    rest = "" if text.endswith("\n") else place.behind.split("\n", 1)[0]
    last = next(_lines(place.line + text + rest, -1), "")
    return _indent(last) >= _indent(below) or _LEADS.search(last) is not None


@lru_cache(maxsize=4)  # asked for each token of each draft
def _inside(place: Surroundings) -> bool:
    """Say whether a line at the margin would end the block above: that ends with an empty line, or
    with a comment, above what it is about.
    """
    above = place.before[: len(place.before) - len(place.line)]
    line = next(_lines(above, -1), "")
    comment = line.lstrip()[:1] in tuple("*#/")
    return _indent(line) > 0 and not comment and not above.endswith("\n\n")


@lru_cache(maxsize=4)
def _below(place: Surroundings) -> tuple[str | None, bool]:
    """Return the first line with text behind the hole's last line, and whether an empty line parts
    the two. None at the end of the file.
    """
    behind = place.behind
    if not (place.starts_line and _INDENTED.match(behind)):
        behind = behind.partition("\n")[2]  # without the end of the hole's last line
    return next(_lines(behind), None), not behind.split("\n", 1)[0].strip()


def _lines(text: str, step: int = 1) -> Iterator[str]:
    """Yield a text's lines that are not blank, from its start or its end on."""
    return (line for line in text.split("\n")[::step] if line.strip())


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
