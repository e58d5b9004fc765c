"""Searching the project from the editor, and replacing there without losing a byte."""

from __future__ import annotations

import os
from pathlib import Path

from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.places import Places
from dgedit.tui.workspace.project_search import Agreeing

from ..conftest import Desk, OpenDesk


def places(d: Desk) -> dict[str, list[tuple[int, int]]]:
    files = d.app.search.panel.places.files
    return {one.name: [hit.start for hit in one.hits] for one in files}


def drawn(d: Desk) -> list[str]:
    shown = d.app.search.panel.places
    return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


def told(d: Desk) -> str:
    return str(d.app.search.panel._told.render())


async def search(d: Desk, what: str, key: str = "f9") -> None:
    await d.press(key, *what)
    await d.until(lambda: not d.app.search.running)


async def test_f9_finds_in_all_files_and_enter_opens_the_place(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "b.py").write_bytes(b"x\n" * 30 + b"    return needle\n")
    (tmp_path / "c.bin").write_bytes(b"needle\0")
    async with desk({"a.py": b"a needle\nNEEDLES\n"}, size=(80, 24)) as d:
        await search(d, "needle")
        assert places(d) == {"a.py": [(0, 2), (1, 0)], "src/b.py": [(30, 11)]}
        assert told(d) == "3 in 2 files · left out: 1 binary"
        assert d.app.search.panel.what.render_line(0).text.startswith("needle")
        assert drawn(d)[:5] == [
            "a.py  2",
            "     1 a needle",
            "     2 NEEDLES",
            "src/b.py  1",
            "    31 return needle",
        ]
        await d.press("down", "down", "down", "enter")
        await d.until(lambda: d.app.editor.path.name == "b.py")
        assert d.app.editor.selected_text == "needle" and d.app.focused is d.app.editor
        await d.press("f9")
        assert isinstance(d.app.focused, Places) and len(places(d)) == 2
        await d.press("shift+tab", "shift+tab", "shift+tab", "shift+tab")
        assert d.app.focused is d.app.editor
        await d.press("alt+left")
        assert d.app.editor.path.name == "a.py"
        await d.press("f9")
        await d.press("escape")
        assert not d.app.search.panel.display and d.app.focused is d.app.editor


async def test_switches_globs_and_the_other_key(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / "b.md").write_bytes(b"one\n")
    async with desk({"a.py": b"One ones\n"}) as d:
        await search(d, "one", "ctrl+shift+f")
        assert set(places(d)) == {"a.py", "b.md"}
        for key, expected in (
            ("alt+w", {"a.py": [(0, 0)], "b.md": [(0, 0)]}),
            ("alt+c", {"b.md": [(0, 0)]}),
        ):
            await d.press(key)
            await d.until(lambda: not d.app.search.running)
            assert places(d) == expected
        await d.press("alt+w", "tab", "tab", *"*.py")
        await d.until(lambda: not d.app.search.running)
        assert places(d) == {"a.py": [(0, 4)]}
        await d.press("[")
        assert "makes no sense" in told(d)
        await d.press("backspace", "shift+tab", "shift+tab", "alt+r", *"s(")
        await d.until(lambda: "missing )" in told(d))


async def test_text_that_is_not_saved_is_searched_and_again_when_it_is_edited(
    desk: OpenDesk,
) -> None:
    async with desk({"a.py": b"one\n"}, size=(60, 20)) as d:
        await d.press("t", "w", "o", "enter")
        await search(d, "one")
        assert places(d) == {"a.py": [(1, 0)]}
        await d.press("down", "enter", "home", "enter", "o", "n", "e")
        await d.until(lambda: places(d) == {"a.py": [(2, 0), (2, 3)]})
        assert told(d).startswith("2 in 1 file")
        await d.press("ctrl+a", "delete")
        await d.until(lambda: told(d) == "not found")
        await d.press("o", "n", "e")
        await d.until(lambda: places(d) == {"a.py": [(0, 0)]})


