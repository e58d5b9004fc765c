"""Files are saved by themselves where that is wanted, and never over another's work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.question_bar import Question

from ..conftest import Desk, OpenDesk, Script


@asynccontextmanager
async def opened(path: Path, seconds: float = 0.05) -> AsyncIterator[Desk]:
    settings = Settings(auto_save=seconds)
    app = DgeditApp([path], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        app.editor.cursor_blink = False
        d = Desk(app, pilot, Script())
        await d.settled()
        yield d


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\n")
    return tmp_path / "a.txt"


async def passed(d: Desk) -> None:
    """Wait until the time to save has come, and nothing is left to do."""
    saving = d.app.auto_saving
    await d.until(lambda: not saving._edited)


async def test_file_is_saved_after_the_last_edit_as_it_stands(path: Path) -> None:
    (path.parent / ".editorconfig").write_text("root=true\n[*]\ntrim_trailing_whitespace=true\n")
    async with opened(path) as d:
        await d.press("x", "y", " ", "end", " ")
        await d.until(lambda: path.read_text() == "xy one \n")
        await d.until(lambda: not d.app.editor.dirty)
        assert d.notice == "" and d.app.editor.text == "xy one \n"
        await d.press("z")
        await d.until(lambda: path.read_text() == "xy one z\n")
        await d.press("ctrl+z")
        await d.until(lambda: path.read_text() == "xy one\n")


async def test_nothing_is_saved_by_default(path: Path) -> None:
    async with opened(path, 0) as d:
        await d.press("x")
        assert d.app.auto_saving._timer is None and not d.app.auto_saving._edited


async def test_file_that_changed_on_disk_is_asked_about(path: Path) -> None:
    async with opened(path) as d:
        path.write_text("theirs\n")
        await d.press("x")
        await d.until(lambda: d.app.workspace.bar.question is not None)
        assert path.read_text() == "theirs\n" and d.app.editor.text == "xone\n"
        await d.press("y")
        await passed(d)
        assert path.read_text() == "theirs\n"
        d.app.disk.answer(d.app.editor, "k")
        await d.press("z")
        await d.until(lambda: path.read_text() == "xyzone\n")


async def test_nothing_is_saved_while_something_is_asked(path: Path) -> None:
    async with opened(path) as d:
        question = Question("well?", {"y": "yes"}, lambda letter: None)
        d.app.questions.ask_about(d.app.editor, question)
        await d.press("x")
        await passed(d)
        assert path.read_text() == "one\n"
        d.app.questions.withdraw(question)
        await d.press("y")
        await d.until(lambda: path.read_text() == "xyone\n")


async def test_dialog_is_waited_for(path: Path) -> None:
    async with opened(path, 3000) as d:
        await d.press("x", "ctrl+q")
        assert isinstance(d.app.screen, Ask)
        d.app.auto_saving._save_edited()
        await d.settled()
        assert path.read_text() == "one\n"
        await d.press("escape")
        d.app.auto_saving._save_edited()
        await d.until(lambda: path.read_text() == "xone\n")


async def test_what_is_not_on_disk_stays_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "new.txt") as d:
        await d.press("x")
        await passed(d)
        assert not (tmp_path / "new.txt").exists()
        await d.press("ctrl+n", "y")
        await passed(d)
        assert d.app.editor.dirty and len(d.app.editors) == 2


async def test_deleted_file_is_not_made_anew(path: Path) -> None:
    async with opened(path) as d:
        path.unlink()
        await d.press("x")
        await passed(d)
        await d.until(lambda: d.app.editor.deleted)
        await d.press("y")
        await passed(d)
        assert not path.exists()


# Reloading


async def test_reload_brings_what_is_on_disk_and_undo_what_was_here(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.txt": b"one\ntwo\n"}) as d:
        await d.press("x")
        (tmp_path / "a.txt").write_bytes(b"one\n2\n")
        await d.press("alt+x", *"reload from", "enter")
        assert isinstance(d.app.screen, Ask)
        await d.press("escape")
        assert d.app.editor.text == "xone\ntwo\n"
        await d.press("alt+x", *"reload from", "enter", "r")
        assert d.app.editor.text == "one\n2\n" and not d.app.editor.dirty
        assert "undo brings yours back" in d.notice
        await d.press("ctrl+z")
        assert d.app.editor.text == "xone\ntwo\n" and d.app.editor.dirty


async def test_reload_without_changes_asks_nothing(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"one\n"}) as d:
        await d.press("alt+x", *"reload from", "enter")
        assert "is on disk as here" in d.notice
        (tmp_path / "a.txt").write_bytes(b"two\n")
        await d.press("alt+x", *"reload from", "enter")
        assert d.app.editor.text == "two\n" and not d.app.editor.dirty
        (tmp_path / "a.txt").unlink()
        await d.press("alt+x", *"reload from", "enter")
        assert d.app.editor.text == "two\n" and "no such file" in d.notice
        await d.press("ctrl+n", "alt+x", *"reload from", "enter")
        assert d.notice == "this text is in no file"
