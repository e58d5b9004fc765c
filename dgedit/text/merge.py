"""Three-way merge of texts by lines, as `git merge-file` does it.

`blocks` finds the lines that two texts share, `line_parts` the replacements that turn one into the
other; `merge` combines two descendants of a base text, and puts conflict markers where they
disagree. Lines keep their line endings, and nothing is ever left out: a change of one side is
taken, two different changes of the same lines are both kept.

Knows texts; nothing of files or screens. Fast because lines that occur once in both texts are
matched first, and what is between two such matches is compared by itself: 50,000 lines with changes
at both ends are merged in 70 ms.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate
from typing import NamedTuple

from dgedit.text.edits import Part

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")

_MINE, _THEIRS = "<<<<<<< mine", ">>>>>>> on disk"
_CONFLICT = re.compile(rf"(?:\A|(?<=[\r\n])){_THEIRS}(?=[\r\n]|\Z)")

# The most pairs of lines that are compared each with each: a larger stretch without a line that
# occurs once counts as different throughout. This many take 0.1 s at worst; a million take 15 s.
_PAIRS = 40_000


class Block(NamedTuple):
    """A run of lines that two texts share."""

    one: int
    """Its first line in one text."""
    two: int
    """Its first line in the other."""
    size: int
    """The number of its lines."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge."""

    text: str
    """The text with both sides' changes; where they conflict, both, between markers."""
    conflicts: tuple[int, ...]
    """The numbers, from 0, of the lines with the first marker of a conflict."""


def merge(base: str, mine: str, theirs: str, *, eol: str = "\n") -> Merged:
    """Merge two descendants of a base text; conflict markers end in `eol`."""
    old, ours, other = split_lines(base), split_lines(mine), split_lines(theirs)
    lines: list[str] = []
    conflicts: list[int] = []
    for was, here, there in _chunks(old, ours, other):
        if here == there or there == was:
            lines += here
        elif here == was:
            lines += there
        else:
            if lines:
                lines[-1] = _ended(lines[-1], eol)
            head, here, there, tail = _trimmed(here, there)
            lines += head
            conflicts.append(len(lines))
            lines += _marked(here, there, eol) + tail
    return Merged("".join(lines), tuple(conflicts))


def conflicts_in(text: str) -> int:
    """Count the conflicts marked by `merge` in a text."""
    return len(_CONFLICT.findall(text))


def split_lines(text: str) -> list[str]:
    """Split a text into lines, each with its ending: \\n, \\r or \\r\\n."""
    return _LINE.findall(text)


def blocks(one: Sequence[str], two: Sequence[str]) -> list[Block]:
    """Return the runs of lines that two texts share, in order."""
    return joined(_matches(one, two, 0, len(one), 0, len(two)))


def line_parts(old: str, new: str) -> tuple[Part, ...]:
    """Return the replacements that turn one text into another: only where they differ, and line by
    line as far as both have lines there.
    """
    one, two = split_lines(old), split_lines(new)
    starts = [*accumulate(map(len, one), initial=0)]
    parts: list[Part] = []
    i = j = 0
    for a, b, size in (*blocks(one, two), Block(len(one), len(two), 0)):
        while i < a - 1 and j < b - 1:
            parts.append(Part(starts[i], starts[i + 1], two[j]))
            i, j = i + 1, j + 1
        if i < a or j < b:
            parts.append(Part(starts[i], starts[a], "".join(two[j:b])))
        i, j = a + size, b + size
    return tuple(parts)


def joined(parts: Iterable[Block]) -> list[Block]:
    """Merge blocks that directly follow each other in both texts; expects them in order."""
    found: list[Block] = []
    for block in parts:
        last = found[-1] if found else Block(-1, -1, 0)
        if (last.one + last.size, last.two + last.size) == (block.one, block.two):
            found[-1] = Block(last.one, last.two, last.size + block.size)
        elif block.size:
            found.append(block)
    return found


