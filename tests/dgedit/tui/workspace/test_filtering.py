"""A selection through a command: seen first, one undo, and nothing changed where it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.dialogs import Waiting
from dgedit.tui.workspace.filtering import Proposal
from scripted import Script

from ..conftest import Desk, OpenDesk

TEXT = b"b\r\na\r\n\xff c\r\n"


async def asks(d: Desk, command: str) -> None:
    """Give the command, and wait for what comes of it."""
    await d.press("alt+e")
    d.app.screen.query_one(Input).value = command
    await d.press("enter")
    await d.until(lambda: isinstance(d.app.screen, Proposal) or not d.app.screen.is_modal)


async def test_selection_is_replaced_once_it_was_seen(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        await d.press("ctrl+a")
        await asks(d, "LC_ALL=C sort")
        assert isinstance(d.app.screen, Proposal)
        assert d.app.screen.lines[1:] == ["-b", " a", "+b", " \u2039U+DCFF\u203a c"]
        await d.press("escape")
        assert editor.current.encode() == TEXT
        await asks(d, "LC_ALL=C sort")
        await d.press("enter")
        assert editor.current.encode() == b"a\r\nb\r\n\xff c\r\n"
        assert editor.selected == (0, len(editor.text))
        await d.press("ctrl+z")
        assert editor.current.encode() == TEXT


async def test_command_before_comes_back_with_up(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"ab\n"}) as d:
        d.select(0, 1)
        await asks(d, "tr a b")
        await d.press("enter")
        assert d.app.editor.text == "bb\n"
        await d.press("alt+e", "x", "up")
        line = d.app.screen.query_one(Input)
        assert line.value == "tr a b"
        await d.press("down")
        assert line.value == "x"
        await d.press("escape")
        assert not d.app.screen.is_modal and d.app.editor.text == "bb\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("printf 'no\\033[31m\\nway' >&2; exit 2", "exit code 2: no␛[31m way"),
        ("cat", "leaves the selection as it is"),
        ("printf 'a\\0b'", "no text"),
        ("sleep 60", "more than 0.5 s"),
    ],
)
async def test_failure_is_a_notice_and_changes_nothing(
    desk: OpenDesk, command: str, words: str
) -> None:
    async with desk({"a.txt": TEXT}, size=(150, 16)) as d:
        d.app.filtering.patience = 0.5 if "sleep" in command else 20
        await d.press("ctrl+a")
        await asks(d, command)
        await d.until(lambda: bool(d.notice))
        assert words in d.app.workspace.status.render().plain
        assert d.app.editor.current.encode() == TEXT and not d.app.editor.history.undo_stack


async def test_command_can_be_cancelled(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        await d.press("ctrl+a", "alt+e")
        d.app.screen.query_one(Input).value = "sleep 60"
        await d.press("enter")
        await d.until(lambda: isinstance(d.app.screen, Waiting))
        await d.press("x", "escape")
        await d.until(lambda: d.notice == "cancelled: nothing changed")
        assert d.app.editor.current.encode() == TEXT and not d.app.screen.is_modal


async def test_text_that_was_changed_meanwhile_is_left_alone(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"ab\n"}) as d:
        d.select(0, 1)
        await asks(d, "tr a b")
        d.app.editor.replace_text("zab\n")
        await d.press("enter")
        assert d.app.editor.text == "zab\n" and "changed meanwhile" in d.notice


async def test_nothing_selected_and_a_locked_file_are_told(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"ab\n"}) as d:
        await d.press("alt+e")
        assert not d.app.screen.is_modal and "Ctrl+A" in d.notice
    app = DgeditApp([tmp_path / "a.txt"], connect=Script, watch=False, read_only=True)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await d.press("ctrl+a", "alt+e")
        assert not app.screen.is_modal and "read-only" in d.notice
