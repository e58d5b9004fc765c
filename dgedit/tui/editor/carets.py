"""A cursor as a value, and what becomes of cursors that meet.

Knows offsets; nothing of the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

from dgedit.text.pairs import Pending


@dataclass(frozen=True, slots=True)
class Caret:
    """A cursor, and what the editor remembers of its own one."""

    anchor: int
    """Where its selection was begun."""
    cursor: int
    """Where it is."""
    x: int
    """The cell that it goes up and down from."""
    pending: Pending
    """The closing signs that were put in for it."""
    right: int
    """How many characters its line had behind it then."""

    @property
    def start(self) -> int:
        """The start of its selection."""
        return min(self.anchor, self.cursor)

    @property
    def end(self) -> int:
        """The end of its selection."""
        return max(self.anchor, self.cursor)


def merged(carets: Iterable[Caret]) -> list[Caret]:
    """Join cursors that meet. The first one stays the first."""
    own, *_ = carets = list(carets)
    joined: list[Caret] = []
    first = 0
    for one in sorted(carets, key=attrgetter("start", "end")):
        last = joined[-1] if joined else None
        if last is not None and (
            one.start < last.end
            or (one.start == last.end and (one.start == one.end or last.start == last.end))
        ):
            kept = one if one is own else last
            start, end = last.start, max(last.end, one.end)
            ends = (start, end) if kept.anchor <= kept.cursor else (end, start)
            joined[-1] = replace(kept, anchor=ends[0], cursor=ends[1])
        else:
            joined.append(one)
        if one is own:
            first = len(joined) - 1
    return [joined.pop(first), *joined]