async def test_selection_is_what_is_looked_for(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one (two\n(two\n"}) as d:
        d.select(4, 8)
        await search(d, "")
        assert d.app.search.panel.what.value == "(two"
        assert places(d) == {"a.py": [(0, 4), (1, 0)]}


async def test_name_and_line_of_a_file_are_made_visible(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / "b\x1b[31m.py").write_bytes(b"one \x1b[2J\n")
    async with desk({"a.py": b"\n"}) as d:
        await search(d, "one")
        assert drawn(d)[:2] == ["b␛[31m.py  1", "     1 one ␛[2J"]


async def test_replacing_edits_what_is_open_and_saves_the_rest_after_a_look(
    desk: OpenDesk, tmp_path: Path
) -> None:
    closed = tmp_path / "b.txt"
    closed.write_bytes(b"\xff one\r\n\r\none one")
    closed.chmod(0o640)
    wide = tmp_path / "c.txt"
    wide.write_bytes("\ufeffone\r".encode("utf-16-be"))
    async with desk({"a.txt": b"one\r\ntwo\n"}, size=(80, 24)) as d:
        await search(d, "one")
        await d.press("tab", *"1\\0", "enter")
        await d.until(lambda: isinstance(d.app.screen, DiffView))
        lines = "\n".join(d.app.screen.lines)
        assert "━━ b.txt" in lines and "-one one" in lines and "+1\\0 1\\0" in lines
        await d.press("escape")
        assert d.app.editor.text == "one\r\ntwo\n" and b"one" in closed.read_bytes()

        await d.press("alt+a")
        await d.until(lambda: isinstance(d.app.screen, DiffView))
        await d.press("enter")
        await d.until(lambda: "5 replaced in 3 files" in d.notice)
        assert d.app.editor.text == "1\\0\r\ntwo\n" and d.app.editor.dirty
        assert (tmp_path / "a.txt").read_bytes() == b"one\r\ntwo\n"
        assert closed.read_bytes() == b"\xff 1\\0\r\n\r\n1\\0 1\\0"
        assert closed.stat().st_mode & 0o777 == 0o640
        assert wide.read_bytes() == "\ufeff1\\0\r".encode("utf-16-be")
        await d.press("escape", "ctrl+z")
        assert d.app.editor.text == "one\r\ntwo\n" and not d.app.editor.dirty


async def test_groups_of_an_expression_are_put_in_and_line_ends_fit(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / "b.txt").write_bytes(b"a=b\r\n")
    async with desk({"a.txt": b"c=d\n"}, size=(80, 24)) as d:
        await d.press("f9", "alt+r", *r"(\w)=(\w)", "tab", *r"\2\n\1")
        await d.until(lambda: not d.app.search.running)
        await d.press("enter")
        await d.until(lambda: isinstance(d.app.screen, Agreeing))
        await d.press("enter")
        await d.until(lambda: "2 replaced" in d.notice)
        assert (tmp_path / "b.txt").read_bytes() == b"b\r\na\r\n"
        assert d.app.editor.text == "d\nc\n"


async def test_file_that_changes_after_the_look_stays_as_it_is(
    desk: OpenDesk, tmp_path: Path
) -> None:
    for name in ("b.txt", "c.txt", "d.txt"):
        (tmp_path / name).write_bytes(b"one\n")
    async with desk({"a.txt": b"\n"}, size=(100, 24)) as d:
        await search(d, "one")
        await d.press("tab", "2", "enter")
        await d.until(lambda: isinstance(d.app.screen, Agreeing))
        (tmp_path / "b.txt").write_bytes(b"one more\n")
        os.unlink(tmp_path / "c.txt")
        await d.press("enter")
        await d.until(lambda: told(d).startswith("not replaced"))
        assert "b.txt has changed on disk" in told(d) and "c.txt was removed" in told(d)
        assert "1 replaced in 1 file" in d.notice
        assert (tmp_path / "b.txt").read_bytes() == b"one more\n"
        assert not (tmp_path / "c.txt").exists()
        assert (tmp_path / "d.txt").read_bytes() == b"2\n"


async def test_what_is_cut_off_is_not_replaced(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"o" * 10_001)
    async with desk({"a.txt": b"\n"}, size=(100, 24)) as d:
        await search(d, "o")
        assert told(d) == "10,000 in 1 file · stopped at 10,000 places"
        await d.press("alt+a")
        await d.until(lambda: "narrow it" in told(d))
        await d.press("down", "end", "up", "pagedown")
        assert isinstance(d.app.focused, Places)
        assert any("ooo" in line for line in drawn(d))
