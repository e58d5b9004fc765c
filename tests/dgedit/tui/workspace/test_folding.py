"""What is folded is not drawn, comes back when it is gone to or edited, and is never lost."""

from __future__ import annotations

import random

import pytest

from dgedit.text.folding import Fold
from dgedit.tui.editor.holes import OpenHole

from ..conftest import Desk, OpenDesk, Script
from ..drawn import check_rows, check_view

TEXT = b"""def one(a):
    if a:
        return 1
    return 2


class Two:
    x = 3

    def four(self):
        return 4
end = 5
"""
ONE, TWO, FOUR, IF = Fold(0, 3), Fold(6, 10), Fold(9, 10), Fold(1, 2)


def folds(d: Desk) -> list[Fold]:
    return list(d.app.editor.buffer.folds)


def drawn(d: Desk) -> list[str]:
    editor = d.app.editor
    check_rows(editor)
    check_view(editor)
    return [d.row(y) for y in range(editor.rows.height)]


def go(d: Desk, row: int, column: int = 0) -> None:
    d.app.editor.move_cursor((row, column))


async def click(d: Desk, x: int, y: int) -> None:
    await d.pilot.click(d.app.editor, (x, y))
    await d.settled()


async def test_fold_shows_its_first_line_and_how_many_are_hidden(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 6)
        await d.press("alt+shift+f")
        assert folds(d) == [TWO]
        rows = drawn(d)
        assert rows[5:] == ["", "class Two: ⋯ 4 lines", "end = 5", ""]
        gutters = [d.app.editor.render_line(y).text[:5] for y in range(8)]
        assert gutters[6:] == ["  7 ▸", " 12  "]
        assert d.app.editor.text.encode() == TEXT and not d.app.editor.dirty
        await d.press("alt+shift+u")
        assert not folds(d) and len(drawn(d)) == 13


async def test_fold_again_takes_what_is_around_and_says_where_nothing_is(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 2, 9)
        await d.press("alt+shift+f")
        assert folds(d) == [IF] and d.app.editor.cursor_location == (1, 9)
        await d.press("alt+shift+f")
        assert folds(d) == [ONE, IF] and d.app.editor.cursor_location == (0, 9)
        await d.press("alt+shift+f")
        assert "nothing to fold" in d.notice
        await d.press("alt+shift+u")
        assert folds(d) == [IF]  # which stayed as it was
        assert drawn(d)[:3] == ["def one(a):", "    if a: ⋯ 1 line", "    return 2"]
        go(d, 11)
        await d.press("alt+shift+u")
        assert "nothing is folded here" in d.notice


async def test_all_is_folded_and_unfolded_and_to_a_level(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 10, 4)
        await d.press("alt+shift+a")
        assert folds(d) == [ONE, IF, TWO, FOUR]
        assert d.app.editor.cursor_location == (6, 4)
        assert [row for row in drawn(d) if row] == [
            "def one(a): ⋯ 3 lines",
            "class Two: ⋯ 4 lines",
            "end = 5",
        ]
        await d.press("alt+shift+e")
        assert not folds(d)
        d.app.folding.fold_to(2)
        await d.settled()
        assert folds(d) == [IF, FOUR]
        d.app.folding.fold_to(1)
        await d.settled()
        assert folds(d) == [ONE, TWO]
        d.app.folding.fold_to(4)
        assert not folds(d) and "nothing to fold" in d.notice


