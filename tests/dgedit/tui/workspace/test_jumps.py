"""Going back to where one was, and forth again, also in a text or a file that has changed."""

from __future__ import annotations

from pathlib import Path

from textual.document._document import Selection

from dgedit.text.edits import Change, Part

from ..conftest import Desk, OpenDesk

LINES = b"".join(b"line %d\n" % row for row in range(200))


def row(d: Desk) -> int:
    return d.app.editor.cursor_location[0]


async def to_line(d: Desk, line: int) -> None:
    await d.press("ctrl+g", *str(line), "enter")
    assert row(d) == line - 1


async def test_alt_left_goes_back_and_alt_right_forth(desk: OpenDesk) -> None:
    async with desk({"a.txt": LINES}) as d:
        await to_line(d, 50)
        await to_line(d, 150)
        await d.press("alt+left")
        assert row(d) == 49
        await d.press("alt+left")
        assert row(d) == 0
        await d.press("alt+left")
        assert row(d) == 0 and "no place to go back" in d.notice
        await d.press("alt+right", "alt+right")
        assert row(d) == 149
        await d.press("alt+right")
        assert row(d) == 149 and "no place to go forth" in d.notice


async def test_place_that_is_only_looked_at_is_none(desk: OpenDesk) -> None:
    async with desk({"a.txt": LINES}) as d:
        await d.press("ctrl+g", "9", "9", "escape")
        await d.press("ctrl+f", *"150")
        await d.until(lambda: row(d) == 150)
        await d.press("escape", "alt+left")
        assert row(d) == 0 and "no place" in d.notice


async def test_place_found_or_a_symbol_can_be_left_again(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x = 1\n" * 30 + b"def late(): ...\n"}) as d:
        await d.press("ctrl+f", *"late", "enter")
        await d.until(lambda: row(d) == 30)
        await d.press("escape", "alt+left")
        assert row(d) == 0
        await d.press("ctrl+t", "enter", "alt+left")
        assert row(d) == 0
        await d.press("alt+right")
        assert row(d) == 30


async def test_place_stays_on_its_text(desk: OpenDesk) -> None:
    async with desk({"a.txt": LINES}) as d:
        await to_line(d, 50)
        await to_line(d, 150)
        editor = d.app.editor
        editor.change(Change((Part(0, 0, "new\nlines\n"),), (0, 0)))
        await d.press("alt+left")
        assert editor.document[row(d)] == "line 49" and row(d) == 51
        await to_line(d, 100)
        editor.undo()
        await to_line(d, 150)
        await d.press("alt+left")
        assert editor.document[row(d)] == "line 49" and row(d) == 49


async def test_way_leads_over_files_and_opens_closed_ones(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": LINES, "b.txt": LINES}) as d:
        await to_line(d, 50)
        await d.press("ctrl+pagedown")
        assert d.app.editor.path.name == "b.txt"
        await d.press("alt+left")
        assert (d.app.editor.path.name, row(d)) == ("a.txt", 49)
        await d.press("ctrl+w")
        await d.until(lambda: len(d.app.editors) == 1)
        await d.press("alt+left")
        await d.until(lambda: (d.app.editor.path.name, row(d)) == ("a.txt", 49))
        assert len(d.app.editors) == 2
        await d.press("ctrl+w")
        await d.until(lambda: len(d.app.editors) == 1)
        (tmp_path / "a.txt").unlink()
        await d.press("alt+left")
        assert d.app.editor.path.name == "b.txt" and "no place" in d.notice


async def test_going_somewhere_opens_the_file_and_shows_the_place(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / "far.txt").write_bytes(LINES)
    async with desk({"a.txt": b"one\n"}) as d:
        assert await d.app.jumps.go(tmp_path / "far.txt", Selection((120, 0), (120, 4)))
        await d.until(lambda: "line 120" in "\n".join(map(d.row, range(12))))
        assert d.app.editor.selected_text == "line"
        assert not await d.app.jumps.go(tmp_path, Selection())
        assert "is a folder" in d.notice
        await d.press("alt+left")
        assert d.app.editor.path.name == "a.txt"
