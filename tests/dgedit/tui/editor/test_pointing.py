"""The mouse on drafts: a click goes to a piece, a drag selects pieces."""

from __future__ import annotations

import pytest
from textual.events import MouseDown, MouseMove, MouseUp

from scripted import Script

from ..conftest import Desk, OpenDesk
from ..infill.test_accepting import result
from .test_editor import CODE, masked


def cell(d: Desk, x: int, y: int) -> tuple[int, int]:
    """Where a cell of the text is in the editor, without the gutter."""
    return x + d.app.editor.gutter_width, y


async def click(d: Desk, x: int, y: int, times: int = 1) -> None:
    await d.pilot.click(d.app.editor, offset=cell(d, x, y), times=times)
    await d.settled()


async def drag(d: Desk, start: tuple[int, int], end: tuple[int, int]) -> None:
    for event, at in ((MouseDown, start), (MouseMove, end), (MouseUp, end)):
        await d.pilot._post_mouse_events(
            [event], widget=d.app.editor, offset=cell(d, *at), button=1
        )
    await d.settled()


def caret(d: Desk) -> int | None:
    return next((hole.caret for hole in d.app.editor.holes if hole.caret is not None), None)


def marked(d: Desk) -> str:
    rows = d.app.editor.rows
    runs = [run for y in range(rows.height) for run in rows.row(y)[0]]
    return "".join(run.text for run in runs if run.marked)


async def test_click_goes_to_the_piece_and_keys_go_on_from_there(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await click(d, 6, 1)
        assert (caret(d), marked(d)) == (2, "")
        await d.press("shift+right")
        assert marked(d) == "c" and "Alt+R" in d.notice
        await click(d, 4, 1)
        assert (caret(d), marked(d)) == (0, "")
        await click(d, 1, 1)
        assert caret(d) is None and d.app.editor.cursor_location == (1, 1)


async def test_click_beside_a_draft_leaves_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await click(d, 6, 1)
        await click(d, 20, 1)
        assert caret(d) is None and d.app.editor.cursor_location == (1, 8)


@pytest.mark.parametrize(
    ("text", "start", "end", "selected"),
    [
        ("abcd", (5, 1), (6, 1), "bc"),
        ("abcd", (6, 1), (5, 1), "bc"),
        ("abcd", (5, 1), (5, 1), "b"),
        ("ab\ncd", (5, 1), (0, 2), "bc"),
    ],
)
async def test_drag_selects_pieces_to_refine_again(
    desk: OpenDesk, text: str, start: tuple[int, int], end: tuple[int, int], selected: str
) -> None:
    script = Script(text)
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await drag(d, start, end)
        assert marked(d) == selected and "Alt+R" in d.notice
        await d.press("alt+r")
        assert [hole.text.replace("\n", "") for hole in script.requests[-1].holes] == [selected]


async def test_double_click_selects_a_piece_and_no_word_of_the_text(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await click(d, 5, 1, times=2)
        assert marked(d) == "b"
        assert d.app.editor.selection.is_empty


async def test_drag_from_a_draft_into_the_text_selects_text(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await drag(d, (5, 1), (3, 4))
        assert marked(d) == "" and caret(d) is None
        assert d.app.editor.selected_text == "\n\n\ndef"


async def test_pieces_of_two_holes_in_a_row_and_of_wrapped_drafts_are_told_apart(
    desk: OpenDesk,
) -> None:
    long = "x" * 70
    async with desk({"a.txt": b"A - B\n"}, Script("one", long), size=(60, 16)) as d:
        await d.press("alt+z")
        await result(d, (0, 1), (4, 5))
        first, second = d.app.editor.holes
        await click(d, 1, 0)
        assert (first.caret, second.caret) == (1, None)
        await click(d, 2, 1)  # there the long word begins
        assert (first.caret, second.caret) == (None, 2)
        await click(d, 3, 2)
        assert second.caret == d.app.editor.wrap_width + 3


async def test_click_while_it_runs_is_a_click_in_the_text(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(2)
        await click(d, 6, 1)
        assert caret(d) is None and d.app.editor.cursor_location == (1, 8)
