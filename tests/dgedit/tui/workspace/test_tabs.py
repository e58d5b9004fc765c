"""Tabs come and go, and two files are seen side by side; the file in front is always known."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style
from textual.strip import Strip
from textual.widgets import Tabs

from dgedit.config import Settings
from dgedit.errors import UsageError
from dgedit.tui.app import DgeditApp
from scripted import Script

from ..conftest import Desk as Running
from ..conftest import OpenDesk

THREE = {"a.txt": b"a\n", "b.txt": b"b\n", "c.txt": b"c\n"}
LONG = b"".join(b"line %d\n" % i for i in range(200))


def labels(d: Running) -> list[str]:
    return [str(tab.label_text) for tab in d.app.query("ContentTab").results()]  # type: ignore[attr-defined]


def shown(d: Running) -> list[str]:
    """The files on the screen, from left to right."""
    editors = [editor for editor in d.app.editors if editor.display and editor.size.width]
    editors.sort(key=lambda editor: editor.region.x)
    return [editor.path.name for editor in editors]


def front(d: Running) -> str:
    """The file in front, by all that tells it."""
    assert d.app.focused is d.app.editor
    assert d.app.workspace.status.place.startswith(str(d.app.editor.path))
    active = d.app.query_one(Tabs).active_tab
    assert active is not None and active.label_text == d.app.workspace.label(d.app.editor)
    return d.app.editor.path.name


async def test_turning_goes_round_and_a_click_on_a_tab_too(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        assert front(d) == "a.txt" and shown(d) == ["a.txt"]
        for name in ("b.txt", "c.txt", "a.txt"):
            await d.press("ctrl+pagedown")
            assert front(d) == name and shown(d) == [name]
        await d.press("ctrl+pageup")
        assert front(d) == "c.txt"
        await d.pilot.click(list(d.app.query("ContentTab"))[1])
        await d.until(lambda: d.app.editor is d.app.editors[1])
        assert front(d) == "b.txt" and shown(d) == ["b.txt"]


async def test_turning_fast_ends_where_it_should(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        for _ in range(7):
            d.app.workspace.turn(1)
        d.app.workspace.turn(-1)
        await d.settled()
        assert front(d) == "a.txt"


async def test_split_shows_the_next_file_beside(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        await d.press("ctrl+backslash")
        assert shown(d) == ["a.txt", "b.txt"] and front(d) == "a.txt"
        await d.press("f8", "x")
        assert shown(d) == ["a.txt", "b.txt"] and front(d) == "b.txt"
        assert d.app.editor.text == "xb\n"
        await d.press("f8")
        assert front(d) == "a.txt"
        await d.press("ctrl+backslash")
        assert shown(d) == ["a.txt"] and front(d) == "a.txt"
        await d.press("f8")
        assert shown(d) == ["a.txt", "b.txt"] and front(d) == "b.txt"


async def test_turning_changes_one_side_and_the_sides_stay(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        await d.press("ctrl+backslash", "f8", "ctrl+pagedown")
        assert shown(d) == ["a.txt", "c.txt"] and front(d) == "c.txt"
        await d.press("f8", "ctrl+pagedown")
        assert shown(d) == ["b.txt", "c.txt"] and front(d) == "b.txt"
        await d.press("ctrl+pagedown")  # what is beside is only gone to
        assert shown(d) == ["b.txt", "c.txt"] and front(d) == "c.txt"
        await d.press("ctrl+pagedown")
        assert shown(d) == ["b.txt", "a.txt"] and front(d) == "a.txt"


async def test_click_goes_to_the_file_beside(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        await d.press("ctrl+backslash")
        await d.pilot.click(d.app.editors[1], offset=(5, 1))
        await d.until(lambda: d.app.editor is d.app.editors[1])
        assert front(d) == "b.txt" and shown(d) == ["a.txt", "b.txt"]
        await d.press("ctrl+backslash")
        assert shown(d) == ["b.txt"] and front(d) == "b.txt"


async def test_each_side_keeps_its_scroll(desk: OpenDesk) -> None:
    async with desk({"a.txt": LONG, "b.txt": LONG}) as d:
        await d.press("pagedown", "pagedown", "ctrl+backslash")
        a, b = d.app.editors
        top = a.scroll_y
        assert top > 0 and b.scroll_y == 0
        await d.press("f8", "pagedown", "pagedown", "pagedown", "pagedown")
        assert a.scroll_y == top and b.scroll_y > top
        lower = b.scroll_y
        await d.press("f8", "ctrl+backslash", "ctrl+pagedown", "ctrl+pageup")
        assert (a.scroll_y, b.scroll_y) == (top, lower)


async def test_each_side_of_a_split_has_its_name_above_it(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a\n", "b[1].txt": b"bcd\n"}) as d:
        first, second = d.app.editors
        height = first.size.height
        await d.press("ctrl+backslash", "x")
        assert [one.size.height for one in (first, second)] == [height - 1] * 2
        strips = d.app.screen._compositor.render_strips()
        titles = strips[first.region.y].text
        assert "─ ● a.txt " in titles and "─ b[1].txt " in titles
        assert "xa" in strips[first.region.y + 1].text and "bcd" in strips[first.region.y + 1].text
        await d.pilot.click(second, offset=(second.gutter_width + 2, 1))
        await d.until(lambda: d.app.editor is second)
        assert front(d) == "b[1].txt" and second.cursor_location == (0, 2)
        assert second.cursor_screen_offset.y == second.region.y + 1
        await d.press("ctrl+backslash")
        assert second.size.height == height


async def test_split_needs_two_files(desk: OpenDesk) -> None:
    async with desk({"a.txt": b""}) as d:
        for key in ("ctrl+backslash", "f8"):
            d.app.workspace.notice("")
            await d.press(key)
            assert "no other file" in d.notice and d.app.workspace.beside is None


async def test_removing_a_side_leaves_the_other(desk: OpenDesk) -> None:
    async with desk(THREE) as d:
        a, b, c = d.app.editors
        await d.press("ctrl+backslash")
        await d.app.workspace.remove(a)
        await d.settled()
        assert shown(d) == ["b.txt"] and front(d) == "b.txt" and d.app.workspace.beside is None
        await d.press("ctrl+backslash")
        await d.app.workspace.remove(c)
        await d.settled()
        assert shown(d) == ["b.txt"] and front(d) == "b.txt" and d.app.editors == [b]
        await d.app.workspace.remove(b)
        await d.settled()
        assert front(d) == "untitled" and labels(d) == ["untitled"]
        await d.press("x")
        assert labels(d) == ["● untitled"]


async def test_files_of_one_name_show_their_folders(tmp_path: Path) -> None:
    for folder in ("one/x", "two/x", "two"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    names = ("one/x/a.py", "two/x/a.py", "two/a.py", "b.py")
    app = DgeditApp([tmp_path / name for name in names], connect=Script, watch=False)
    async with app.run_test(size=(100, 12)) as pilot:
        d = Running(app, pilot, Script())
        assert labels(d) == ["one/x/a.py", "two/x/a.py", "two/a.py", "b.py"]
        await app.workspace.remove(app.editors[1])
        assert labels(d) == ["x/a.py", "two/a.py", "b.py"]
        await app.workspace.remove(app.editors[0])
        assert labels(d) == ["a.py", "b.py"]


async def test_settings_are_heeded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\tx\n")
    settings = Settings(theme="nord", reduced_motion=True, tab_width=2, keys={"save": "f24"})
    app = DgeditApp([tmp_path / "a.txt"], connect=Script, watch=False, settings=settings)
    async with app.run_test(size=(60, 10)) as pilot:
        d = Running(app, pilot, Script())
        await d.until(lambda: d.row(0) == "  x")
        assert app.theme == "nord" and app.animation_level == "none"
        assert not app.editor.cursor_blink
        await app.workspace.add(app.workspace.pages.untitled())
        await d.settled()
        assert not app.editor.cursor_blink and app.editor.indent_width == 2


async def test_without_settings_things_move(desk: OpenDesk, tmp_path: Path) -> None:
    app = DgeditApp([tmp_path / "a"], connect=Script, watch=False)
    async with app.run_test() as pilot:
        await Running(app, pilot, Script()).settled()
        assert app.theme == "tokyo-night" and app.editor.cursor_blink
        assert app.animation_level == "full"


def test_theme_nobody_knows_is_an_error_before_the_screen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no theme 'norf'; did you mean 'nord'"):
        DgeditApp([tmp_path / "a"], connect=Script, settings=Settings(theme="norf"))


async def test_syntax_colours_follow_dark_and_light(desk: OpenDesk) -> None:
    async with desk({"a.py": b"import os\n"}) as d:

        def keyword() -> list[tuple[int, int, int]]:
            """The colours of its letters and of its ground."""
            cells = [style for _, style in _cells(d.app.editor.render_line(0))]
            style = cells[d.app.editor.gutter_width + 1]
            assert style is not None and style.color and style.bgcolor
            return [tuple(one.get_truecolor()) for one in (style.color, style.bgcolor)]  # type: ignore[misc]

        await d.until(lambda: keyword()[0] == (0xBB, 0x9A, 0xF7))  # they come with the first parse
        assert sum(keyword()[1]) < 200
        d.app.theme = "textual-light"
        await d.until(lambda: keyword()[0] == (0x7A, 0x3F, 0xC0))
        assert sum(keyword()[1]) > 500


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    return [(char, segment.style) for segment in strip for char in segment.text]


async def test_line_numbers_and_wrapping_are_settings(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 40)
    for on in (True, False):
        settings = Settings(line_numbers=on, soft_wrap=on)
        app = DgeditApp([tmp_path / "a.txt"], connect=Script, watch=False, settings=settings)
        async with app.run_test(size=(60, 10)) as pilot:
            await Running(app, pilot, Script()).settled()
            line = app.editor.render_line(0).text
            assert line.startswith(" 1  word" if on else "  word")
            assert app.editor.rows.height == (4 if on else 1)