async def test_indentation_folds_where_there_is_no_grammar(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a\n  b\n\n    c\n\nd\n"}) as d:
        await d.press("alt+shift+f")
        assert drawn(d) == ["a ⋯ 3 lines", "", "d", ""]


@pytest.mark.parametrize("wrap", [False, True])
async def test_cursor_moves_over_folds(desk: OpenDesk, wrap: bool) -> None:
    async with desk({"a.py": TEXT}) as d:
        d.app.editor.soft_wrap = wrap
        go(d, 6)
        await d.press("alt+shift+f", "end", "down")
        assert d.app.editor.cursor_location == (11, 7)
        await d.press("up")
        assert d.app.editor.cursor_location == (6, 10)
        await d.press("up", "up", "up")
        go(d, 0)
        await d.press("alt+shift+f", "pagedown")
        assert d.app.editor.cursor_location == (12, 0) and folds(d) == [ONE, TWO]
        await d.press("pageup")
        assert d.app.editor.cursor_location == (0, 0) and folds(d) == [ONE, TWO]
        go(d, 11)
        await d.press("down", "up", "up", "shift+down")
        assert d.app.editor.selected_text == "class Two:\n    x = 3\n\n    def four(self):\n" + (
            "        return 4\n"
        )
        assert len(drawn(d)) == 6


async def test_last_line_folded_keeps_the_cursor_above(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x\ndef f():\n    a\n    b"}) as d:
        go(d, 1)
        await d.press("alt+shift+f", "down")
        assert d.app.editor.cursor_location == (1, 8) and drawn(d) == ["x", "def f(): ⋯ 2 lines"]


async def test_what_is_gone_to_is_shown(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        for keys in (
            ["ctrl+g", "1", "1", "enter"],
            ["ctrl+f", *"four", "enter", "escape"],
            ["ctrl+g", "7", "enter", "end", "right"],
        ):
            go(d, 0)
            await d.press("alt+shift+a", *keys)
            assert ONE in folds(d) and TWO not in folds(d)
            drawn(d)


async def test_edit_on_the_line_keeps_a_fold_and_one_in_it_opens_it(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 6)
        await d.press("alt+shift+f", "x", "end", "backspace")
        assert folds(d) == [TWO]
        go(d, 3)
        await d.press("enter", "enter")  # above
        assert folds(d) == [Fold(8, 12)] and drawn(d)[8].startswith("xclass Two ⋯ 4")
        await d.press("ctrl+z", "ctrl+z")
        assert folds(d) == [TWO]
        go(d, 6)
        await d.press("end", "delete")  # the line's end
        assert not folds(d)
        await d.press("ctrl+z", "alt+shift+f", "ctrl+z")
        assert d.app.editor.text.encode() == TEXT.replace(b"class", b"xclass")


async def test_selection_across_a_fold_takes_it_along(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 0)
        await d.press("alt+shift+a", "down", "shift+down", "shift+down", "shift+down", "delete")
        assert (
            d.app.editor.text.encode()
            == TEXT[: TEXT.index(b"\n") + 1]
            + TEXT[TEXT.index(b"    if") : TEXT.index(b"\n\n\nclass") + 1]
            + TEXT[TEXT.index(b"end") :]
        )
        assert folds(d) == [ONE, IF]
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == TEXT
        drawn(d)


async def test_folds_that_no_change_meets_stay(desk: OpenDesk) -> None:
    async with desk({"a.py": b"# a\n" + TEXT + b"# a\n"}) as d:
        go(d, 0)
        await d.press("alt+shift+a", "ctrl+r", *"# a", "tab", *"# b", "alt+a", "escape")
        assert d.app.editor.text.startswith("# b") and d.app.editor.text.endswith("# b\n")
        assert folds(d) == [Fold(head + 1, last + 1) for head, last in (ONE, IF, TWO, FOUR)]
        await d.press("ctrl+z")
        assert len(folds(d)) == 4
        await d.press("ctrl+r", *"return", "tab", *"raise", "alt+a", "escape")
        assert not folds(d)  # each had one in it
        drawn(d)


async def test_several_cursors_fold_and_edit_over_folds(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}) as d:
        editor = d.app.editor
        at = editor.buffer.index
        d.select(at((9, 4)), at((9, 4)))
        editor.cursors.add((at((1, 4)), at((1, 4))))
        await d.press("alt+shift+f")
        assert folds(d) == [IF, FOUR] and editor.cursors.count == 2
        await d.press("x")
        assert editor.text.count("xif a") == editor.text.count("xdef four") == 1
        assert folds(d) == [IF, FOUR]
        await d.press("escape", "ctrl+home", "alt+shift+a")
        d.select(at((2, 8)), at((2, 14)))
        await d.press("alt+o")  # all that are equal
        assert editor.cursors.count == 3 and not folds(d)
        drawn(d)


async def test_hole_is_never_folded_away(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}, Script("9")) as d:
        editor = d.app.editor
        at = editor.buffer.index
        d.select(at((2, 15)), at((2, 16)))
        await d.press("f2")
        go(d, 0)
        await d.press("alt+shift+a")
        assert folds(d) == [TWO, FOUR]
        await d.press("alt+shift+f")
        assert "a hole is in there" in d.notice and folds(d) == [TWO, FOUR]
        editor.open_holes([OpenHole(at((10, 8)), at((10, 16)))])
        await d.settled()
        assert not folds(d)
        drawn(d)


async def test_mask_of_a_folded_part_shows_it(desk: OpenDesk) -> None:
    async with desk({"a.py": TEXT}, Script("pass")) as d:
        go(d, 6)
        await d.press("alt+shift+f", "shift+down", "f2")
        assert not folds(d) and d.app.editor.holes
        drawn(d)
        await d.press("f5")
        await d.step(3)
        await d.press("alt+y")
        drawn(d)


@pytest.mark.parametrize("where", ["gutter", "mark", "text"])
async def test_click_on_a_mark_unfolds(desk: OpenDesk, where: str) -> None:
    async with desk({"a.py": TEXT}) as d:
        go(d, 6)
        await d.press("alt+shift+f")
        gutter = d.app.editor.gutter_width
        x = {"gutter": gutter - 1, "mark": gutter + len("class Two: ⋯"), "text": gutter + 3}[where]
        await click(d, x, 6)
        assert (folds(d) == [TWO]) is (where == "text")
        drawn(d)


@pytest.mark.parametrize("name", ["a.py", "a.txt"])
async def test_whatever_is_pressed_among_folds_rows_and_text_agree(
    desk: OpenDesk, name: str
) -> None:
    dice = random.Random(name)
    edits = "x enter backspace delete tab alt+up alt+down alt+k ctrl+j ctrl+z ctrl+y ctrl+slash f2"
    moves = "up down shift+up shift+down right left end pagedown alt+pagedown alt+z"
    folding = "alt+shift+f alt+shift+f alt+shift+a alt+shift+a alt+shift+u alt+shift+e"
    async with desk({name: TEXT}) as d:
        editor, folded = d.app.editor, 0
        for _ in range(90):
            at = dice.randrange(len(editor.text) + 1)
            if dice.random() < 0.5:
                d.select(at, at if dice.random() < 0.7 else dice.randrange(len(editor.text) + 1))
            key = dice.choice(dice.choice([edits, moves, folding]).split())
            before = editor.text
            await d.press(key)
            assert key in edits.split() or editor.text == before
            folded += editor.buffer.folds.any
            check_rows(editor)
            check_view(editor)
        assert folded > 9
        while editor.history.undo_stack:
            editor.undo()
        assert editor.text.encode() == TEXT
