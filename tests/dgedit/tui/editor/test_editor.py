"""Holes follow their text; drafts are drawn, accepted in one edit, and move nothing else."""

from __future__ import annotations

import pytest
from rich.style import Style
from textual import events
from textual.document._document import Location, Selection
from textual.geometry import Offset

from dgedit.tui.editor.editor import Editor
from scripted import Script

from ..conftest import Desk, OpenDesk

CODE = b"def f():\n    pass\n\n\ndef g():\n    return 1\n"


async def masked(d: Desk, start: int, end: int) -> None:
    d.select(start, end)
    await d.press("f2")


def spans(editor: Editor) -> list[tuple[int, int]]:
    return [(hole.start, hole.end) for hole in editor.holes]


async def test_f2_masks_the_selection_and_again_closes_the_hole(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await masked(d, 13, 17)
        assert spans(d.app.editor) == [(13, 17)]
        assert "▌" in d.app.editor.render_line(1).text
        assert d.row(1) == "    pass"
        await d.press("left", "f2")
        assert spans(d.app.editor) == []


@pytest.mark.parametrize("column", [0, 3, 8, 11, 14])  # in the indentation too
async def test_f2_masks_the_marker_that_the_cursor_touches(desk: OpenDesk, column: int) -> None:
    async with desk({"a.py": b"def f():\n        <FILL>  # and <FILL: more>\n"}) as d:
        d.app.editor.move_cursor((1, column))
        await d.press("f2")
        (hole,) = d.app.editor.holes
        assert d.app.editor.text[hole.start : hole.end] == "<FILL>"
        assert d.notice == "masked the marker, line 2"
        await d.press("f5")
        await d.until(lambda: bool(d.script.requests))
        assert [one.text for one in d.script.requests[0].holes] == [""]


async def test_f2_without_a_selection_opens_an_empty_hole(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await masked(d, 8, 8)
        assert d.row(0) == "def f():░"
        assert d.app.editor.text.encode() == CODE


@pytest.mark.parametrize(
    ("start", "end", "insert", "expected"),
    [
        ((0, 0), (0, 0), "ab", [(15, 19)]),
        ((0, 0), (1, 0), "", [(4, 8)]),
        ((1, 8), (1, 8), "x", [(13, 17)]),
        ((1, 4), (1, 4), "x", [(14, 18)]),
        ((1, 5), (1, 7), "xyz", [(13, 18)]),
        ((1, 2), (1, 6), "z", [(12, 14)]),
        ((1, 6), (2, 0), "z", [(13, 15)]),
        ((0, 0), (2, 0), "z", []),
    ],
)
async def test_hole_follows_its_text(
    desk: OpenDesk,
    start: tuple[int, int],
    end: tuple[int, int],
    insert: str,
    expected: list[tuple[int, int]],
) -> None:
    async with desk({"a.py": CODE}) as d:
        await masked(d, 13, 17)
        d.app.editor.replace(insert, start, end)
        assert spans(d.app.editor) == expected


async def test_draft_of_several_rows_is_drawn_in_place(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("ab\ncd")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        assert [d.row(y) for y in range(5)] == ["def f():", "    ??", "??", "", ""]
        await d.step()
        assert [d.row(y) for y in range(3)] == ["def f():", "    a#", "#d"]
        await d.step()
        assert [d.row(y) for y in range(6)] == ["def f():", "    ab", "cd", "", "", "def g():"]
        assert d.app.editor.text.encode() == CODE
        assert not d.app.editor.history.undo_stack


def attributes(style: Style | None) -> tuple[bool, bool, bool, bool]:
    assert style is not None
    return bool(style.bold), bool(style.italic), bool(style.dim), bool(style.underline)


async def test_states_differ_without_colour(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await masked(d, 13, 17)

        def states() -> list[tuple[bool, bool, bool, bool]]:
            segments = d.app.editor.render_line(1)
            cells = [(char, segment.style) for segment in segments for char in segment.text]
            first = d.app.editor.gutter_width + 4
            return [attributes(style) for _, style in cells[first : first + 4]]

        plain = states()[0]
        await d.press("f5")
        await d.step()
        draft = states()[0]
        d.app.editor.holes[0].changed = (False,) * 4
        d.app.editor.rows.wrap(0)
        unchanged = states()[0]
        await d.step()
        settled_now = states()[0]
        await d.step()
        assert len({plain, draft, unchanged, settled_now}) == 4
        assert states() == [plain] * 4  # as the text around it, once it is settled


async def test_accept_is_one_undo_and_undo_opens_the_holes_again(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x", "2\n")) as d:
        await d.press("y")
        await masked(d, 14, 18)
        await masked(d, 41, 42)
        await d.press("f5")
        await d.step(3)
        await d.press("enter")
        editor = d.app.editor
        assert editor.text == "ydef f():\n    x\n\n\ndef g():\n    return 2\n\n"
        assert spans(editor) == []
        await d.press("ctrl+z")
        assert editor.text == "ydef f():\n    pass\n\n\ndef g():\n    return 1\n"
        assert spans(editor) == [(14, 18), (41, 42)]
        await d.press("ctrl+y")
        assert editor.text == "ydef f():\n    x\n\n\ndef g():\n    return 2\n\n"
        assert spans(editor) == []
        await d.press("ctrl+z", "ctrl+z")
        assert editor.text.encode() == CODE


LONG = b"".join(b"line %d\n" % i for i in range(100))


@pytest.mark.parametrize("hole", [(7, 13), (7, 200), (205, 210)])
async def test_cursor_and_viewport_stay(desk: OpenDesk, hole: tuple[int, int]) -> None:
    async with desk({"a.txt": LONG}, Script("\n".join("abcdefghij"))) as d:
        await masked(d, *hole)
        editor = d.app.editor
        editor.selection = Selection.cursor((50, 2))
        await d.press("f5")

        def seen() -> tuple[list[str], Location, Offset]:
            lines = [editor.render_line(y).text for y in range(editor.size.height)]
            return (
                [t[editor.gutter_width :].rstrip() for t in lines],
                editor.cursor_location,
                editor.cursor_screen_offset,
            )

        before = seen()
        for _ in range(3):
            await d.step()
            assert seen() == before
        await d.press("alt+y")
        grown = editor.document.line_count - 101
        assert seen()[0] == before[0]
        assert seen()[2].y == before[2].y
        assert editor.cursor_location == (50 + grown, 2)


async def test_viewport_stays_over_a_hole_in_view(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG}, Script("\n".join("abcdefghij"))) as d:
        await masked(d, 7, 13)
        await d.press("f5")
        editor = d.app.editor
        before = editor.cursor_location, editor.cursor_screen_offset, editor.scroll_offset
        for _ in range(3):
            await d.step()
            assert before == (
                editor.cursor_location,
                editor.cursor_screen_offset,
                editor.scroll_offset,
            )
        await d.press("enter")
        assert editor.scroll_offset == before[2]


async def test_height_never_shrinks_during_a_run(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG}, Script("x")) as d:
        await masked(d, 7, 200)
        height = d.app.editor.rows.height
        await d.press("f5")
        await d.step(2)
        assert d.app.editor.rows.height == height
        await d.step()
        await d.press("enter")
        assert d.app.editor.rows.height < height


async def test_control_characters_never_reach_the_terminal(desk: OpenDesk) -> None:
    nasty = b"a\x1b[31mb\x07\xff\tc\xe2\x80\xaed\xc2\x85\n" + CODE
    async with desk({"a.py": nasty}, Script("\x1b[2J\r\x9b\u202e")) as d:
        await masked(d, 0, 1)
        await d.press("f5")
        await d.step(3)
        for y in range(10):
            assert d.app.editor.render_line(y).text.isprintable()
        d.app.export_screenshot()
        await d.press("enter", "ctrl+z")
        assert d.app.editor.current.encode() == nasty


async def test_enter_indents_and_takes_the_line_ending_of_the_file(desk: OpenDesk) -> None:
    async with desk({"a.py": b"if x:\r\n    y\r\n"}) as d:
        await d.press("down", "end", "enter", "z")
        assert d.app.editor.text == "if x:\r\n    y\r\n    z\r\n"
        await d.press("escape")
        assert d.app.focused is d.app.editor


async def test_cursor_moves_past_phantom_rows(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("1\n2\n3\n4")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        await d.press("up", "down", "down", "down")
        assert d.app.editor.cursor_location[0] == 3
        await d.press("up", "up")
        assert d.app.editor.cursor_location[0] == 1


async def test_mouse_selects_below_a_draft(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("1\n2\n3")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        editor = d.app.editor
        x = editor.gutter_width
        await d.pilot.mouse_down(editor, offset=(x, 6))
        await d.pilot.hover(editor, offset=(x + 3, 6))
        await d.pilot.mouse_up(editor, offset=(x + 3, 6))
        await d.until(lambda: editor.selected_text == "def")
        assert editor.selection == Selection((4, 0), (4, 3))


async def test_keys_that_come_at_once_are_taken_in_turn(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("down", "down", "down")
        for key in ("up", "up", "home", "x", "down", "end", "y", "f2", "z"):
            d.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await d.until(lambda: "z" in d.app.editor.text)
        expected = CODE.replace(b"    pass\n\n", b"    xpass\nyz\n")
        assert d.app.editor.text.encode() == expected
        assert spans(d.app.editor) == [(21, 21)]


async def test_bytes_that_are_no_text_can_be_copied(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a\xffb\n"}) as d:
        await d.press("shift+end", "ctrl+c", "down", "ctrl+v")
        assert d.app.editor.current.encode() == b"a\xffb\na\xffb"


async def test_redo_during_a_run_cancels_it(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one X two\n"}, Script("filled")) as d:
        await masked(d, 4, 5)
        await d.press("f5")
        await d.step(3)
        await d.press("enter", "ctrl+z", "f5")
        await d.step(3)
        await d.press("ctrl+y")
        assert d.app.fill is None
        await d.press("ctrl+z")
        assert d.app.editor.text == "one X two\n"


@pytest.mark.parametrize(
    ("select", "key", "text"),
    [
        ((4, 5), "alt+y", "one x two\n"),
        ((0, 10), "alt+y", "x"),
        ((4, 5), "enter", "one x\n two\n"),
        ((0, 10), "enter", "x\n"),
    ],
)
async def test_right_after_an_edit_of_the_hole_nothing_is_accepted(
    desk: OpenDesk, select: tuple[int, int], key: str, text: str
) -> None:
    async with desk({"a.py": b"one X two\n"}, Script("filled")) as d:
        await masked(d, 4, 5)
        await d.press("f5")
        await d.step(3)
        d.select(*select)
        for one in ("x", key):
            d.app.editor.post_message(events.Key(one, one if one == "x" else None))
        await d.until(lambda: d.app.editor.text == text)
        assert d.app.fill is None


async def test_result_is_as_high_as_it_is(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG}, Script("x\ny")) as d:
        await masked(d, 7, 197)
        editor = d.app.editor
        await d.press("f5")
        await d.step(3)
        assert [d.row(y) for y in range(4)] == ["line 0", "x", "y", "line 26"]
        assert editor.cursor_screen_offset.y - editor.region.y == 1
        await d.press("left_square_bracket")
        assert editor.rows.y_of(26) == 26
        await d.press("right_square_bracket")
        assert editor.rows.y_of(26) == 3
        await d.press("escape")
        assert editor.rows.y_of(26) == 26


async def test_what_follows_a_short_result_stays_in_its_row(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG}, Script("x\ny")) as d:
        editor = d.app.editor
        await masked(d, 110, 197)
        editor.scroll_to(y=18, animate=False, force=True)
        await d.until(lambda: d.row(8) == "line 26")
        editor.selection = Selection.cursor((27, 0))
        await d.press("f5")
        await d.step(3)
        assert [d.row(y) for y in range(5, 9)] == ["line 14", "x", "y", "line 26"]


async def test_draft_that_begins_above_the_view_is_gone_to(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG}, Script("x\ny")) as d:
        editor = d.app.editor
        await masked(d, 7, 395)
        assert editor.scroll_y > 20
        await d.press("f5")
        await d.step()
        assert editor.cursor_location == (1, 0) and editor.scroll_y <= 1
        await d.step(2)
        assert "x" in [d.row(y) for y in range(3)]
