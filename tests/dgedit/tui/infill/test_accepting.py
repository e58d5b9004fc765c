"""A result taken word by word, line by line, hole by hole: each its own undo."""

from __future__ import annotations

import pytest
from textual.document._document import Selection

from dgedit.tui.infill.session import Stage
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans


async def result(d: Desk, *holes: tuple[int, int]) -> None:
    """Fill holes, and wait for the last step."""
    for hole in holes or [(13, 17)]:
        await masked(d, *hole)
    await d.press("f5")
    await d.step(3)
    assert d.app.fill is not None and d.app.fill.stage is Stage.READY


def undos(d: Desk) -> int:
    """How many undos would change the text."""
    return sum(bool(edits[0].change.parts) for edits in d.app.editor.history.undo_stack)


@pytest.mark.parametrize("key", ["ctrl+right", "alt+w"])
async def test_word_by_word_each_its_own_undo(desk: OpenDesk, key: str) -> None:
    async with desk({"a.py": CODE}, Script("return x + 1")) as d:
        await result(d)
        editor = d.app.editor
        seen = []
        for _ in range(2):
            await d.press(key)
            seen.append(editor.text.splitlines()[1])
        assert seen == ["    return", "    return x"]
        assert d.row(1) == "    return x + 1"
        assert undos(d) == 2
        assert spans(editor) == [(21, 21)]
        await d.press("ctrl+z")
        assert (editor.text.splitlines()[1], d.row(1)) == ("    return", "    return x + 1")
        await d.press("ctrl+z")
        assert editor.text.encode() == CODE
        assert (d.row(1), spans(editor)) == ("    return x + 1", [(13, 17)])
        await d.press("ctrl+y", "ctrl+y", key, key)
        assert editor.text.splitlines()[1] == "    return x + 1"
        assert d.app.fill is None and spans(editor) == []
        for _ in range(4):
            await d.press("ctrl+z")
        assert editor.text.encode() == CODE
        assert spans(editor) == [(13, 17)]


async def test_word_by_word_takes_signs_with_the_word_behind_them(desk: OpenDesk) -> None:
    words = ["self", ".name", " =", " x", "\n    f", "(a", ",", ' "b', " c", '"))', " 3.14"]
    async with desk({"a.py": CODE}, Script("".join(words))) as d:
        await result(d)
        seen = [d.app.editor.text]
        while d.app.fill is not None:
            await d.press("alt+w")
            seen.append(d.app.editor.text)
        behind = CODE.decode()[17:]
        texts = [text.removeprefix("def f():\n    ").removesuffix(behind) for text in seen[1:]]
        assert texts == ["".join(words[: count + 1]) for count in range(len(words))]


@pytest.mark.parametrize("key", ["ctrl+down", "alt+l"])
async def test_line_by_line(desk: OpenDesk, key: str) -> None:
    async with desk({"a.py": CODE}, Script("x = 1\n    y = 2\n    z = 3")) as d:
        await result(d)
        await d.press(key)
        assert d.app.editor.text.startswith("def f():\n    x = 1\n\n")
        assert [d.row(y) for y in range(1, 4)] == ["    x = 1", "    y = 2", "    z = 3"]
        await d.press(key)
        assert d.app.editor.text.startswith("def f():\n    x = 1\n    y = 2\n\n")
        await d.press("escape")
        assert d.app.fill is None and spans(d.app.editor) == []
        assert [d.row(y) for y in range(1, 4)] == ["    x = 1", "    y = 2", ""]
        await d.press("ctrl+z", "ctrl+z", "ctrl+z")  # the first opens what was rejected
        assert d.app.editor.text.encode() == CODE


async def test_part_of_a_draft_takes_the_line_ends_of_the_file(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\r\nHOLE\r\ntwo\r\n"}, Script("a\nb\nc")) as d:
        await result(d, (5, 9))
        await d.press("ctrl+down", "ctrl+down")
        assert d.app.editor.text == "one\r\na\r\nb\r\ntwo\r\n"
        await d.press("enter")
        assert d.app.editor.text == "one\r\na\r\nb\r\nc\r\ntwo\r\n"


async def test_one_hole_is_accepted_and_the_others_go_on(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await result(d, (13, 17), (40, 41))
        d.app.editor.selection = Selection.cursor((1, 5))
        await d.press("alt+enter")
        assert d.app.editor.text == "def f():\n    one\n\n\ndef g():\n    return 1\n"
        assert d.row(5) == "    return two"
        assert spans(d.app.editor) == [(39, 40)] and undos(d) == 1
        await d.press("ctrl+z")
        assert [d.row(1), d.row(5)] == ["    one", "    return two"]
        await d.press("enter")
        assert d.app.editor.text == "def f():\n    one\n\n\ndef g():\n    return two\n"
        assert undos(d) == 1


async def test_the_nearest_hole_is_accepted_from_elsewhere(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await result(d, (13, 17), (40, 41))
        d.app.editor.selection = Selection.cursor((4, 0))
        await d.press("alt+a")
        assert d.app.editor.text.endswith("return two\n")
        await d.press("alt+enter")
        assert d.app.fill is None and spans(d.app.editor) == []


async def test_word_and_line_keys_move_the_cursor_away_from_a_hole(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await result(d)
        d.app.editor.selection = Selection.cursor((4, 0))
        await d.press("ctrl+right")
        assert d.app.editor.cursor_location == (4, 3)
        assert d.app.editor.text.encode() == CODE


async def test_file_without_a_hole_of_the_result_says_so(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("one")) as d:
        await result(d)
        await d.press("ctrl+pagedown", "alt+w")
        assert "no hole" in d.notice
        await d.press("left_square_bracket")
        assert d.app.editors[1].text == "[" + CODE.decode()


@pytest.mark.parametrize(
    "key", ["alt+enter", "alt+w", "alt+l", "alt+right_square_bracket", "alt+r"]
)
async def test_without_a_result_keys_say_why(desk: OpenDesk, key: str) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await d.press(key)
        assert "F5" in d.notice
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press(key)
        assert "not settled" in d.notice
        assert d.app.editor.text.encode() == CODE


async def test_selection_in_a_draft_ends_with_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("ab")) as d:
        await result(d)
        await d.press("left", "shift+right", "shift+right", "shift+right")
        marked = [run.text for run in d.app.editor.rows.row(1)[0] if run.marked]
        assert marked == ["b"]
