"""Lines that differ from git's last commit have signs, which keys go to and take back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from threading import Event

import pytest
from textual.events import AppFocus

from dgedit.config import Settings
from dgedit.files import git
from dgedit.tui.app import DgeditApp
from dgedit.tui.workspace import git_gutter as module
from scripted import Script

from ..conftest import Desk, OpenDesk

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is what is asked")

OLD = b"one\ntwo\nthree\nfour\nfive\nsix\n"
NEW = b"zero\none\n2\nthree\nfour\nsix\n"
SIGNS = "┃ ╏ ▁  "


def asked(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository in which `a.txt` is committed, on a branch `main`."""
    asked(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.txt").write_bytes(OLD)
    asked(tmp_path, "add", "a.txt")
    asked(tmp_path, "commit", "-qm", "x")
    return tmp_path


def signs(d: Desk) -> str:
    """The sign of each line of the text in front."""
    editor = d.app.editor
    at = editor.gutter_width - 2
    lines = [editor.render_line(y).text for y in range(editor.buffer.line_count)]
    return "".join(line[at] for line in lines)


async def test_signs_tell_added_changed_and_removed_lines(
    repository: Path, desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    async with desk({"a.txt": NEW}, size=(90, 16)) as d:
        await d.until(lambda: signs(d) == SIGNS)
        await d.until(lambda: d.app.workspace.status.branch == "main")
        status = d.app.workspace.status
        status.engine = ""
        assert str(status.render()).strip() == "a.txt:1:1 · LF · utf-8 · main"
        status.branch = "m\x1b[0m"
        assert str(status.render()).strip() == "a.txt:1:1 · LF · utf-8 · m␛[0m"
        status.branch = 80 * "x"  # it goes first where there is no room
        assert str(status.render()).strip() == "a.txt:1:1 · LF · utf-8"


async def test_signs_follow_what_is_typed(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": OLD}) as d:
        await d.until(lambda: d.app.workspace.status.branch == "main")
        await d.press("down", "x")
        await d.until(lambda: signs(d) == " ╏     ")
        await d.press("end", "enter", "y")
        await d.until(lambda: signs(d) == " ╏╏     ")
        await d.press("up", "home", "delete")
        await d.until(lambda: signs(d) == "  ┃     ")
        await d.press("alt+k", "alt+k")
        await d.until(lambda: signs(d) == "▁     ")
        await d.press("up", "alt+k")
        await d.until(lambda: signs(d) == "▔    ")
        await d.press(*["ctrl+z"] * 8)
        await d.until(lambda: d.app.editor.text == OLD.decode() and not signs(d).strip())


async def test_signs_move_with_their_lines_before_they_are_counted_anew(
    repository: Path, desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        monkeypatch.setattr(d.app.git, "_compare_edited", lambda: None)
        d.app.git._timer.stop()  # type: ignore[union-attr]
        await d.press("down", "enter", "enter")
        assert signs(d) == "┃   ╏ ▁  "
        await d.press("backspace", "backspace")
        assert signs(d) == SIGNS


async def test_hole_has_its_own_sign(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        d.select(0, 4)
        await d.press("f2")
        assert signs(d) == "▌" + SIGNS[1:]


async def test_keys_go_from_change_to_change(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        for key, row, said in (
            ("alt+j", 2, "change 2 of 3"),
            ("alt+f5", 4, "change 3 of 3"),
            ("alt+j", 0, "change 1 of 3"),
            ("alt+m", 4, "change 3 of 3"),
            ("alt+shift+f5", 2, "change 2 of 3"),
        ):
            await d.press(key)
            assert (d.app.editor.cursor_location, d.notice) == ((row, 0), said)
        await d.press("delete", "alt+j")  # with the text as it is, not as it was counted
        assert d.app.editor.cursor_location[0] == 4


async def test_change_is_taken_back_as_one_undo(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW.replace(b"\n", b"\r\n")}) as d:
        await d.until(lambda: signs(d) == SIGNS)  # other line endings are no change
        texts = [d.app.editor.text]
        for key in ("alt+j", "alt+j", "alt+j"):
            await d.press(key, "alt+q")
            assert d.notice == "back to the last commit; undo brings yours back"
            texts.append(d.app.editor.text)
        assert texts[1:] == [
            "zero\r\none\r\ntwo\r\nthree\r\nfour\r\nsix\r\n",
            "zero\r\none\r\ntwo\r\nthree\r\nfour\r\nfive\r\nsix\r\n",
            OLD.decode().replace("\n", "\r\n"),
        ]
        await d.press("alt+j")
        assert d.notice == "a.txt is as in the last commit"
        for text in texts[-2::-1]:
            await d.press("ctrl+z")
            assert d.app.editor.text == text
        await d.press("down", "alt+q")
        assert d.notice == "no change since the last commit at the cursor"
        assert d.app.editor.text == texts[0]


async def test_commit_elsewhere_is_seen_with_the_focus(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        asked(repository, "commit", "-qam", "y")
        asked(repository, "checkout", "-qb", "other")
        d.app.post_message(AppFocus())
        await d.until(lambda: not signs(d).strip())
        await d.until(lambda: d.app.workspace.status.branch == "other")


async def test_last_commit_is_read_anew_after_a_save(repository: Path, desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        asked(repository, "commit", "-qam", "y")
        await d.press("x", "ctrl+s")
        await d.until(lambda: signs(d) == "╏      ")


async def test_file_that_is_shown_later_has_signs(repository: Path, desk: OpenDesk) -> None:
    (repository / "sub").mkdir()
    async with desk({"b.txt": b"x\n", "a.txt": NEW}) as d:
        await d.until(lambda: d.app.workspace.status.branch == "main")
        assert not signs(d).strip()  # not tracked
        await d.press("alt+j")
        assert d.notice == "git has no b.txt to compare with"
        await d.press("ctrl+pagedown")
        await d.until(lambda: signs(d) == SIGNS)


async def test_without_a_repository_nothing_is_said(desk: OpenDesk) -> None:
    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: bool(d.app.git._known))
        await d.press("x")
        assert not signs(d).strip() and not d.app.workspace.status.branch and not d.notice
        await d.press("alt+q")
        assert d.notice == "git has no a.txt to compare with"


async def test_setting_turns_it_off(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "committed", None)  # it would be called
    monkeypatch.setattr(git, "branch", None)
    (repository / "a.txt").write_bytes(NEW)
    script = Script()
    app = DgeditApp(
        [repository / "a.txt"], connect=lambda: script, watch=False, settings=Settings(git=False)
    )
    async with app.run_test() as pilot:
        d = Desk(app, pilot, script)
        await d.press("x", "ctrl+s", "alt+j")
        assert d.notice == "git is off in the settings"
        assert not signs(d).strip()


async def test_result_for_a_text_that_has_changed_is_dropped(
    repository: Path, desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun, compared = Event(), Event(), module._compared

    def slow(old: list[str], new: list[str]) -> object:
        begun.set()
        gate.wait(5)
        return compared(old, new)

    async with desk({"a.txt": NEW}) as d:
        await d.until(lambda: signs(d) == SIGNS)
        monkeypatch.setattr(module, "_compared", slow)
        await d.press("x", "backspace")
        await d.until(begun.is_set)
        await d.press("ctrl+end", "enter", "z")
        gate.set()
        await d.until(lambda: signs(d) == "┃ ╏ ▁  ┃")
