"""Move up and down over rows that are shown.

Textual's navigator goes to the next line of the document, which may be folded away. Knows rows.
"""

from __future__ import annotations

from textual.document._document import Location
from textual.document._document_navigator import DocumentNavigator

from dgedit.tui.editor.rows import Rows


class Navigator(DocumentNavigator):
    """Finds the locations around another one."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._rows = rows

    def get_location_above(self, location: Location) -> Location:
        """Return the location in the row above; at the top, the start of the text."""
        row, column = super().get_location_above(location)
        folds = self._rows.document.folds
        if not folds.hides(row):
            return row, column
        return self._in_line(folds.above(row), location, -1)

    def get_location_below(self, location: Location) -> Location:
        """Return the location in the row below; in the last one, the end of its line."""
        row, column = super().get_location_below(location)
        folds = self._rows.document.folds
        if not folds.hides(row):
            return row, column
        below = folds.below(row)
        if below is None:
            return location[0], len(self._rows.document[location[0]])
        return self._in_line(below, location, 0)

    def _in_line(self, row: int, location: Location, part: int) -> Location:
        x = max(self._rows.location_to_offset(location).x, self.last_x_offset)
        return row, self._rows.get_target_document_column(row, x, part)
