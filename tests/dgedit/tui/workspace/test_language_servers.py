"""Problems that language servers find are marked, gone to and read; names are asked about."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Static

import fakelsp
from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.picker import Choose
from dgedit.tui.widgets.text_dialog import TextDialog
from scripted import Script

from ..conftest import Desk

CODE = b"first = 1\nx = bad + first\ny = odd\n\n\ndef second():\n    return bad\n\n\nsecond()\n"


@asynccontextmanager
async def served(
    folder: Path, *modes: str, command: list[str] | None = None, **more: bytes
) -> AsyncIterator[Desk]:
    """An editor with a server for Python."""
    paths = []
    for name, data in ({"a": CODE} | more).items():
        paths.append(folder / f"{name}.py")
        paths[-1].write_bytes(data)
    command = command or [sys.executable, fakelsp.__file__, *modes]
    settings = Settings(lsp={"python": {"command": command}})
    app = DgeditApp(paths, connect=Script, watch=False, settings=settings)
    async with app.run_test(size=(80, 20)) as pilot:
        app.editor.cursor_blink = False
        d = Desk(app, pilot, Script())
        await d.settled()
        yield d


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def signs(d: Desk) -> str:
    editor = d.app.editor
    at = editor.gutter_width - 2
    return "".join(editor.render_line(y).text[at] for y in range(editor.buffer.line_count))


async def test_problems_are_marked_and_gone_to(tmp_path: Path) -> None:
    async with served(tmp_path) as d:
        await d.until(lambda: signs(d) == " ×!   ×    ")
        status = d.app.workspace.status
        await d.press("down")
        assert status.problem == "bad is bad" and "bad is bad" in str(status.render())
        await d.press("down")
        assert status.problem == "odd is odd"
        await d.press("down")
        assert status.problem == ""
        for key, place, number in [
            ("shift+f8", (6, 11), 3),
            ("shift+f8", (1, 4), 1),
            ("shift+f8", (2, 4), 2),
            ("ctrl+f8", (1, 4), 1),
            ("ctrl+f8", (6, 11), 3),
        ]:
            await d.press(key)
            assert d.app.editor.cursor_location == place
            assert d.notice == f"problem {number} of 3"


async def test_problems_follow_the_text_and_come_anew(tmp_path: Path) -> None:
    async with served(tmp_path) as d:
        await d.until(lambda: signs(d) == " ×!   ×    ")
        await d.press("enter")
        assert signs(d) == "  ×!   ×    "
        await d.press("ctrl+end", "o", "d", "d")
        await d.until(lambda: signs(d) == "  ×!   ×   !")
        await d.press("backspace")
        await d.until(lambda: signs(d) == "  ×!   ×    ")


async def test_what_is_known_of_a_place_is_shown(tmp_path: Path) -> None:
    async with served(tmp_path) as d:
        await d.until(lambda: signs(d) == " ×!   ×    ")
        d.app.editor.move_cursor((1, 5))
        await d.press("shift+f1")
        await d.until(lambda: isinstance(d.app.screen, TextDialog))
        text = str(d.app.screen.query_one(".text", Static).render())
        assert text == "error: bad is bad (fake)\n\nbad: 3␛[2J"
        await d.press("escape")
        d.app.editor.move_cursor((3, 0))
        await d.press("shift+f1")
        await d.until(lambda: d.notice == "the language server says nothing of this place")


async def test_definition_is_asked_of_the_server(tmp_path: Path) -> None:
    async with served(tmp_path) as d:
        d.app.editor.move_cursor((9, 2))
        await d.press("alt+g")
        await d.until(lambda: d.app.editor.cursor_location == (5, 4))
        await d.press("alt+left")
        assert d.app.editor.cursor_location == (9, 2)
        d.app.editor.move_cursor((1, 12))  # where the server knows nothing, the syntax is asked
        await d.press("alt+g")
        await d.until(lambda: d.app.editor.cursor_location == (0, 0))


async def test_all_problems_are_listed(tmp_path: Path) -> None:
    async with served(tmp_path, b=b"bad\n") as d:
        await d.until(lambda: signs(d) == " ×!   ×    ")
        await d.press("ctrl+pagedown")
        await d.until(lambda: signs(d) == "× ")
        await d.press("ctrl+pageup")
        d.app.servers.list_all()
        await d.until(lambda: isinstance(d.app.screen, Choose))
        await d.press("down", "down", "down", "enter")
        await d.until(lambda: d.app.editor.path.name == "b.py")


async def test_server_that_dies_is_started_again_thrice(tmp_path: Path) -> None:
    async with served(tmp_path, "dies") as d:
        await d.until(lambda: signs(d) == " ×!   ×    ")
        said = "the language server for python ended, exit code 3"
        for ends in (said, said, f"{said}: it is not started again"):
            await d.press("d", "i", "e")
            await d.until(lambda ends=ends: d.notice == ends)  # type: ignore[misc]
            assert signs(d).strip() == ""
            await d.press("ctrl+z")
            if ends == said:
                await d.until(lambda: signs(d) == " ×!   ×    ")
        assert d.app.editor.text.encode() == CODE


async def test_server_that_is_not_there_is_said_so_once(tmp_path: Path) -> None:
    async with served(tmp_path, command=["./no\x1bwhere"]) as d:
        said = "no language server for python: ./no␛where: No such file or directory"
        await d.until(lambda: d.notice == said)
        await d.press("x")
        assert d.notice == "" and d.app.editor.text.startswith("x")


async def test_without_a_server(tmp_path: Path) -> None:
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False)
    async with app.run_test(size=(100, 16)) as pilot:
        d = Desk(app, pilot, Script())
        await d.press("shift+f1")
        await d.until(lambda: d.notice.startswith("no language server is set"))
        await d.press("shift+f8")
        assert d.notice == "no problem is known in a.py"
        app.servers.list_all()
        await d.until(lambda: d.notice == "no problem is known in the open files")
