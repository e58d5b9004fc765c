"""Copies reach the system, pastes come from there, and a hung program holds up nothing."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
from textual import events

from dgedit.tui.terminal import clipboard
from dgedit.tui.terminal.clipboard import Tool, copy, find_tool, paste

from ..conftest import OpenDesk


def program(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Programs whose clipboard is a file; the copying one stays, as xclip does."""
    held = tmp_path / "held"
    return Tool(
        (program(tmp_path, "copy", f"cat > {held}; sleep 9 &"),),
        (program(tmp_path, "paste", f"cat {held}"),),
    )


@pytest.fixture
def hung(tmp_path: Path) -> Tool:
    stuck = program(tmp_path, "stuck", "exec sleep 60")
    return Tool((stuck,), (stuck,))


def test_program_is_chosen_by_display_and_presence(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(*names: str) -> object:
        return lambda name: name if name in names else None

    monkeypatch.setattr("sys.platform", "linux")
    wayland = {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}
    both = there("wl-copy", "wl-paste", "xclip")
    for environment, which, name in (
        (wayland, both, "wl-copy"),
        ({"DISPLAY": ":0"}, both, "xclip"),
        ({"DISPLAY": ":0"}, there("xsel"), "xsel"),
        ({"DISPLAY": ""}, both, None),
        ({}, there("pbcopy", "pbpaste"), None),
    ):
        tool = find_tool(environment, which)  # type: ignore[arg-type]
        assert (tool and tool.copy[0]) == name
    monkeypatch.setattr("sys.platform", "darwin")
    tool = find_tool({}, there("pbcopy", "pbpaste"))  # type: ignore[arg-type]
    assert tool is not None and tool.copy == ("pbcopy",)


async def test_text_goes_there_and_back(tool: Tool) -> None:
    assert await copy(tool, "é\r\n👍🏽")
    assert await paste(tool) == "é\r\n👍🏽"


async def test_missing_or_failing_program_is_no_error(tmp_path: Path) -> None:
    fails = program(tmp_path, "fails", "exit 1")
    assert not await copy(Tool((fails,), (fails,)), "x")
    assert await paste(Tool((fails,), (fails,))) is None
    assert await paste(Tool(("/nowhere",), ("/nowhere",))) is None


async def test_hung_program_is_ended(hung: Tool) -> None:
    begun = monotonic()
    with pytest.raises(TimeoutError):
        await paste(hung, patience=0.1)
    with pytest.raises(TimeoutError):
        await copy(hung, "x" * 1_000_000, patience=0.1)
    assert monotonic() - begun < 30


async def test_copy_cut_and_paste_by_key(desk: OpenDesk, tool: Tool, tmp_path: Path) -> None:
    held = tmp_path / "held"
    async with desk({"a.txt": b"one\r\ntwo\r\n\xff\r\n"}) as d:
        d.app.clipboards.tool = tool
        await d.press("shift+end", "ctrl+c")
        await d.until(lambda: held.exists() and held.read_text() == "one")
        held.write_text("from elsewhere\n")
        await d.press("down", "ctrl+v", "z")
        assert d.app.editor.current.encode() == b"one\r\ntwofrom elsewhere\r\nz\r\n\xff\r\n"
        await d.press("ctrl+z", "ctrl+z", "down", "ctrl+x")
        await d.until(lambda: held.read_text() == "\ufffd\n")
        await d.press("up", "ctrl+v")
        assert d.app.editor.current.encode() == b"one\r\n\xff\r\ntwo\r\n"


async def test_paste_is_one_undo_and_lands_in_the_bar_too(desk: OpenDesk, tool: Tool) -> None:
    async with desk({"a.txt": b"one\r\n"}) as d:
        editor = d.app.editor
        await d.press("x")
        d.app.post_message(events.Paste("a\rb\n"))
        await d.until(lambda: "b" in editor.text)
        await d.press("y")
        assert editor.text == "xa\r\nb\r\nyone\r\n"
        await d.press("ctrl+z", "ctrl+z")
        assert editor.text == "xone\r\n"
        d.app.clipboards.tool = tool
        assert await copy(tool, "needle")
        await d.press("ctrl+f", "ctrl+v")
        await d.until(lambda: d.app.finder.find_bar.what.value == "needle")


async def test_hung_program_is_told_of_and_asked_once(
    desk: OpenDesk, hung: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard.paste, "__kwdefaults__", {"patience": 0.2})
    async with desk({"a.txt": b"one\n"}) as d:
        await d.press("shift+end", "ctrl+c", "end")
        d.app.clipboards.tool = hung
        for key in ("ctrl+v", "z"):
            d.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await d.until(lambda: d.app.editor.text == "oneonez\n")
        assert "does not answer" in d.notice
        assert d.app.clipboards.tool is None


async def test_line_is_copied_and_cut_without_a_selection_and_pasted_as_one(
    desk: OpenDesk,
) -> None:
    async with desk({"a.txt": b"one\r\ntwo\r\nthree"}) as d:
        editor = d.app.editor
        await d.press("right", "ctrl+c", "down", "ctrl+v")
        assert editor.text == "one\r\none\r\ntwo\r\nthree"
        assert editor.cursor_location == (2, 1)
        await d.press("ctrl+z", "ctrl+end", "ctrl+x")
        assert editor.text == "one\r\ntwo"
        await d.press("ctrl+home", "right", "ctrl+v")
        assert editor.text == "three\r\none\r\ntwo" and editor.cursor_location == (1, 1)
        await d.press("ctrl+z")
        assert editor.text == "one\r\ntwo"
        await d.press("shift+end", "ctrl+v")
        assert editor.text == "othree\r\n\r\ntwo"
        await d.press("ctrl+home", "shift+end", "ctrl+c", "end", "ctrl+v")
        assert editor.text == "othreeothree\r\n\r\ntwo"


async def test_line_goes_through_the_systems_clipboard_as_one(
    desk: OpenDesk, tool: Tool, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    async with desk({"a.txt": b"one\ntwo\n"}) as d:
        d.app.clipboards.tool = tool
        await d.press("end", "ctrl+c")
        await d.until(lambda: held.exists() and held.read_text() == "one\n")
        await d.press("ctrl+v")
        await d.until(lambda: d.app.editor.text == "one\none\ntwo\n")
        held.write_text("from elsewhere\n")
        await d.press("ctrl+v")
        await d.until(lambda: "elsewhere" in d.app.editor.text)
        assert d.app.editor.text == "one\nonefrom elsewhere\n\ntwo\n"
