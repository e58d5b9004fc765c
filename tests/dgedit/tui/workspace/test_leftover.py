"""Text that was left over is deleted when it is saved or given up, and never before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process
from dgedit.tui.app import DgeditApp
from dgedit.tui.workspace import recovery
from scripted import Script

from ..editor.test_editor import CODE
from .test_recovery import DEAD, asked, caught_up, entries, journal_of, opened, path

__all__ = ["path"]  # a fixture

FIRST, SECOND = (replace(DEAD, started=started) for started in ("first", "second"))


def leave(path: Path, text: str, process: Process, *, named: bool = True, slot: int = 0) -> None:
    document = Document.load(path) if named else Document.from_text("")
    journal_of(path, process).keep(document.with_text(text), slot)


def left(path: Path, *, named: bool = True) -> set[str]:
    """What the next start would offer."""
    return {one.text for one in journal_of(path).left(path if named else None)}


async def test_recovered_text_undone_is_asked_about_again_and_stays(path: Path) -> None:
    leave(path, "left", FIRST)
    async with opened(path) as d:
        await d.press("f10", "r")
        await caught_up(d)
        assert asked(d) == "" and d.app.editor.text == "left"
        await d.press("ctrl+z")
        await d.until(lambda: "never saved" in asked(d))
        assert left(path) == {"left"}
        await d.press("ctrl+q")
    d.app.recovery.retire()
    assert left(path) == {"left"}


async def test_second_text_of_a_file_does_not_replace_the_first_for_good(path: Path) -> None:
    leave(path, "AAA", FIRST)
    leave(path, "BBB", SECOND)
    async with opened(path) as d:
        await d.press("f10", "r")
        first = d.app.editor.text
        await caught_up(d)
        await d.press("f10", "r")
        second = d.app.editor.text
        assert {first, second} == {"AAA", "BBB"}
        await caught_up(d)
        assert left(path) == {"AAA", "BBB"} and "never saved" in asked(d)
        await d.press("ctrl+s")
        await d.until(lambda: left(path) == {first})
        await d.press("ctrl+q")
    d.app.recovery.retire()
    assert path.read_text() == second and left(path) == {first}


@pytest.mark.parametrize("keys", [("ctrl+s", "ctrl+q"), ("ctrl+q", "s"), ("ctrl+q", "d")])
async def test_recovered_text_saved_or_given_up_is_deleted(
    path: Path, keys: tuple[str, ...]
) -> None:
    leave(path, "left", FIRST)
    async with opened(path) as d:
        await d.press("f10", "r", *keys)
    d.app.recovery.retire()
    assert entries(path) == []
    assert path.read_bytes() == (CODE if keys[-1] == "d" else b"left")


async def test_recovered_text_survives_the_next_kill_once(path: Path) -> None:
    leave(path, "left", FIRST)
    leave(path, "left", SECOND)  # as if recovered, and killed again before it was saved
    async with opened(path) as d:
        await d.until(lambda: "never saved" in asked(d))
        assert entries(path) == ["left"]
        await d.press("f10", "r")
        d.app.exit()
    assert d.app.recovery.retire() == d.app.editors
    assert set(entries(path)) == {"left"}


async def test_texts_without_a_file_come_back_in_tabs_of_their_own(path: Path) -> None:
    for slot, text in enumerate(("one", "two", "three"), 1):
        leave(path, text, FIRST, named=False, slot=slot)
    async with opened(path) as d:
        await d.press("ctrl+n")
        for _ in range(3):
            await d.until(lambda: "never saved" in asked(d))
            await d.press("f10", "r")
            await caught_up(d)
        texts = sorted(one.text for one in d.app.editors if one.file.path is None)
        assert texts == ["one", "three", "two"] and asked(d) == ""
        d.app.exit()
    d.app.recovery.retire()
    assert set(entries(path)) == {"one", "two", "three"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's account")
def test_process_that_nobody_waited_for_does_not_run() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        process = replace(Process.ours(), pid=child.pid, started=f"{boot}/{stat[19]}")
        assert process.runs
        os.kill(child.pid, 9)
        deadline = time.monotonic() + 90
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not process.runs


async def test_bar_says_which_key_does_what(path: Path) -> None:
    def shown() -> str:
        lines = [d.app.screen._compositor.render_strips()[y].text for y in rows]
        return " ".join(" ".join(lines).split())

    leave(path, "left", FIRST)
    async with opened(path) as d:
        await caught_up(d)
        rows = range(d.app.workspace.bar.region.y, d.app.workspace.bar.region.bottom)
        answers = "R put them back D compare X throw them away"
        assert shown().endswith(f"were never saved, but kept F10 then {answers}")
        for width, height in ((80, 2), (140, 1)):
            await d.pilot.resize_terminal(width, 24)
            await d.until(lambda height=height: d.app.workspace.bar.region.height == height)
        rows = range(d.app.workspace.bar.region.y, d.app.workspace.bar.region.bottom)
        await d.press("f10")
        assert shown().endswith(f"Esc later {answers}")
        await d.press("escape", "r")  # that is text again
        assert d.app.editor.text.startswith("r") and f"F10 then {answers}" in shown()


# Of several files


def leave_all(path: Path, *names: str) -> None:
    """As an editor does that had all of them open and is killed."""
    for name in names:
        other = path.parent / name
        other.parent.mkdir(exist_ok=True)
        other.write_text(f"{name} saved")
        leave(other, f"{name} left", FIRST)
        for entry in (other.parent / "state").glob("*"):
            (path.parent / "state").mkdir(exist_ok=True)
            os.replace(entry, path.parent / "state" / entry.name)


async def test_all_files_with_text_left_over_are_told_of_and_put_back(path: Path) -> None:
    leave_all(path, "a.py", "lib/b.py", "c.py", "d.py")
    async with opened(path) as d:
        words = asked(d)
        assert words.startswith("changes of a.py, ")
        assert words.endswith(" and 2 more files were never saved, but kept")
        await d.press("f10", "r")
        await d.until(lambda: "put back 4 texts, not saved yet" in d.notice)
        texts = sorted(editor.text for editor in d.app.editors)
        assert texts == ["a.py left", "c.py left", "d.py left", "lib/b.py left"]
        assert all(editor.dirty for editor in d.app.editors) and asked(d) == ""
        assert d.app.editor.path.name == "a.py"


async def test_all_files_with_text_left_over_are_opened_and_ask(path: Path) -> None:
    leave_all(path, "b.py", "c.py")
    async with opened(path) as d:
        assert asked(d).endswith(".py were never saved, but kept")
        await d.press("f10", "o")
        await d.until(lambda: len(d.app.editors) == 3 and d.app.editor.path.name != "a.py")
        for left in (1, 0):
            assert asked(d)[1:].startswith(".py: changes of 2")
            await d.press("f10", "r")
            assert sum(question is not None for question in d.app.questions.asked) == left


async def test_file_that_has_changed_since_is_asked_about_and_not_put_back(path: Path) -> None:
    leave_all(path, "b.py", "c.py")
    (path.parent / "c.py").write_text("newer")
    async with opened(path) as d:
        await d.press("f10", "r")
        await d.until(lambda: "put back 1 of 2 texts" in d.notice)
        assert d.notice.endswith("; what has changed since then asks")
        texts = {editor.path.name: editor.text for editor in d.app.editors}
        assert texts["b.py"] == "b.py left" and texts["c.py"] == "newer"
        assert asked(d).startswith("c.py: ") and asked(d).endswith("changed since then")


async def test_text_goes_to_its_file_whatever_is_in_front(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_all(path, "b.py", "c.py")
    async with opened(path) as d:
        open_file = d.app.opening.open_file

        async def turned(at: Path) -> bool:
            done = await open_file(at)
            d.app.workspace.show(d.app.editors[0])
            return done

        monkeypatch.setattr(d.app.opening, "open_file", turned)
        await d.press("f10", "r")
        await d.until(lambda: "put back 2 texts" in d.notice)
        texts = {editor.path.name: editor.text for editor in d.app.editors}
        assert texts == {"a.py": CODE.decode(), "b.py": "b.py left", "c.py": "c.py left"}


async def test_nothing_is_said_to_be_put_back_where_nothing_was(path: Path) -> None:
    leave_all(path, "b.py")
    (path.parent / "b.py").write_text("newer")
    async with opened(path) as d:
        await d.press("f10", "r")
        await d.until(lambda: asked(d).endswith("changed since then"))
        assert d.notice == ""


async def test_one_other_file_is_asked_about_and_may_be_left_alone(path: Path) -> None:
    leave_all(path, "b.py")
    async with opened(path) as d:
        assert asked(d) == "changes of b.py were never saved, but kept"
        await d.press("ctrl+n")  # not about one tab
        assert asked(d) == "changes of b.py were never saved, but kept"
        await d.press("f10", "i")
        assert asked(d) == "" and len(d.app.editors) == 2
    d.app.recovery.retire()
    assert left(path.parent / "b.py") == {"b.py left"}


async def test_text_of_another_file_that_was_saved_after_all_is_not_asked_about(
    path: Path,
) -> None:
    leave_all(path, "b.py")
    (path.parent / "b.py").write_text("b.py left")
    async with opened(path) as d:
        assert asked(d) == ""


async def test_text_of_a_file_elsewhere_is_not_asked_about(path: Path) -> None:
    leave_all(path, "b.py")
    (path.parent / "sub").mkdir()
    inner = path.parent / "sub" / "x.py"
    inner.write_text("x")
    os.replace(path.parent / "state", inner.parent / "state")
    async with opened(inner) as d:
        assert asked(d) == ""


# At once


async def test_text_left_over_is_asked_about_before_anything_slow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(path, "left", FIRST)
    asked = Event()
    monkeypatch.setattr(Journal, "open", lambda *given: asked.wait(10) and [])
    app = DgeditApp([path], connect=Script, watch=False, journal=journal_of(path))
    async with app.run_test() as pilot:
        assert app.workspace.bar.display and app.workspace.bar.question is not None
        await pilot.press("f10", "r")
        assert app.editor.text == "left"
        asked.set()


async def test_file_opened_later_asks_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_EVERY", 60)
    (path.parent / "b.py").write_text("b")
    leave(path.parent / "b.py", "left", FIRST)
    async with opened(path) as d:
        await d.press("f10", "i")
        await d.app.opening.open_file(path.parent / "b.py")
        assert asked(d).startswith("b.py: changes of 2")
