"""Wrapped rows hold all of a line, each fits, and cells and columns agree."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from textual.geometry import Offset

from dgedit.text.cells import breaks, cell_of, column_of, row_count, shown, width_of
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.holes import EMPTY_HOLE, OpenHole
from dgedit.tui.editor.rows import Rows
from dgedit_engine.types import Draft
from scripted import Script

from ..conftest import OpenDesk

WORDS = [
    "a",
    "the",
    "word ",
    "   ",
    "你好",
    "e\u0301",
    "\t",
    "\x1b",
    "supercalifragilistic",
    " ",
    "\udcff",
]


def texts(count: int, length: int) -> list[str]:
    dice = random.Random(0)
    plain = [word for word in WORDS if word.isascii() and word.isprintable()]
    return [
        "".join(dice.choice(dice.choice([WORDS, plain])) for _ in range(dice.randint(0, length)))
        for _ in range(count)
    ]


def sections(text: str, width: int) -> list[str]:
    return [text[a:b] for a, b in pairwise([0, *breaks(text, width, 4), len(text)])]


@pytest.mark.parametrize("width", [12, 20, 33])
def test_rows_are_the_line_and_fit(width: int) -> None:
    for text in [*texts(200, 30), *texts(3, 2000)]:
        rows = sections(text, width)
        assert "".join(rows) == text
        assert len(rows) == row_count(text, width, 4)
        assert all(rows[:-1])
        for row in rows:
            assert width_of(row.removesuffix(" "), 4) <= width, (rows, row)


def test_rows_break_after_blanks_where_there_are_some() -> None:
    assert sections("one two three four", 9) == ["one two ", "three ", "four"]
    assert sections("one two three", 7) == ["one two ", "three"]
    assert sections("    supercalifragilistic", 10) == ["    superc", "alifragili", "stic"]
    assert sections("你好你好你", 5) == ["你好", "你好", "你"]
    assert sections("aaaae\u0301b", 5) == ["aaaae\u0301", "b"]
    assert sections("abcde ", 5) == ["abcde ", ""]


def test_cells_and_columns_are_inverse() -> None:
    for text in [*texts(50, 20), *texts(3, 600)]:
        for column in range(0, len(text) + 1, 1 + len(text) // 40):
            cell = cell_of(text, column, 3, 4)
            found = column_of(text, cell, 3, 4)
            assert cell_of(text, found, 3, 4) == cell
            if len(text) < 256:
                assert cell == 3 + width_of(" " * 3 + text[:column], 4) - 3
    assert shown("\ta", 3, 4) == " a"


def wrapped(text: str, width: int, *holes: OpenHole) -> Rows:
    rows = Rows(Buffer(text), list(holes), 4)
    rows.wrap_at(width, 4)
    return rows


def drawn(rows: Rows) -> list[str]:
    return ["".join(run.text for run in rows.row(y)[0]) for y in range(rows.height)]


def drafted(start: int, end: int, *texts: str) -> OpenHole:
    hole = OpenHole(start, end)
    for text in texts:
        hole.show(Draft(tuple(text), (1.0,) * len(text), (True,) * len(text)))
    return hole


TEXT = "one two three four\nfive\nsix seven eight\n"


def test_rows_that_go_on_have_no_number() -> None:
    rows = wrapped(TEXT, 9)
    assert drawn(rows) == ["one two ", "three ", "four", "five", "six seven ", "eight", ""]
    numbers = [rows.row(y)[1] for y in range(rows.height)]
    assert numbers == [0, None, None, 1, 2, None, 3]
    assert [rows.y_of(row) for row in range(4)] == [0, 3, 4, 6]


def test_rows_follow_edits() -> None:
    rows = wrapped(TEXT, 9)
    rows.document.replace_range((0, 3), (1, 2), "\nx\n")
    rows.wrap_range((0, 3), (1, 2), (2, 0))
    assert drawn(rows) == ["one", "x", "ve", "six seven ", "eight", ""]
    rows.wrap_at(0, 4)
    assert rows.height == rows.document.line_count


def test_every_location_is_found_where_it_is_drawn() -> None:
    text = TEXT + "\tword 你好 and more of it\nabcdefghi jk\n"
    holes = OpenHole(4, 13), OpenHole(19, 19), drafted(24, 27, "a long draft\nof rows")
    for rows in (wrapped(text, 9), wrapped(text, 9, *holes)):
        for index in range(len(text) + 1):
            row, column = rows.document.location(index)
            if rows.holes and 24 <= index <= 27:
                continue
            offset = rows.location_to_offset((row, column))
            assert rows.offset_to_location(offset) == (row, column), (row, column, offset)
        for y in range(rows.height):
            for x in range(-1, 14):
                row, column = rows.offset_to_location(Offset(x, y))
                assert 0 <= column <= len(rows.document[row])


def test_click_right_of_a_row_that_goes_on_stays_on_it() -> None:
    rows = wrapped(TEXT, 9)
    assert rows.offset_to_location(Offset(30, 0)) == (0, 7)
    assert rows.location_to_offset((0, 7)) == Offset(7, 0)
    assert rows.location_to_offset((0, 8)) == Offset(0, 1)
    assert rows.offset_to_location(Offset(30, 2)) == (0, 18)


def test_drafts_wrap_and_their_rows_only_grow() -> None:
    hole = drafted(4, 7, "a long draft")
    rows = wrapped(TEXT, 9, hole)
    assert drawn(rows)[:6] == ["one a ", "long ", "draft ", "three ", "four", "five"]
    assert [rows.row(y)[1] for y in range(6)] == [0, None, None, None, None, 1]
    height = rows.height
    for text in ("b", "b\nc", "a much longer draft than it was", "b"):
        hole.show(Draft((text,), (1.0,), (True,)))
        rows.wrap(0)
        assert rows.height >= height
        height = rows.height
    hole.clear()
    rows.wrap(0)
    assert drawn(rows) == drawn(wrapped(TEXT, 9, OpenHole(4, 7)))


def test_empty_hole_is_drawn_in_a_wrapped_row() -> None:
    assert drawn(wrapped(TEXT, 9, OpenHole(13, 13)))[:3] == [
        "one two ",
        f"three{EMPTY_HOLE} ",
        "four",
    ]


LONG = " ".join(f"word{i}" for i in range(40))


async def test_alt_z_wraps_and_unwraps(desk: OpenDesk) -> None:
    async with desk({"a.txt": f"{LONG}\nnext\n".encode()}) as d:
        editor = d.app.editor
        assert d.row(1) == "next"
        await d.press("alt+z")
        assert editor.soft_wrap
        assert d.row(1).startswith("word")
        assert editor.render_line(1).text[: editor.gutter_width].strip() == ""
        rows = [d.row(y) for y in range(editor.rows.y_of(1))]
        assert " ".join(rows) == LONG
        assert editor.virtual_size.width <= editor.size.width
        await d.press("alt+z")
        assert d.row(1) == "next"


async def test_cursor_moves_by_drawn_rows(desk: OpenDesk) -> None:
    async with desk({"a.txt": f"{LONG}\nnext\n".encode()}) as d:
        editor = d.app.editor
        await d.press("alt+z", "right", "right", "right")
        second = len(d.row(0)) + 1
        await d.press("down")
        assert editor.cursor_location == (0, second + 3)
        await d.press("up")
        assert editor.cursor_location == (0, 3)
        await d.press(*["down"] * editor.rows.y_of(1))
        assert editor.cursor_location == (1, 3)
        await d.press("up")
        assert editor.cursor_location[0] == 0
        assert editor.cursor_location[1] > second


async def test_home_and_end_go_to_the_ends_of_the_row_and_then_of_the_line(desk: OpenDesk) -> None:
    line = f"    {LONG}"
    async with desk({"a.txt": f"{line}\nnext\n".encode()}) as d:
        editor = d.app.editor
        await d.press("alt+z")
        first, second = editor.rows.get_offsets(0)[:2]

        async def goes(key: str, *columns: int) -> None:
            for column in columns:
                await d.press(key)
                assert editor.selection.end == (0, column), key

        await goes("end", first - 1, len(line))
        assert editor.rows.location_to_offset((0, first - 1)).y == 0
        editor.move_cursor((0, first + 3))
        await goes("home", first, 4, 0, 4)
        editor.move_cursor((0, first + 3))
        await goes("shift+end", second - 1, len(line))
        assert editor.selected_text == line[first + 3 :]
        editor.move_cursor((0, first + 3))
        await goes("shift+home", first)
        assert editor.selected_text == line[first : first + 3]
        await d.press("delete")
        editor.move_cursor((0, first + 3))
        await d.press("ctrl+k", "ctrl+u")  # these are about the line
        assert editor.text == "\nnext\n"


async def test_typing_wraps_the_line_and_the_cursor_stays_in_view(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"next\n"}) as d:
        await d.press("alt+z", *(("x",) * 9 + ("space",)) * 7)
        editor = d.app.editor
        assert editor.text == ("x" * 9 + " ") * 7 + "next\n"
        assert (d.row(0), d.row(1)) == (" ".join(["x" * 9] * 5), " ".join(["x" * 9] * 2) + " next")
        assert editor.cursor_screen_offset.y == editor.region.y + 1
        assert 0 <= editor.scroll_x <= 1


async def test_click_in_a_wrapped_row(desk: OpenDesk) -> None:
    async with desk({"a.txt": f"{LONG}\nnext\n".encode()}) as d:
        editor = d.app.editor
        await d.press("alt+z")
        second = len(d.row(0)) + 1
        await d.pilot.click(editor, offset=(editor.gutter_width + 4, 1))
        await d.until(lambda: editor.cursor_location == (0, second + 4))


async def test_infill_in_a_wrapped_text(desk: OpenDesk) -> None:
    async with desk({"a.txt": f"{LONG}\nnext\n".encode()}, Script("new " * 30)) as d:
        editor = d.app.editor
        await d.press("alt+z")
        d.select(6, 11)
        await d.press("f2", "f5")
        height = 0
        for _ in range(2):
            await d.step()
            assert editor.rows.height >= height
            height = editor.rows.height
        await d.step()
        assert all(map(d.row, range(editor.rows.height - 1)))  # and none is kept free
        assert d.row(1).startswith("new")
        assert d.row(editor.rows.y_of(1)) == "next"
        await d.press("enter")
        assert editor.text == LONG.replace("word1", "new " * 30, 1) + "\nnext\n"


async def test_cursor_is_on_its_cell_when_the_width_changes(desk: OpenDesk) -> None:
    async with desk({"a.py": b"word " * 20, "b.py": b""}) as d:
        editor = d.app.editor
        await d.press("alt+z", "end", "end", "ctrl+backslash")
        assert editor._cursor_offset == editor.rows.location_to_offset(editor.cursor_location)
        assert editor._cursor_offset[1] > 1
