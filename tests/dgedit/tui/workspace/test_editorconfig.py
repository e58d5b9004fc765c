"""What `.editorconfig` says is done to the files of a project, as far as the user lets it."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

import pytest
from textual.widgets import Input

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.holes import OpenHole
from scripted import Script

from ..conftest import Desk, OpenDesk

SAID = (
    "root=true\n[*]\nindent_style=space\nindent_size=2\ntab_width=8\nend_of_line=crlf\n"
    "charset=utf-8-bom\ntrim_trailing_whitespace=true\ninsert_final_newline=true\n"
)


async def test_saving_tidies_touched_lines_as_one_undo(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    async with desk({"a.txt": b"one \ntwo \nthree"}) as d:
        await d.press("down", "end", "x", " ", "ctrl+s")
        assert (tmp_path / "a.txt").read_bytes() == b"one \ntwo x\nthree\n"
        editor = d.app.editor
        assert not editor.dirty and editor.cursor_location == (1, 5)
        await d.press("ctrl+z")
        assert editor.text == "one \ntwo x \nthree" and editor.dirty
        await d.press("ctrl+y")
        assert not editor.dirty


@pytest.mark.parametrize("said", ["", "root=true\n[*]\ntrim_trailing_whitespace=false\n"])
async def test_user_wants_it_where_no_project_says(tmp_path: Path, said: str) -> None:
    (tmp_path / ".editorconfig").write_text(said or "root=true\n")
    path = tmp_path / "a.txt"
    path.write_bytes(b"one \ntwo")
    settings = Settings(trim=True, final_newline=True)
    app = DgeditApp([path], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await d.press("down", "end", " ", "ctrl+s")
        assert path.read_bytes() == (b"one \ntwo \n" if said else b"one \ntwo\n")


async def test_hole_keeps_the_blank_before_it(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    async with desk({"a.txt": b"\n"}) as d:
        await d.press("a", "=", " ")
        d.app.editor.open_holes([OpenHole(3, 3)])
        await d.press("ctrl+s")
        assert d.app.editor.text == "a= \n"


async def test_indentation_and_tab_stops_are_those_that_are_said(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    async with desk({"a.py": b"if a:\n    b\n"}) as d:
        await d.press("tab")
        assert d.app.editor.text.startswith("  if")
        assert d.app.editor.indent_width == 8


async def test_new_file_is_stored_as_is_said_and_an_old_one_as_it_was(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    async with desk({"old.txt": b"a\nb\n"}) as d:
        await d.press("x", "ctrl+s")
        assert (tmp_path / "old.txt").read_bytes() == b"xa\nb\n"
        await d.app.opening.open_file(tmp_path / "new.txt")
        await d.press("a", "enter", "b", "ctrl+s")
        assert (tmp_path / "new.txt").read_bytes() == BOM_UTF8 + b"a\r\nb\r\n"
        await d.press("ctrl+n", "c", "enter", "d", "f12")
        d.app.screen.query_one(Input).value = str(tmp_path / "named.txt")
        await d.press("enter")
        await d.until(lambda: (tmp_path / "named.txt").exists())
        assert (tmp_path / "named.txt").read_bytes() == BOM_UTF8 + b"c\r\nd\r\n"


async def opened(tmp_path: Path, settings: Settings, *keys: str) -> bytes:
    """What a file is once it was opened, and keys were pressed in it."""
    file = tmp_path / "a.txt"
    file.write_bytes(b"one\ntwo")
    app = DgeditApp([file], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).press(*keys)
    return file.read_bytes()


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        (Settings(editorconfig_indent=False), b"    onex\ntwo\n"),
        (Settings(editorconfig_trim=False), b"  onex \ntwo\n"),
        (Settings(editorconfig_final_newline=False), b"  onex\ntwo"),
        (Settings(editorconfig_end_of_line="all"), b"  onex\r\ntwo\r\n"),
        (Settings(editorconfig_charset="all"), BOM_UTF8 + b"  onex\ntwo\n"),
    ],
)
async def test_each_can_be_switched_off_or_asked_for(
    tmp_path: Path, settings: Settings, after: bytes
) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    keys = "tab", "end", "x", "space", "ctrl+s"
    assert await opened(tmp_path, settings, *keys) == after


async def test_new_file_is_as_usual_where_that_is_switched_off(tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text(SAID)
    settings = Settings(editorconfig_end_of_line="off", editorconfig_charset="off")
    file = tmp_path / "new.txt"
    app = DgeditApp([file], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).press("a", "enter", "b", "ctrl+s")
    assert file.read_bytes() == b"a\nb\n"


async def test_broken_file_is_a_notice_and_the_text_is_opened(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / ".editorconfig").write_text("root=true\n[*]\nindent_size=2\n\x1b[31mbad\n")
    async with desk({"a.py": b"a\n"}, size=(150, 16)) as d:
        assert ".editorconfig:4 is not understood" in d.notice
        await d.press("tab")
        assert d.app.editor.text == "  a\n"
        await d.app.opening.open_file(tmp_path / "b.py")
        assert "new file" in d.notice and ".editorconfig:4 is not understood" in d.notice
