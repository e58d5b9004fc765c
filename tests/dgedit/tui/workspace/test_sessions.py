"""A project opens as it was left, and nothing that has become of its files stands in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import OptionList

from dgedit.config import Settings
from dgedit.files.recent import Recent
from dgedit.files.sessions import SessionStore
from dgedit.text.folding import Fold
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.start_page import StartPage

from ..conftest import Desk, Script

CODE = "def f():\n" + "".join(f"    a{i}\n" for i in range(60)) + "\n\ndef g():\n    b\n\nend\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (folder := tmp_path / "project").mkdir()
    for name in ("a.py", "b.py", "c.py"):
        (folder / name).write_text(CODE)
    return folder


@asynccontextmanager
async def opened(
    project: Path, *names: str, on: bool = True, margin: int = 0, recent: Recent | None = None
) -> AsyncIterator[Desk]:
    store = SessionStore(project.parent / "sessions")
    script = Script()
    app = DgeditApp(
        [project / name for name in names],
        folder=project,
        connect=lambda: script,
        watch=False,
        recent=recent or Recent(None),
        sessions=store,
        settings=Settings(sessions=on, scroll_margin=margin),
    )
    async with app.run_test(size=(120, 24)) as pilot:
        d = Desk(app, pilot, script)
        for editor in app.editors:
            editor.cursor_blink = False
        await d.settled()
        yield d


async def left(d: Desk) -> None:
    await d.press("ctrl+q")
    await d.until(lambda: not d.app.is_running)


def names(d: Desk) -> list[str]:
    return [editor.path.name for editor in d.app.editors]


async def test_project_opens_as_it_was_left(project: Path) -> None:
    async with opened(project, "a.py", "b.py", "c.py") as d:
        editor = d.app.editor
        editor.move_cursor((63, 4))
        await d.press("alt+shift+f", "shift+right")
        editor.scroll_to(y=49, animate=False, force=True)
        await d.press("ctrl+pagedown")
        d.app.editor.move_cursor((40, 2), center=True)
        await d.press("ctrl+backslash")  # b beside c
        await d.settled()
        shown = {one.path.name: (one.selection, one.scroll_offset) for one in d.app.editors}
        folds = list(editor.buffer.folds)
        assert folds == [Fold(63, 64)]
        await left(d)
    async with opened(project) as d:
        assert names(d) == ["a.py", "b.py", "c.py"]
        assert d.app.editor.path.name == "b.py" and d.app.focused is d.app.editor
        assert d.app.workspace.beside is d.app.editors[2]
        assert not d.app.query(StartPage)
        b = d.app.editor
        assert (b.selection, b.scroll_offset) == shown["b.py"]
        await d.press("ctrl+pageup")
        a = d.app.editor
        assert list(a.buffer.folds) == folds
        assert (a.selection, a.scroll_offset) == shown["a.py"]
        await left(d)


async def test_several_cursors_come_back(project: Path) -> None:
    async with opened(project, "a.py") as d:
        await d.press("down", "alt+pagedown", "alt+pagedown")
        assert d.app.editor.cursors.count == 3
        await left(d)
    async with opened(project) as d:
        at = d.app.editor.buffer.location
        own, *others = [at(one.cursor) for one in d.app.editor.cursors.all]
        assert own == (3, 0) and sorted(others) == [(1, 0), (2, 0)]
        await left(d)


async def test_file_that_was_not_looked_at_keeps_its_place(project: Path) -> None:
    async with opened(project, "a.py", "b.py") as d:
        d.app.editor.move_cursor((50, 0), center=True)
        await d.settled()
        offset = d.app.editor.scroll_offset
        await d.press("ctrl+pagedown")
        await left(d)
    for _ in range(2):
        async with opened(project) as d:
            assert d.app.editor.path.name == "b.py"
            await left(d)
    async with opened(project) as d:
        await d.press("ctrl+pageup")
        assert d.app.editor.scroll_offset == offset and d.app.editor.cursor_location == (50, 0)
        await left(d)


async def test_named_files_come_first(project: Path) -> None:
    async with opened(project, "a.py", "b.py") as d:
        d.app.editor.move_cursor((5, 0))
        await left(d)
    async with opened(project, "c.py", "b.py") as d:
        assert names(d) == ["c.py", "b.py", "a.py"] and d.app.editor.path.name == "c.py"
        assert d.app.editors[2].cursor_location == (5, 0)
        await left(d)


async def test_files_that_are_gone_or_unfit_are_left_out(project: Path) -> None:
    async with opened(project, "a.py", "b.py", "c.py") as d:
        await d.press("ctrl+pagedown")
        await left(d)
    (project / "b.py").unlink()
    (project / "c.py").write_bytes(b"\0" * 100)
    async with opened(project) as d:
        assert names(d) == ["a.py"]
        assert d.notice == "2 files of the last session cannot be opened any more"
        await left(d)


async def test_file_that_has_changed_has_no_folds_and_a_place_in_it(project: Path) -> None:
    async with opened(project, "a.py", "b.py") as d:
        await d.press("alt+shift+a")
        d.app.editor.move_cursor((66, 2))
        await left(d)
    (project / "a.py").write_text("def f():\n  a\n")
    async with opened(project) as d:
        editor = d.app.editor
        assert not editor.buffer.folds.any and editor.cursor_location == (2, 0)
        await left(d)


async def test_start_page_is_shown_where_nothing_was_open(project: Path) -> None:
    async with opened(project, "a.py") as d:
        await d.press("ctrl+w")
        await left(d)
    async with opened(project) as d:
        await d.until(lambda: bool(d.app.query(StartPage)))
        await left(d)


async def test_project_that_was_chosen_later_keeps_its_own(project: Path, tmp_path: Path) -> None:
    (other := tmp_path / "other").mkdir()
    async with opened(project, "a.py") as d:
        await left(d)
    async with opened(other) as d:
        await d.app.opening.change_folder(project)
        await d.app.opening.open_file(project / "b.py")
        await left(d)
    async with opened(project) as d:
        assert names(d) == ["a.py"]
        await left(d)


async def test_setting_turns_it_off(project: Path) -> None:
    async with opened(project, "a.py") as d:
        await left(d)
    async with opened(project, on=False) as d:
        assert names(d) == ["untitled"]
        await left(d)
    async with opened(project) as d:
        assert names(d) == ["a.py"]  # which was not forgotten
        await left(d)


async def test_session_is_kept_when_a_signal_ends_the_editor(project: Path) -> None:
    async with opened(project, "a.py") as d:
        d.app.recovery.end_by_signal(129)
        await d.until(lambda: not d.app.is_running)
    async with opened(project) as d:
        assert names(d) == ["a.py"]
        await left(d)


async def test_no_text_is_stored(project: Path) -> None:
    (project / "a.py").write_text("secret = 1\n")
    async with opened(project, "a.py") as d:
        await d.press("s", "e", "x", "ctrl+q", "d")
    for file in (project.parent / "sessions").iterdir():
        assert "secret" not in file.read_text() and "sex" not in file.read_text()


async def test_scroll_margin_keeps_lines_around_the_cursor(project: Path) -> None:
    async with opened(project, "a.py", margin=3) as d:
        editor = d.app.editor
        height = editor.size.height
        await d.press(*["down"] * height)
        assert editor._cursor_offset[1] - editor.scroll_y == height - 4
        await d.press(*["up"] * (height - 7))
        before = editor.scroll_y
        assert editor._cursor_offset[1] - before == 3
        await d.press("up")
        assert editor.scroll_y == before - 1
        await d.pilot.click(editor, (10, 1))  # which scrolls nothing away below the mouse
        await d.settled()
        assert editor.scroll_y == before - 1
        await d.press("ctrl+end", "ctrl+home")
        assert editor.scroll_y == 0


async def test_project_chosen_on_the_start_page_opens_as_it_was_left(project: Path) -> None:
    (project / ".git").mkdir()
    async with opened(project, "a.py", "b.py") as d:
        d.app.editor.move_cursor((63, 4))
        await left(d)
    (project / "b.py").unlink()
    other = project.parent / "other"
    other.mkdir()
    recent = Recent(None)
    recent.add([project / "c.py"])
    async with opened(other, recent=recent) as d:
        await d.until(lambda: isinstance(d.app.focused, OptionList))
        await d.press("end", "enter")  # the project
        await d.until(lambda: names(d) == ["a.py"] and d.app.focused is d.app.editor)
        assert d.app.editor.cursor_location == (63, 4) and not d.app.query(StartPage)
        assert "a file of the last session" in d.app.workspace.status.notice
        d.app.editor.move_cursor((1, 1))
        await left(d)
    async with opened(project) as d:  # it was kept as left there
        assert names(d) == ["a.py"] and d.app.editor.cursor_location == (1, 1)
        await left(d)
