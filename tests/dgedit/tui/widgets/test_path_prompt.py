"""The line that asks for a path."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Static

from dgedit.tui.widgets.path_prompt import AskPath

from ..conftest import Desk, OpenDesk


def names(d: Desk) -> list[str]:
    return str(d.app.screen.query_one(".names", Static).render()).splitlines()


async def test_empty_line_shows_what_there_is(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    async with desk({"a.txt": b"", "b.txt": b""}) as d:
        d.app.push_screen(AskPath("Open", "", tmp_path))
        await d.until(lambda: isinstance(d.app.screen, AskPath))
        assert names(d) == ["a.txt", "b.txt", "folder/"]
        await d.press("f")
        assert names(d) == ["folder/"]
        await d.press("tab")
        assert names(d) == []
