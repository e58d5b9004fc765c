"""Files while they are edited: what changes outside, what is locked, refused, and left."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.question_bar import AnswerKey
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans

LINES = [f"line {i}\n" for i in range(60)]
TEXT = "".join(LINES).encode()
THEIRS = b"# theirs\n" + CODE.replace(b"g()", b"gg()")


def asked(d: Desk) -> str:
    """What the bar asks; empty if nothing."""
    question = d.app.workspace.bar.question
    assert (question is not None) == d.app.workspace.bar.display
    return question.words if question else ""


def cursor_row(d: Desk) -> int:
    """The row that the cursor is on, of all rows of the text."""
    return d.app.editor.rows.location_to_offset(d.app.editor.cursor_location)[1]


async def changed(d: Desk, path: Path, data: bytes = THEIRS) -> None:
    """The file in front is edited, and changes on disk as well."""
    await d.press("#")
    path.write_bytes(data)
    d.app.disk.check()
    await d.until(lambda: d.app.workspace.bar.question is not None)


# A clean file


async def test_reload_keeps_the_cursor_on_its_line_and_the_view_on_its_text(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        editor.move_cursor((40, 3))
        await d.until(lambda: editor.scroll_y > 0)
        top = editor.scroll_y
        first, here = d.row(0), cursor_row(d) - top
        new = ["new\n"] * 7 + LINES[:20] + LINES[25:50] + ["other\n", *LINES[50:]]
        (tmp_path / "a.txt").write_text("".join(new))
        d.app.disk.check()
        await d.until(lambda: editor.text == "".join(new))
        assert not editor.dirty
        assert editor.document[editor.cursor_location[0]] == "line 40"
        assert editor.cursor_location[1] == 3
        assert d.row(0) == first
        assert cursor_row(d) - editor.scroll_y == here
        assert not asked(d)
        await d.press("ctrl+z")
        assert editor.text.encode() == TEXT


async def test_reload_when_the_cursors_line_is_gone_keeps_it_near(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.txt": TEXT}) as d:
        d.app.editor.move_cursor((40, 3))
        (tmp_path / "a.txt").write_text("".join(LINES[:38] + LINES[45:]))
        d.app.disk.check()
        assert d.app.editor.cursor_location == (38, 3)


async def test_reload_keeps_holes_between_two_changes(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await masked(d, 13, 17)
        (hole,) = d.app.editor.holes
        (tmp_path / "a.py").write_bytes(THEIRS)
        d.app.disk.check()
        assert spans(d.app.editor) == [(22, 26)] and d.app.editor.holes == [hole]
        await d.press("ctrl+z")
        assert spans(d.app.editor) == [(13, 17)]


async def test_file_is_looked_at_when_the_terminal_comes_to_the_front(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}) as d:
        d.app.disk.watching = True
        (tmp_path / "a.py").write_bytes(THEIRS)
        d.app.on_app_focus()
        assert d.app.editor.text.encode() == THEIRS


# A file that is edited


async def test_change_under_edits_asks_in_a_bar_and_typing_goes_on(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        assert asked(d) == "a.py has changed on disk, and here"
        assert d.app.workspace.bar.region.bottom == d.app.workspace.status.region.y
        await d.press("h", "i")
        assert d.app.editor.text.startswith("#hi") and asked(d)
        await d.press("f10")
        assert d.app.focused is d.app.workspace.bar
        await d.press("z", "enter", "escape", "!")
        assert d.app.editor.text.startswith("#hi!") and asked(d)


async def test_letter_right_behind_the_key_for_the_bar_answers(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        for key, char in (("f10", None), ("k", "k")):
            d.app.post_message(events.Key(key, char))
        await d.until(lambda: not asked(d))
        assert d.app.editor.text == "#" + CODE.decode()


@pytest.mark.parametrize("key", ["f10", "alt+b"])
async def test_keep_mine_saves_without_a_question(desk: OpenDesk, tmp_path: Path, key: str) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        await d.press(key, "k")
        assert not asked(d) and d.app.focused is d.app.editor and d.app.editor.dirty
        d.app.disk.check()
        assert not asked(d)
        await d.press("ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE


async def test_reload_takes_what_is_on_disk_and_undo_brings_mine_back(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        await d.press("f10", "r")
        assert not asked(d) and not d.app.editor.dirty
        assert d.app.editor.text.encode() == THEIRS
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == b"#" + CODE and d.app.editor.dirty


async def test_diff_shows_both_and_the_question_stays(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        await d.press("f10", "d")
        assert isinstance(d.app.screen, DiffView)
        assert "-#def f():" in d.app.screen.lines and "+# theirs" in d.app.screen.lines
        await d.press("escape")
        assert asked(d)


async def test_merge_takes_both_and_saves_without_a_question(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}) as d:
        d.app.editor.move_cursor((1, 8))
        await changed(d, tmp_path / "a.py")
        await d.press("f10", "m")
        merged = THEIRS.replace(b"    pass\n", b"    pass#\n", 1)
        assert d.app.editor.text.encode() == merged and d.app.editor.dirty
        assert not asked(d) and "merged" in d.notice
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == CODE.replace(b"    pass\n", b"    pass#\n", 1)
        await d.press("ctrl+y", "ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == merged


async def test_merge_marks_conflicts_as_one_undo(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py", CODE.replace(b"def f", b"def theirs"))
        await d.press("f10", "m")
        marked = "<<<<<<< mine\n#def f():\n=======\ndef theirs():\n>>>>>>> on disk\n"
        assert d.app.editor.text.startswith(marked)
        assert d.notice == "merged; 1 conflict at line 1"
        await d.press("ctrl+s")
        await d.until(lambda: d.notice.endswith("with 1 conflict marked in it"))
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == b"#" + CODE


async def test_answer_may_be_clicked(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}, size=(100, 16)) as d:
        await changed(d, tmp_path / "a.py")
        reload = next(one for one in d.app.query(AnswerKey) if one.letter == "r")
        await d.pilot.click(reload)
        await d.until(lambda: d.app.editor.text.encode() == THEIRS)


async def test_infill_in_flight_asks_and_outlives_a_reload_of_other_lines(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}, Script("return 2")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        (tmp_path / "a.py").write_bytes(THEIRS)
        d.app.disk.check()
        await d.until(lambda: d.app.workspace.bar.question is not None)
        assert asked(d) == "a.py has changed on disk; an infill is open in it"
        assert d.app.editor.text.encode() == CODE
        await d.press("f10", "r")
        assert d.app.fill is not None
        await d.step(2)
        await d.press("enter")
        assert d.app.editor.text.encode() == THEIRS.replace(b"pass", b"return 2", 1)


async def test_question_goes_when_the_file_is_as_it_was(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await changed(d, tmp_path / "a.py")
        (tmp_path / "a.py").write_bytes(CODE)
        d.app.disk.check()
        assert not asked(d)


async def test_bar_asks_about_the_file_in_front_first(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE, "b.py": CODE, "c.py": CODE}) as d:
        for editor in d.app.editors[:2]:
            editor.insert("#")
            editor.path.write_bytes(THEIRS)
        d.app.disk.check()
        await d.until(lambda: d.app.workspace.bar.question is not None)
        assert asked(d).startswith("a.py")
        await d.press("ctrl+pagedown")
        assert asked(d).startswith("b.py")
        await d.press("ctrl+pagedown")
        assert asked(d)  # nothing is asked about this one, but about others


async def test_conflict_on_saving_offers_diff_and_merge(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").write_bytes(CODE + b"# theirs\n")
        await d.press("ctrl+s", "d")
        assert isinstance(d.app.screen, DiffView)
        await d.press("escape")
        assert isinstance(d.app.screen, Ask)
        await d.press("m")
        assert d.app.editor.text.encode() == b"#" + CODE + b"# theirs\n"
        assert (tmp_path / "a.py").read_bytes() == CODE + b"# theirs\n"
        await d.press("ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE + b"# theirs\n"


# Deleted


async def test_deleted_file_keeps_its_text_and_is_marked(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        (tmp_path / "a.py").unlink()
        d.app.disk.check()
        await d.until(lambda: d.app.editor.deleted)
        assert d.app.editor.text.encode() == CODE and d.app.editor.dirty
        assert d.app.workspace.label(d.app.editor) == "● a.py [deleted]"
        assert "deleted" in d.app.workspace.status.place and not asked(d)
        await d.press("ctrl+q")
        assert isinstance(d.app.screen, Ask)
        await d.press("escape", "ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == CODE
        assert d.app.workspace.label(d.app.editor) == "a.py"


async def test_deleted_file_may_be_saved_at_once(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").unlink()
        await d.press("ctrl+s")
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE


async def test_file_that_comes_back_is_the_file_again(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        for data in (CODE, THEIRS):
            (tmp_path / "a.py").unlink()
            d.app.disk.check()
            (tmp_path / "a.py").write_bytes(data)
            d.app.disk.check()
            assert d.app.editor.text.encode() == data and not d.app.editor.dirty
        await d.press("#")
        mine = d.app.editor.text.encode()
        (tmp_path / "a.py").unlink()
        d.app.disk.check()
        (tmp_path / "a.py").write_bytes(THEIRS + b"# end\n")
        d.app.disk.check()
        await d.press("f10", "m")
        assert d.app.editor.text.encode() == mine + b"# end\n"


# Left


async def test_failed_save_keeps_the_editor_open_and_shows_the_file(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        for editor in d.app.editors:
            editor.insert("#")
        (tmp_path / "b.py").chmod(0o444)
        await d.press("ctrl+q", "s")
        assert d.app.is_running and not d.app.workspace.leaving
        assert d.app.editor is d.app.editors[1] and "read-only" in d.notice
        assert (tmp_path / "a.py").read_bytes() == b"#" + CODE
        await d.press("ctrl+q", "d")
        assert d.app.workspace.leaving
    assert (tmp_path / "b.py").read_bytes() == CODE


async def test_reload_while_quitting_does_not_quit(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").write_bytes(THEIRS)
        await d.press("ctrl+q", "s", "r")
        assert not d.app.workspace.leaving and d.app.editor.text.encode() == THEIRS
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == b"#" + CODE


# What is no file any more


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a socket"])
@pytest.mark.parametrize("dirty", [True, False])
async def test_what_took_the_place_of_a_file_is_named(
    kind: str, dirty: bool, desk: OpenDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    async with desk({"a.py": CODE}) as d:
        path = tmp_path / "a.py"
        await d.press(*"#" * dirty)
        path.unlink()
        if kind == "a folder":
            path.mkdir()
        elif kind == "a pipe":
            os.mkfifo(path)
        else:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("a.py")
        said = f"a.py is {kind} now; F12 saves this text elsewhere"
        for way in (lambda: d.app.disk.check(), d.app.saving.save_front):
            d.app.workspace.notice("")
            way()
            await d.until(lambda: d.notice == said)
            assert not isinstance(d.app.screen, Ask) and not asked(d)
        assert d.app.editor.text.encode() == b"#" * dirty + CODE
        await d.press("f12")
        d.app.screen.query_one(Input).value = str(tmp_path / "b.py")
        await d.press("enter")
        assert (tmp_path / "b.py").read_bytes() == b"#" * dirty + CODE


async def test_link_to_nothing_is_followed_when_saving(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("#")
        (tmp_path / "a.py").unlink()
        (tmp_path / "a.py").symlink_to(tmp_path / "there.py")
        await d.press("ctrl+s")
        await d.until(lambda: not d.app.editor.dirty)
        assert (tmp_path / "there.py").read_bytes() == b"#" + CODE
        assert (tmp_path / "a.py").is_symlink()


async def test_saving_beside_a_draft_says_what_is_not_saved(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.py": CODE}, Script("return 2")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("ctrl+s")
        assert d.notice.endswith("a.py without the draft")
        await d.step(2)
        await d.press("ctrl+s")
        assert d.notice.endswith("a.py without the draft: Alt+Y accepts it")
        await d.press("#", "ctrl+q")
        over = d.app.screen
        assert isinstance(over, Ask)
        assert over.question == "Not saved: a.py; the open infill is lost in any case"
        await d.press("escape", "alt+y", "ctrl+s")
        assert d.notice.endswith("a.py")
