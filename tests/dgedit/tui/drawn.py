"""What is true of an editor's rows whatever is drafted in them."""

from __future__ import annotations

from itertools import pairwise

from textual.document._document import Location
from textual.geometry import Offset

from dgedit.text.cells import cell_of
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.highlighting import LINE_END
from dgedit.tui.editor.holes import EMPTY_HOLE

from .modelled import boundaries


def check_rows(editor: Editor) -> None:
    """The rows hold the text but for what drafts stand in for and what is folded away, and each
    cell is a place in it.
    """
    rows = editor.rows
    _check_folds(editor)
    drawn = [rows.row(y)[0] for y in range(rows.height)]
    runs = [run for row in drawn for run in row]
    assert "".join(run.text for run in runs if run.kind.held) == _held(editor)
    assert "".join(run.text for run in runs if not run.kind.held) == _drafted(editor)
    for run in runs:
        (row, column), line = run.at, editor.buffer[run.at[0]]
        assert column <= len(line)
        assert not run.kind.held or line[column : column + len(run.text)] == run.text, row
    # The sign of an insertion point takes a cell, and so perhaps a row.
    pointed = editor.soft_wrap and any(hole.start == hole.end for hole in editor.holes)
    # While one is filled, rows may be free for the draft that is to come.
    free = editor.filling and any(hole.height > 1 for hole in editor.holes)
    if not (pointed or free) and all(hole.draft is None for hole in editor.holes):
        assert rows.height == _lines(editor)
    for y, row_of in enumerate(drawn):
        for x in (0, 1, 5, rows.row_width(row_of), 100):
            location = rows.offset_to_location(Offset(x, y))
            assert _is_in(editor, location)
            assert 0 <= rows.location_to_offset(location).y < rows.height
    _check_places(editor)


def check_view(editor: Editor) -> None:
    """What was painted last is what would be painted now, and the cursor is where it belongs."""
    rows = editor.rows
    assert editor.virtual_size.height == rows.height
    cell = rows.caret or rows.location_to_offset(editor.cursor_location)
    assert editor._cursor_offset == cell, (editor._cursor_offset, cell, rows.caret)
    assert 0 <= cell.y < rows.height
    for y in range(editor.size.height):
        painted, now = editor._drawn[y][0], editor._look(y)
        assert (painted is None) == (now is None)
        if painted is not None and now is not None:
            # How it is coloured may wait for a parse.
            assert painted._replace(highlights=()) == now._replace(highlights=())


def _check_folds(editor: Editor) -> None:
    """No line that is folded away has a cursor, or a hole; every fold has its mark."""
    folds, at = editor.buffer.folds, editor.buffer.location
    marks = sum(editor.rows.folded(y) for y in range(editor.rows.height))  # lays out the holes
    hidden = [row for row in range(editor.buffer.line_count) if folds.hides(row)]
    within = {row for head, last in folds for row in range(head + 1, last + 1)}
    assert set(hidden) == within and marks == len(hidden)
    for start, end in (editor.selection, *editor.others):
        assert start[0] not in within and end[0] not in within
    for hole in editor.holes:
        assert not within & set(range(at(hole.start)[0], at(hole.end)[0] + 1))


def _check_places(editor: Editor) -> None:
    rows, buffer = editor.rows, editor.buffer
    ranges = [place for region in rows.regions for place in region.drafted]
    for row, line in enumerate(buffer.lines):
        columns, hidden = boundaries(line), buffer.folds.hides(row)
        widths = [cell_of(line, column, 0, editor.indent_width) for column in columns]
        # Some signs take no cell, or less than the parts of them.
        clear = all(one < two for one, two in pairwise(widths)) and "\u200d" not in line
        for column in columns:
            place = row, column
            cell = rows.location_to_offset(place)
            assert 0 <= cell.y < rows.height and cell.x >= 0
            if hidden:
                continue
            if clear and not any(start <= place <= end for start, end in ranges):
                assert rows.offset_to_location(cell) == place


def _held(editor: Editor) -> str:
    buffer, done, parts = editor.buffer, 0, list[str]()
    for hole in [hole for hole in editor.holes if hole.draft is not None]:
        parts.append(_shown(editor, done, hole.start))
        done = hole.end
    return LINE_END.sub("", "".join([*parts, _shown(editor, done, buffer.length)]))


def _shown(editor: Editor, start: int, end: int) -> str:
    """The text between two offsets that is not folded away."""
    buffer, parts = editor.buffer, list[str]()
    if not buffer.folds.any:
        return buffer.text[start:end]
    (first, left), (last, right) = buffer.location(start), buffer.location(end)
    for row in range(first, last + 1):
        line = buffer[row][: right if row == last else None]
        if not buffer.folds.hides(row):
            parts.append(line[left if row == first else 0 :])
    return "".join(parts)


def _drafted(editor: Editor) -> str:
    parts = []
    for hole in editor.holes:
        if hole.draft is not None:
            parts.append(LINE_END.sub("", hole.draft.text))
        elif hole.start == hole.end:
            parts.append(EMPTY_HOLE)
    return "".join(parts)


def _lines(editor: Editor) -> int:
    rows = range(editor.buffer.line_count)
    shown = [row for row in rows if not editor.buffer.folds.hides(row)]
    return sum(len(editor.rows.get_sections(row)) for row in shown)


def _is_in(editor: Editor, location: Location) -> bool:
    row, column = location
    return 0 <= row < editor.buffer.line_count and 0 <= column <= len(editor.buffer[row])
