"""The round trip: open, mask, fill, accept, undo, save; and everything that may come between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import pytest
from textual import events

from dgedit.errors import InputError
from dgedit.tui.app import DgeditApp
from dgedit.tui.infill.session import Stage
from dgedit.tui.infill.worker import Refined
from dgedit.tui.widgets.dialogs import Ask
from scripted import Script

from .conftest import Desk, OpenDesk
from .editor.test_editor import CODE, masked, spans

NASTY = b"\xef\xbb\xbfa\r\nb\n\x0bc\x0cd\xc2\x85e\xe2\x80\xa8f\r\xff HOLE\r\n\r\nend"


async def test_round_trip(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}, Script("return 2")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        assert "refining · 0% settled" in d.app.workspace.status.engine
        assert d.app.workspace.status.engine.endswith("script · test")
        await d.step(2)
        await d.press("enter", "ctrl+s")
        saved = CODE.replace(b"pass", b"return 2")
        assert (tmp_path / "a.py").read_bytes() == saved
        await d.press("ctrl+z", "ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == CODE
    request = d.script.requests[0]
    assert [hole.text for hole in request.holes] == ["pass"]
    assert request.passages[0].path.endswith("a.py")


async def test_save_changes_no_other_byte(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": NASTY}, Script("1\n2")) as d:
        at = d.app.editor.text.index("HOLE")
        await masked(d, at, at + 4)
        await d.press("f5")
        await d.step(3)
        await d.press("enter", "ctrl+s")
        assert (tmp_path / "a.txt").read_bytes() == NASTY.replace(b"HOLE", b"1\r\n2")


async def test_escape_cancels_closes_the_stream_and_keeps_the_hole(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("escape")
        assert d.app.fill is None
        assert d.row(1) == "    pass"
        d.script.go(1)
        await d.until(lambda: d.script.closed == 1)
        assert spans(d.app.editor) == [(13, 17)]
        assert d.app.editor.text.encode() == CODE


async def test_escape_rejects_a_result(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        await d.press("escape")
        assert d.row(1) == "    pass"
        assert spans(d.app.editor) == [(13, 17)]
        assert [edit.change.parts for (edit,) in d.app.editor.history.undo_stack] == [()]


async def test_enter_waits_for_the_last_step(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("enter")
        assert d.app.editor.text.encode() == CODE
        assert "Esc" in d.notice


async def test_f5_again_takes_the_next_seed(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        await d.press("f5")
        await d.step(3)
        assert [request.seed for request in d.script.requests] == [0, 1]
        assert d.script.requests[0].passages == d.script.requests[1].passages


async def test_tabs_turn_over_a_text_wider_than_the_screen(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x = 1 " * 99 + b"\n", "b.py": b"y\n"}, Script("one")) as d:
        await d.press("ctrl+pagedown")
        assert d.app.editor is d.app.editors[1]
        await d.press("ctrl+pageup")
        assert d.app.editor is d.app.editors[0] and d.app.editor.scroll_x == 0


async def test_holes_of_two_files_are_filled_together(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.txt": b"hello \n"}, Script("one", "two", "three")) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        await d.press("ctrl+pagedown")
        assert d.app.focused is d.app.editors[1]
        await masked(d, 6, 6)
        await d.press("f5")
        await d.step(3)
        assert d.row(0) == "hello three"
        await d.press("enter")
        assert [len(passage.holes) for passage in d.script.requests[0].passages] == [2, 1]
        assert d.app.editors[0].text == "def f():\n    one\n\n\ndef g():\n    return two\n"
        assert d.app.editors[1].text == "hello three\n"
        assert [len(editor.history.undo_stack) for editor in d.app.editors] == [1, 1]


async def test_typing_elsewhere_is_seen_before_the_fill_ends_and_shifts_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("return")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("ctrl+home", "up", "home", "#", "enter")
        d.app.editor.selection = type(d.app.editor.selection)((0, 0), (0, 0))
        await d.press("h", "i")
        assert d.row(0).startswith("hi")
        assert d.app.fill is not None and d.app.fill.stage is Stage.RUNNING
        await d.step(2)
        await d.press("alt+y")
        assert "    return\n" in d.app.editor.text
        assert "pass" not in d.app.editor.text


async def test_typing_in_a_hole_cancels_its_fill(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("left", "y")
        assert d.app.fill is None
        assert d.row(1) == "    pasys"
        assert spans(d.app.editor) == [(13, 18)]


async def test_engine_error_is_one_line_and_the_editor_lives_on(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        d.script.error = RuntimeError("out of\nmemory \x1b[2J")
        d.script.go(1)
        await d.until(lambda: d.app.fill is None)
        assert d.notice == "out of memory \x1b[2J"
        assert "\x1b" not in str(d.app.workspace.status.render())
        await d.press("z")
        assert d.app.editor.dirty


async def test_backend_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(CODE)

    def connect() -> Script:
        raise InputError("no weights")

    app = DgeditApp([path], connect=connect, watch=False)
    async with app.run_test() as pilot:
        desk = Desk(app, pilot, Script())
        await desk.until(lambda: desk.notice == "no weights")
        await pilot.press("f2", "f5")
        await desk.until(lambda: app.fill is None and desk.notice == "no weights")


async def test_f5_without_a_hole_says_what_to_do(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("f5")
        assert "F2" in d.notice
        assert d.app.fill is None


async def test_conflict_asks_before_it_overwrites(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").write_bytes(b"other\n")
        await d.press("ctrl+s")
        assert isinstance(d.app.screen, Ask)
        await d.press("escape")
        assert (tmp_path / "a.py").read_bytes() == b"other\n"
        await d.press("ctrl+s", "k")
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE
        assert not d.app.editor.dirty


async def test_conflict_may_reload_and_reload_may_be_undone(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").write_bytes(b"other\r\nlines\n")
        await d.press("ctrl+s", "r")
        assert d.app.editor.text == "other\r\nlines\n"
        assert not d.app.editor.dirty
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == b"#" + CODE


async def test_change_on_disk_is_taken_over_only_where_nothing_is_lost(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        await masked(d, 13, 17)
        d.app.editors[1].insert("#")
        for name in ("a.py", "b.py"):
            (tmp_path / name).write_bytes(b"# new\n" + CODE)
        d.app.disk.check()
        await d.until(lambda: d.app.editors[0].text.encode() == b"# new\n" + CODE)
        assert d.app.editors[0].cursor_location == (2, 8)
        assert spans(d.app.editors[0]) == [(19, 23)]
        assert d.app.editors[1].text.encode() == b"#" + CODE
        assert "b.py has changed on disk" in d.notice


async def test_quit_asks_when_something_would_be_lost(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await d.press("#", "ctrl+q")
        assert isinstance(d.app.screen, Ask)
        await d.press("escape")
        assert not isinstance(d.app.screen, Ask)
        await d.press("ctrl+q", "s")
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE
        assert not d.app.is_running or d.app._exit


async def test_quit_asks_when_an_infill_is_open(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5", "ctrl+q")
        assert isinstance(d.app.screen, Ask)
        await d.press("f5", "enter", "ctrl+q", "escape")
        assert not isinstance(d.app.screen, Ask)
        assert d.app.fill is not None


async def test_new_file_is_made_by_saving(desk: OpenDesk, tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    app = DgeditApp([path], connect=Script, watch=False)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).press("h", "i", "ctrl+s")
        assert path.read_bytes() == b"hi"
        assert not app.editor.dirty


def test_file_that_cannot_be_opened_is_an_error_before_the_screen(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        DgeditApp([tmp_path], connect=Script)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError):
        DgeditApp([tmp_path / "loop"], connect=Script)
    with pytest.raises(InputError):
        DgeditApp([tmp_path / ("x" * 300)], connect=Script)


async def test_folder_that_cannot_be_watched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*folders: Path, **options: object) -> AsyncIterator[None]:
        raise PermissionError(13, "Permission denied")
        yield

    monkeypatch.setattr("dgedit.tui.workspace.disk_changes.awatch", refused)
    app = DgeditApp([tmp_path / "a.py"], connect=Script)
    async with app.run_test() as pilot:
        desk = Desk(app, pilot, Script())
        await desk.until(lambda: "Permission denied" in desk.notice)
        await desk.press("x", "ctrl+s")
    assert (tmp_path / "a.py").read_bytes() == b"x"


def test_quitting_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    released, asked, opened = Event(), Event(), Event()

    def connect() -> Script:
        asked.set()
        released.wait(5)
        opened.set()
        return Script()

    async def quits() -> None:
        app = DgeditApp([tmp_path / "a.py"], connect=connect, watch=False)
        async with app.run_test() as pilot:
            await pilot.press("ctrl+q")

    asyncio.run(quits())  # which waits for the threads that the loop runs
    assert asked.is_set() and not opened.is_set()
    released.set()


async def test_dirty_file_has_a_dot(desk: OpenDesk) -> None:
    async with desk({"[b]a.py": CODE}) as d:
        tab = d.app.query_one("ContentTab")
        assert str(tab.label_text) == "[b]a.py"
        await d.press("x")
        assert str(tab.label_text) == "● [b]a.py"
        await d.press("backspace")
        assert str(tab.label_text) == "[b]a.py"


async def test_what_is_typed_after_turning_goes_to_the_file_in_front(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"", "b.txt": b""}) as d:
        for key in ("a", "ctrl+pagedown", "b", "ctrl+pageup", "c"):
            d.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await d.until(lambda: sum(len(editor.text) for editor in d.app.editors) == 3)
        assert [editor.text for editor in d.app.editors] == ["ac", "b"]


async def test_step_that_comes_while_it_quits_does_no_harm(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        fill = d.app.fill
        assert fill is not None and fill.step is not None
        await d.press("ctrl+q", "d")
        assert d.app.fill is None
        d.app.infill.draw_step(Refined(fill, fill.step, 1.0))
        d.app.infill.tell_engine()