def _matches(
    one: Sequence[str], two: Sequence[str], a: int, b: int, c: int, d: int
) -> Iterator[Block]:
    """Yield the blocks within lines `a` to `b` of one text and `c` to `d` of the other."""
    head = 0
    while a + head < b and c + head < d and one[a + head] == two[c + head]:
        head += 1
    yield Block(a, c, head)
    a, c = a + head, c + head
    tail = 0
    while a < b - tail and c < d - tail and one[b - tail - 1] == two[d - tail - 1]:
        tail += 1
    b, d = b - tail, d - tail
    if a < b and c < d:
        yield from _between(one, two, a, b, c, d)
    yield Block(b, d, tail)


def _between(
    one: Sequence[str], two: Sequence[str], a: int, b: int, c: int, d: int
) -> Iterator[Block]:
    pairs = _unique_pairs(one, two, a, b, c, d)
    if pairs:
        for i, j in [*pairs, (b, d)]:
            if a <= i and c <= j:
                yield from _matches(one, two, a, i, c, j)
                yield Block(i, j, int(i < b))
                a, c = i + 1, j + 1
    elif (b - a) * (d - c) <= _PAIRS:
        matcher = SequenceMatcher(None, one[a:b], two[c:d], autojunk=False)
        for i, j, size in matcher.get_matching_blocks():
            yield Block(a + i, c + j, size)


def _unique_pairs(
    one: Sequence[str], two: Sequence[str], a: int, b: int, c: int, d: int
) -> list[tuple[int, int]]:
    """Return the longest run of pairs of lines that occur once in both texts and whose order is the
    same in both (patience diff).
    """
    times, others = Counter(one[a:b]), Counter(two[c:d])
    places = {two[j]: j for j in range(c, d) if others[two[j]] == 1}
    pairs = [(i, places[one[i]]) for i in range(a, b) if times[one[i]] == 1 and one[i] in places]
    ends: list[int] = []  # where the best run of each length ends in `two`
    tops: list[int] = []
    before: list[int] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(tops[length - 1] if length else -1)
        ends[length : length + 1], tops[length : length + 1] = [j], [at]
    run: list[tuple[int, int]] = []
    at = tops[-1] if tops else -1
    while at >= 0:
        run.append(pairs[at])
        at = before[at]
    return run[::-1]


def _chunks(
    old: list[str], ours: list[str], other: list[str]
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Yield the three texts side by side, cut before and after each run of lines that all three
    share.
    """
    x = y = z = 0
    for i, j, k, size in _shared(blocks(old, ours), blocks(old, other)):
        yield old[x:i], ours[y:j], other[z:k]
        x, y, z = i + size, j + size, k + size
        yield old[i:x], ours[j:y], other[k:z]
    yield old[x:], ours[y:], other[z:]


def _shared(left: list[Block], right: list[Block]) -> Iterator[tuple[int, int, int, int]]:
    i = j = 0
    while i < len(left) and j < len(right):
        one, two = left[i], right[j]
        start = max(one.one, two.one)
        stop = min(one.one + one.size, two.one + two.size)
        if start < stop:
            yield start, one.two + start - one.one, two.two + start - two.one, stop - start
        if one.one + one.size < two.one + two.size:
            i += 1
        else:
            j += 1


def _trimmed(
    here: list[str], there: list[str]
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the common start of two sides, each side's own part, and their common end."""
    head = 0
    while head < min(len(here), len(there)) and here[head] == there[head]:
        head += 1
    tail = 0
    while tail < min(len(here), len(there)) - head and here[-1 - tail] == there[-1 - tail]:
        tail += 1
    end = len(here) - tail
    return here[:head], here[head:end], there[head : len(there) - tail], here[end:]


def _marked(here: list[str], there: list[str], eol: str) -> list[str]:
    sides = [[*side[:-1], _ended(side[-1], eol)] if side else [] for side in (here, there)]
    marks = f"{_MINE}{eol}", f"======={eol}", f"{_THEIRS}{eol}"
    return [marks[0], *sides[0], marks[1], *sides[1], marks[2]]


def _ended(line: str, eol: str) -> str:
    return line if line.endswith(("\n", "\r")) else line + eol
