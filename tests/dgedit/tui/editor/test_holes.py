"""Drafts move nothing but what is below them, and cells and locations agree."""

from __future__ import annotations

from textual.geometry import Offset

from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.holes import EMPTY_HOLE, Kind, OpenHole, nearest
from dgedit.tui.editor.rows import Rows
from dgedit_engine.types import Draft

TEXT = "one\ntwo three\nfour\nfive\n"


def rows_of(text: str, *holes: OpenHole) -> Rows:
    return Rows(Buffer(text), list(holes), 4)


def drafted(start: int, end: int, *texts: str) -> OpenHole:
    hole = OpenHole(start, end)
    for text in texts:
        hole.show(Draft(tuple(text), (1.0,) * len(text), (True,) * len(text)))
    return hole


def drawn(rows: Rows) -> list[str]:
    return ["".join(run.text for run in rows.row(y)[0]) for y in range(rows.height)]


def test_without_holes_rows_are_lines() -> None:
    rows = rows_of(TEXT)
    assert drawn(rows) == TEXT.split("\n")
    assert [rows.row(y)[1] for y in range(5)] == [0, 1, 2, 3, 4]


def test_draft_stands_in_for_its_span() -> None:
    rows = rows_of(TEXT, drafted(4, 7, "A\nB\nC"))
    assert drawn(rows) == ["one", "A", "B", "C three", "four", "five", ""]
    assert [rows.row(y)[1] for y in range(7)] == [0, 1, None, None, 2, 3, 4]
    assert [rows.row(y)[2] for y in range(7)] == [False, True, True, True, False, False, False]


def test_region_keeps_the_rows_it_had() -> None:
    assert drawn(rows_of(TEXT, drafted(4, 18, "A"))) == ["one", "A", "", "five", ""]
    rows = rows_of(TEXT, drafted(4, 7, "A\nB\nC", "A"))
    assert drawn(rows) == ["one", "A three", "", "", "four", "five", ""]


def test_holes_that_share_a_row_are_one_region() -> None:
    rows = rows_of(TEXT, drafted(0, 3, "1"), drafted(4, 7, "A\nB"), drafted(8, 16, "C"))
    assert [(region.top, region.bottom) for region in rows.regions] == [(0, 0), (1, 2)]
    assert drawn(rows) == ["1", "A", "B Cur", "five", ""]


def test_hole_without_draft_shows_what_it_covers() -> None:
    rows = rows_of(TEXT, OpenHole(4, 16), OpenHole(19, 19))
    assert drawn(rows) == ["one", "two three", "four", EMPTY_HOLE + "five", ""]
    assert [run.kind for run in rows.row(2)[0]] == [Kind.HOLE, Kind.TEXT]


def test_changed_pieces_are_those_that_differ() -> None:
    hole = drafted(0, 0, "abc")
    assert hole.changed == (True, True, True)
    hole.show(Draft(("a", "x", "c", "d"), (1.0,) * 4, (False,) * 4))
    assert hole.changed == (False, True, False, True)


def test_cells_and_locations_are_inverse_outside_drafts() -> None:
    rows = rows_of("\tone\x1b 你好 x\ntwo\n", drafted(5, 6, "A\nBB"), OpenHole(10, 11))
    for row, line in enumerate(rows.document.lines):
        for column in range(len(line) + 1):
            if not (5 <= rows.document.index((row, column)) <= 6):
                offset = rows.location_to_offset((row, column))
                assert rows.offset_to_location(offset) == (row, column), (row, column, offset)


def test_cursor_in_a_hole_keeps_its_cell_and_after_it_its_character() -> None:
    inside, after = (1, 3), (1, 5)
    before = rows_of(TEXT).location_to_offset(inside)
    for text in ("", "A", "A\nB", "a long draft"):
        assert rows_of(TEXT, drafted(4, 7, text)).location_to_offset(inside) == before
    assert rows_of(TEXT, drafted(4, 7, "A\nBB")).location_to_offset(after) == Offset(4, 2)


def test_every_cell_has_a_location() -> None:
    rows = rows_of(TEXT, drafted(4, 18, "A\n\nB", "A"), drafted(19, 19, "x\ny"))
    for y in range(-1, rows.height + 3):
        for x in range(-1, 20):
            row, column = rows.offset_to_location(Offset(x, y))
            assert 0 <= column <= len(rows.document[row])


def test_control_characters_are_shown_as_signs() -> None:
    shown = rows_of("").shown("\x1b[2J\ta\r\x07\u202e\udc80", 0)
    assert shown.isprintable()
    assert shown.startswith("␛[2J    a␍␇")


def test_settled_pieces_of_an_unsure_draft_are_a_kind_of_their_own() -> None:
    hole = OpenHole(4, 7)
    hole.show(Draft(("a", "b"), (0.9, 0.1), (True, False)), unsure=True)
    rows = rows_of(TEXT, hole)
    assert [run.kind for run in rows.row(1)[0] if not run.kind.held] == [Kind.UNSURE, Kind.DRAFT]
    rows.heat = True  # which tells it of each piece
    rows.wrap(0)
    assert [run.kind for run in rows.row(1)[0] if not run.kind.held] == [Kind.SETTLED, Kind.DRAFT]
    hole.clear()
    assert not hole.unsure


def test_nearest_hole_is_the_one_at_the_place_then_by_rows_then_by_columns() -> None:
    buffer = Buffer(TEXT)
    long, left, right = OpenHole(0, 7), OpenHole(14, 15), OpenHole(17, 18)
    every = [long, left, right]
    assert nearest(every, buffer, (1, 1)) is long
    assert nearest(every, buffer, (2, 0)) is left
    assert nearest(every, buffer, (2, 3)) is right
    assert nearest(every, buffer, (1, 8)) is long
    assert nearest(every, buffer, (4, 0)) is left
    assert nearest([], buffer, (0, 0)) is None
