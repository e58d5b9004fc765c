"""The folds of a text that is edited: which of its lines are not shown.

A byte and a number for each line, which follow the lines through edits as slices do: a key in
50,000 lines with 2,500 folds costs a few µs, wherever it is. As long as nothing is folded there is
nothing here. Folds may be in folds; whatever is folded in one stays so when that is opened.

Knows numbers of lines; nothing of the text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from dgedit.text.folding import Fold


class Folds:
    """The folds of a text."""

    def __init__(self) -> None:
        self._hidden = bytearray()  # 1 for each line that is not shown
        self._sizes = array("L")  # how many lines are folded away below each line

    @property
    def any(self) -> bool:
        """Whether anything is folded."""
        return bool(self._hidden)

    def __iter__(self) -> Iterator[Fold]:
        """Go through the folds, from top to bottom."""
        return (Fold(row, row + size) for row, size in enumerate(self._sizes) if size)

    def hides(self, row: int) -> bool:
        """Whether a line is folded away."""
        return self.any and row < len(self._hidden) and self._hidden[row] == 1

    def first_hidden(self, first: int, last: int) -> int | None:
        """The first line that is folded away among those from one row to another."""
        at = self._hidden.find(1, first, last + 1)
        return at if at >= 0 else None

    def hidden(self, count: int) -> bytes | bytearray:
        """A byte for each of the text's lines: 1 for those that are folded away."""
        return self._hidden or bytes(count)

    def size(self, row: int) -> int:
        """How many lines are folded away right below a line."""
        return self._sizes[row] if self.any and row < len(self._sizes) else 0

    def above(self, row: int) -> int:
        """The nearest line that is shown, from a row upwards; the first one always is."""
        return self._hidden.rfind(0, 0, row + 1) if self.any else row

    def below(self, row: int) -> int | None:
        """The nearest line that is shown, from a row downwards; None if there is none."""
        at = self._hidden.find(0, row) if self.any else row
        return at if at >= 0 else None

    def add(self, folds: Iterable[Fold], count: int) -> None:
        """Fold lines of a text that has so many. A fold that begins among them and ends behind
        them is opened.
        """
        for head, last in folds:
            assert 0 <= head < last < count
            inner = enumerate(self._sizes[head + 1 : last + 1], head + 1)
            for crossing in [row for row, size in inner if size and row + size > last]:
                self.open(crossing)
            if not self.any:
                self._hidden, self._sizes = bytearray(count), array("L", bytes(8 * count))
            self._sizes[head] = last - head
            self._hidden[head + 1 : last + 1] = b"\1" * (last - head)

    def open(self, head: int) -> bool:
        """Show again what is folded right below a line; whether anything was."""
        size = self.size(head)
        if size:
            self._sizes[head] = 0
        if size and not self._hidden[head]:
            self._hidden[head + 1 : head + 1 + size] = bytes(size)
            row, stop = head, head + 1 + size
            while row < stop:
                if inner := self._sizes[row]:
                    self._hidden[row + 1 : row + 1 + inner] = b"\1" * inner
                row += inner + 1
            self._settle()
        return bool(size)

    def show(self, row: int) -> bool:
        """Open all that a line is in; whether it was hidden."""
        hidden = self.hides(row)
        while self.hides(row):
            if not self.open(self.above(row)):
                self.clear()
        return hidden

    def clear(self) -> None:
        """Open everything."""
        self._hidden, self._sizes = bytearray(), array("L")

    def replaced(self, first: int, last: int, count: int) -> None:
        """Follow an edit that put so many lines in the place of those from one row to another,
        both of which are shown. What is folded below the last one stays so.
        """
        if not self.any:
            return
        assert not (self._hidden[first] or self._hidden[last])
        sizes = array("L", bytes(8 * count))
        sizes[-1] = self._sizes[last]
        self._sizes[first : last + 1] = sizes
        self._hidden[first : last + 1] = bytes(count)
        if last > first:
            self._settle()

    def _settle(self) -> None:
        if 1 not in self._hidden:
            self.clear()
