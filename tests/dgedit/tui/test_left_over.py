"""Text that was left over is deleted when it is saved or given up, and never before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dgedit.document import Document
from dgedit.journal import Process

from .test_editor import CODE
from .test_recovery import DEAD, asked, entries, journal_of, opened, path, settle

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
        await settle(d.pilot)
        assert asked(d) == "" and d.app.editor.text == "left"
        await d.press("ctrl+z")
        await d.until(lambda: "never saved" in asked(d))
        assert left(path) == {"left"}
        await d.press("ctrl+q")
    d.app.retire()
    assert left(path) == {"left"}


async def test_second_text_of_a_file_does_not_replace_the_first_for_good(path: Path) -> None:
    leave(path, "AAA", FIRST)
    leave(path, "BBB", SECOND)
    async with opened(path) as d:
        await d.press("f10", "r")
        first = d.app.editor.text
        await settle(d.pilot)
        await d.press("f10", "r")
        second = d.app.editor.text
        assert {first, second} == {"AAA", "BBB"}
        await settle(d.pilot)
        assert left(path) == {"AAA", "BBB"} and "never saved" in asked(d)
        await d.press("ctrl+s")
        await d.until(lambda: left(path) == {first})
        await d.press("ctrl+q")
    d.app.retire()
    assert path.read_text() == second and left(path) == {first}


@pytest.mark.parametrize("keys", [("ctrl+s", "ctrl+q"), ("ctrl+q", "s"), ("ctrl+q", "d")])
async def test_recovered_text_saved_or_given_up_is_deleted(
    path: Path, keys: tuple[str, ...]
) -> None:
    leave(path, "left", FIRST)
    async with opened(path) as d:
        await d.press("f10", "r", *keys)
    d.app.retire()
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
    assert d.app.retire() == d.app.editors
    assert set(entries(path)) == {"left"}


async def test_texts_without_a_file_come_back_in_tabs_of_their_own(path: Path) -> None:
    for slot, text in enumerate(("one", "two", "three"), 1):
        leave(path, text, FIRST, named=False, slot=slot)
    async with opened(path) as d:
        await d.press("ctrl+n")
        for _ in range(3):
            await d.until(lambda: "never saved" in asked(d))
            await d.press("f10", "r")
            await settle(d.pilot)
        texts = sorted(one.text for one in d.app.editors if one.file.path is None)
        assert texts == ["one", "three", "two"] and asked(d) == ""
        d.app.exit()
    d.app.retire()
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
        deadline = time.monotonic() + 10
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
        await settle(d.pilot)
        rows = range(d.app.bar.region.y, d.app.bar.region.bottom)
        answers = "R put them back D compare X throw them away"
        assert shown().endswith(f"were never saved, but kept F10 then {answers}")
        for width, height in ((80, 2), (140, 1)):
            await d.pilot.resize_terminal(width, 24)
            await d.pilot.pause()
            assert d.app.bar.region.height == height
        rows = range(d.app.bar.region.y, d.app.bar.region.bottom)
        await d.press("f10")
        assert shown().endswith(f"Esc later {answers}")
        await d.press("escape", "r")  # that is text again
        assert d.app.editor.text.startswith("r") and f"F10 then {answers}" in shown()
