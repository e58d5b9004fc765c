"""Find the piece of a draft, or the mark of a fold, at a cell, for the mouse.

Rows keep no pieces, since they are drawn many times a second; so the characters drawn before the
cell are counted. Knows rows and drafts.
"""

from __future__ import annotations

from textual.geometry import Offset

from dgedit.text.folding import fold_mark
from dgedit.tui.editor.highlighting import LINE_END
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.editor.rows import Rows


def piece_at(rows: Rows, cell: Offset) -> tuple[OpenHole, int] | None:
    """Return the hole whose draft is drawn at a cell and the piece's index; None elsewhere."""
    region = next((one for one in rows.regions if 0 <= cell.y - one.y < len(one.rows)), None)
    if region is None:
        return None
    row = region.rows[cell.y - region.y]
    ends = (rows.row_width(row[: at + 1]) for at in range(len(row)))
    at = next((at for at, end in enumerate(ends) if 0 <= cell.x < end), None)
    if at is None or row[at].kind.held:
        return None
    before = [run for above in region.rows[: cell.y - region.y] for run in above] + [*row[:at]]
    own = [run for run in before if run.at == row[at].at and not run.kind.held]
    characters = sum(len(run.text) for run in own)
    for hole in rows.holes:
        if hole.draft is None or rows.document.location(hole.end) != row[at].at:
            continue
        for number, piece in enumerate(hole.draft.pieces):
            size = len(LINE_END.sub("", piece))
            if characters < size:
                return hole, number
            characters -= size
    return None


def fold_at(rows: Rows, cell: Offset, gutter: int, scrolled: Offset) -> int | None:
    """Return the row whose lines are folded away, if one of its marks is drawn at a cell of the
    screen: behind its text, or at the end of the gutter. None elsewhere.
    """
    y = cell.y + scrolled.y
    if y >= rows.height or not (count := rows.folded(y)):
        return None
    runs = rows.row(y)[0]
    x, end = cell.x - gutter + scrolled.x, rows.row_width(runs)
    here = cell.x == gutter - 1 or (cell.x >= gutter and end < x < end + len(fold_mark(count)))
    return runs[-1].at[0] if here else None
