"""All files that are not saved, with one key."""

from __future__ import annotations

from pathlib import Path

from dgedit.tui.widgets.path_prompt import AskPath

from ..conftest import OpenDesk


async def test_all_that_is_not_saved_is_saved(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"", "b.txt": b"", "c.txt": b""}) as d:
        await d.press("x", "ctrl+pagedown", "ctrl+pagedown", "y", "alt+s")
        await d.until(lambda: d.notice == "saved 2 files")
        texts = [(tmp_path / name).read_bytes() for name in ("a.txt", "b.txt", "c.txt")]
        assert texts == [b"x", b"", b"y"] and not any(one.dirty for one in d.app.editors)
        await d.press("z", "alt+s")
        await d.until(lambda: "saved c.txt" in d.notice or "c.txt" in d.notice)
        await d.press("alt+s")
        await d.until(lambda: d.notice == "nothing to save")


async def test_file_that_is_not_saved_is_shown_and_named(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"", "b.txt": b""}) as d:
        await d.press("x", "ctrl+pagedown", "y", "ctrl+pageup")
        d.app.editors[1].locked = True
        await d.press("alt+s")
        await d.until(lambda: d.notice.startswith("1 saved; read-only"))
        assert d.app.editor is d.app.editors[1]
        assert (tmp_path / "a.txt").read_bytes() == b"x" and d.app.editor.dirty


async def test_text_without_a_name_is_asked_for_one(desk: OpenDesk) -> None:
    async with desk({"a.txt": b""}) as d:
        await d.press("ctrl+n", "x", "ctrl+pageup", "alt+s")
        await d.until(lambda: isinstance(d.app.screen, AskPath))
        await d.press("escape")
        await d.until(lambda: d.app.editor is d.app.editors[1])
        assert d.app.editor.dirty
