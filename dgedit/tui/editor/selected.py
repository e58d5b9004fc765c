"""What is selected in a text, and where its other cursors stand, found by the row they are in.

Knows locations and runs; nothing of styles or keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from textual.document._document import Location, Selection

from dgedit.tui.editor.holes import Run


class Selected:
    """The selections that are not empty, and the ends of the other cursors by row."""

    def __init__(self, own: Selection, others: Sequence[Selection]) -> None:
        self._of = own, others
        self._ranges = [tuple(sorted(one)) for one in (own, *others) if not one.is_empty]
        self._ends: defaultdict[int, list[Location]] = defaultdict(list)
        for _, end in others:
            self._ends[end[0]].append(end)

    def is_of(self, own: Selection, others: Sequence[Selection]) -> bool:
        """Say whether it was made of these."""
        return self._of[1] is others and self._of[0] == own

    def __bool__(self) -> bool:
        """Say whether any text is selected."""
        return bool(self._ranges)

    def within(self, runs: Iterable[Run]) -> tuple[tuple[bool, Location, Location], ...]:
        """Return the selected parts of the runs."""
        if not self._ranges:
            return ()
        return tuple(
            (True, max(start, run.at), min(end, (run.at[0], run.at[1] + len(run.text))))
            for run in runs
            if run.kind.held
            for start, end in self._ranges
            if start < (run.at[0], run.at[1] + len(run.text)) and run.at < end
        )

    def goes_on(self, here: Location) -> bool:
        """Say whether the end of a line is selected."""
        return any(start <= here and here[0] < end[0] for start, end in self._ranges)

    def cursors(self, rows: Iterable[int]) -> list[Location]:
        """Return where the other cursors in some rows stand."""
        return [end for row in rows for end in self._ends.get(row, ())]
