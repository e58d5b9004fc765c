"""Cut a result's diff into hunks that can be accepted one by one.

The lines that a hole touches are compared with the lines that would replace them; other lines are
unchanged. A hunk is what the diff shows together: a change and its context lines, or several
changes close to each other. Holes that share a line change together.

Knows one editor's text and the drafts for its holes; `accepting.py` puts a hunk into the text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dgedit.files.document import Span
from dgedit.text.merge import Block, blocks, joined, split_lines
from dgedit.text.readable_diff import hunks_of
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole

Fills = Sequence[tuple[OpenHole, str]]
"""Holes of one editor, in order, each with the text that is to fill it."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """Lines that are replaced by others."""

    span: Span
    """The span of the old lines, which are whole lines."""
    text: str
    """The new lines."""
    grown: Mapping[OpenHole, int]
    """The holes that this changes, and by how much each grows; several if they share a line."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk of the diff."""

    lines: tuple[str, ...]
    """The lines to show, the head first."""
    changes: tuple[LineChange, ...]
    """The changes that are accepted with it, in order."""
    closed: frozenset[OpenHole]
    """The holes that have no other hunk, and are closed by it."""


def hunks(editor: Editor, fills: Fills) -> list[Hunk]:
    """Return the hunks that the drafts make of the text, in order."""
    old = split_lines(editor.text)
    starts = [0, *accumulate(map(len, old))]
    new: list[str] = []
    shared: list[Block] = []
    changes: list[tuple[int, LineChange]] = []  # each with its first line
    done = 0
    for group, rows in _groups(fills, starts):
        shared.append(Block(done, len(new), rows.start - done))
        new += old[done : rows.start]
        held, lines = old[rows.start : rows.stop], _filled(editor, group, starts, rows)
        found = blocks(held, lines) if len(group) == 1 else _ends(held, lines)
        shared += (Block(rows.start + one, len(new) + two, size) for one, two, size in found)
        for a, b, c, d in _between(found, len(held), len(lines)):
            span = Span(starts[rows.start + a], starts[rows.start + b])
            text = "".join(lines[c:d])
            grown = {group[0][0]: len(text) - (span.end - span.start)}
            if len(group) > 1:
                grown = {hole: _growth(editor, hole, draft) for hole, draft in group}
            changes.append((rows.start + a, LineChange(span, text, grown)))
        new += lines
        done = rows.stop
    shared.append(Block(done, len(new), len(old) - done))
    new += old[done:]
    every = Counter(hole for _, change in changes for hole in change.grown)
    cut = []
    for shown, stop in hunks_of(old, new, joined(shared)):
        own = tuple(change for line, change in changes if line <= stop)
        del changes[: len(own)]
        here = Counter(hole for change in own for hole in change.grown)
        closed = frozenset(hole for hole, count in here.items() if count == every[hole])
        cut.append(Hunk(tuple(shown), own, closed))
    return cut


def _groups(fills: Fills, starts: Sequence[int]) -> Iterator[tuple[Fills, range]]:
    """Group the holes that share a line, and yield each group with the lines it touches."""
    group: list[tuple[OpenHole, str]] = []
    rows = range(0)
    for hole, text in fills:
        first, last = (
            max(0, bisect_right(starts, at, hi=len(starts) - 1) - 1)
            for at in (hole.start, hole.end)
        )
        if group and rows.stop <= first:
            yield group, rows
            group = []
        group.append((hole, text))
        rows = range(rows.start if len(group) > 1 else first, min(last + 1, len(starts) - 1))
    if group:
        yield group, rows


def _filled(editor: Editor, group: Fills, starts: Sequence[int], rows: range) -> list[str]:
    """Return the lines as they would be with the drafts in their holes."""
    new = editor.current.apply([(hole.span, draft) for hole, draft in group]).text
    return split_lines(new[starts[rows.start] : len(new) - starts[-1] + starts[rows.stop]])


def _growth(editor: Editor, hole: OpenHole, draft: str) -> int:
    return len(editor.current.fitted(draft, hole.span)) - (hole.end - hole.start)


def _ends(old: list[str], new: list[str]) -> list[Block]:
    """Return the lines that two texts share at their start and at their end."""
    most = min(len(old), len(new))
    first = next((i for i in range(most) if old[i] != new[i]), most)
    last = next((i for i in range(most - first) if old[~i] != new[~i]), most - first)
    return [Block(0, 0, first), Block(len(old) - last, len(new) - last, last)]


def _between(found: Sequence[Block], old: int, new: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the stretches of lines of both texts that are in no block."""
    i = j = 0
    for one, two, size in (*found, Block(old, new, 0)):
        if i < one or j < two:
            yield i, one, j, two
        i, j = one + size, two + size
