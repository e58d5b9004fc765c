"""Unsaved text survives: a crash, a signal, SIGKILL; and it is offered, and goes when it should."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.workspace import recovery
from dgedit.tui.workspace.recovery import Recovery
from scripted import Script

from ..conftest import Desk
from ..editor.test_editor import CODE
from ..interminal import DRIVER, RESTORED, InTerminal

DEAD = dataclasses.replace(Process.ours(), started="before")
ROUNDS = Counter[Recovery]()
"""How often an editor has looked what is to be kept."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; and an editor that looks every few milliseconds, counted."""
    keep = Recovery._keep_each

    async def counted(self: Recovery, journal: Journal) -> None:
        await keep(self, journal)
        ROUNDS[self] += 1

    monkeypatch.setattr(Recovery, "_keep_each", counted)
    monkeypatch.setattr(recovery, "_EVERY", 0.01)
    (tmp_path / "a.py").write_bytes(CODE)
    return tmp_path / "a.py"


def journal_of(path: Path, process: Process | None = None) -> Journal:
    return Journal(path.parent / "state", process)


def entries(path: Path) -> list[str]:
    """What is kept of a file, by an editor that runs or by another."""
    folder = path.parent / "state"
    found = (file.read_bytes() for file in sorted(folder.glob("*.text")))
    return [data.partition(b"\n")[2].decode() for data in found]


def kept_paths(path: Path) -> list[str]:
    """Of which files something is kept."""
    files = (path.parent / "state").glob("*.text")
    return [json.loads(file.read_bytes().partition(b"\n")[0])["path"] for file in files]


def asked(d: Desk) -> str:
    """What the bar asks; empty if nothing."""
    return d.app.workspace.bar.question.words if d.app.workspace.bar.question else ""


def leave_text(path: Path, text: str) -> None:
    """As an editor does that is killed."""
    journal_of(path, DEAD).keep(Document.load(path).with_text(text))


@asynccontextmanager
async def opened(path: Path, *, offered: bool = True, **options: object) -> AsyncIterator[Desk]:
    """An editor; once it has asked about what is left over, if it is to be `offered`."""
    app = DgeditApp([path], connect=Script, watch=False, journal=journal_of(path), **options)
    async with app.run_test(size=(100, 16)) as pilot:
        d = Desk(app, pilot, Script())
        await d.until(lambda: ROUNDS[app.recovery] > 0)
        if offered and journal_of(path).left(path):
            await d.until(lambda: app.workspace.bar.question is not None)
        yield d


async def caught_up(d: Desk) -> None:
    """Wait until the editor has looked at each file once more, from the first on."""
    end = ROUNDS[d.app.recovery] + 2  # one may be under way
    await d.until(lambda: ROUNDS[d.app.recovery] >= end)


# Kept


async def test_unsaved_text_is_kept_until_it_is_saved(path: Path) -> None:
    async with opened(path) as d:
        assert entries(path) == []
        await d.press("#")
        await d.until(lambda: entries(path) == ["#" + CODE.decode()])
        await d.press("!")
        await d.until(lambda: entries(path) == ["#!" + CODE.decode()])
        await d.press("ctrl+s")
        await d.until(lambda: entries(path) == [])


async def test_text_like_the_file_again_is_not_kept(path: Path) -> None:
    async with opened(path) as d:
        await d.press("#")
        await d.until(lambda: len(entries(path)) == 1)
        await d.press("backspace")
        await d.until(lambda: entries(path) == [])


@pytest.mark.parametrize("answer", ["d", "s"])
async def test_text_the_user_leaves_is_not_kept(path: Path, answer: str) -> None:
    async with opened(path) as d:
        await d.press("#")
        await d.until(lambda: len(entries(path)) == 1)
        await d.press("ctrl+q", answer)
    d.app.recovery.retire()
    assert list((path.parent / "state").iterdir()) == []


async def test_text_of_a_tab_that_is_closed_is_not_kept(path: Path) -> None:
    async with opened(path) as d:
        await d.press("#")
        await d.until(lambda: len(entries(path)) == 1)
        await d.press("ctrl+w", "d")
        await d.until(lambda: entries(path) == [])


async def test_editor_that_ends_by_itself_keeps_the_text(path: Path) -> None:
    async with opened(path) as d:
        await d.press("#")
        d.app.exit()
    assert d.app.recovery.retire() == d.app.editors
    assert entries(path) == ["#" + CODE.decode()]
    assert not list((path.parent / "state").glob("*.open"))


async def test_texts_without_a_file_are_kept_apart(path: Path) -> None:
    async with opened(path) as d:
        for word in ("one", "two"):
            await d.press("ctrl+n", *word)
            await caught_up(d)
        await d.until(lambda: sorted(entries(path)) == ["one", "two"])


async def test_folder_that_takes_nothing_is_told_once_and_editing_goes_on(path: Path) -> None:
    (path.parent / "state").write_text("a file where the folder should be")
    async with opened(path) as d:
        await d.until(lambda: "cannot be kept for a crash: " in d.notice)
        d.app.workspace.notice("")
        await d.press("#")
        await caught_up(d)
        assert d.notice == ""
        await d.press("ctrl+s")
        assert path.read_bytes() == b"#" + CODE
    assert d.app.recovery.retire() == []


# Offered


async def test_text_left_over_is_offered_and_recovered_as_one_undo(path: Path) -> None:
    leave_text(path, "# left\n" + CODE.decode())
    async with opened(path) as d:
        question = d.app.workspace.bar.question
        assert question is not None and question.words.startswith("a.py: changes of 2")
        assert question.words.endswith(" were never saved, but kept")
        await d.press("f10", "r")
        assert d.app.editor.text == "# left\n" + CODE.decode() and d.app.editor.dirty
        assert d.app.workspace.bar.question is None
        await caught_up(d)
        # The old entry stays as long as nothing is saved.
        assert len(journal_of(path).left(path)) == 1 and len(entries(path)) == 2
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == CODE and not d.app.editor.dirty


async def test_text_left_over_is_shown_and_the_question_stays(path: Path) -> None:
    leave_text(path, "# left\n" + CODE.decode())
    async with opened(path) as d:
        await d.press("f10", "d")
        assert isinstance(d.app.screen, DiffView) and "+# left" in d.app.screen.lines
        await d.press("escape")
        assert d.app.workspace.bar.question is not None
        await d.press("x")
        await d.press("ctrl+q", "d")
    d.app.recovery.retire()
    assert len(journal_of(path).left(path)) == 1  # nobody decided


async def test_text_left_over_is_discarded(path: Path) -> None:
    leave_text(path, "left")
    async with opened(path) as d:
        await d.press("f10", "x")
        assert d.notice == "a.py is as it was saved last"
        assert entries(path) == [] and d.app.workspace.bar.question is None
        assert d.app.editor.text.encode() == CODE


async def test_text_left_over_says_when_the_file_has_changed_since(path: Path) -> None:
    leave_text(path, "left")
    path.write_bytes(b"changed\n")
    async with opened(path) as d:
        assert d.app.workspace.bar.question is not None
        assert d.app.workspace.bar.question.words.endswith("; the file has changed since then")


async def test_text_left_over_that_was_saved_after_all_is_not_offered(path: Path) -> None:
    leave_text(path, CODE.decode())
    async with opened(path, offered=False) as d:
        assert d.app.workspace.bar.question is None and entries(path) == []


async def test_text_left_over_is_not_put_into_a_locked_file(path: Path) -> None:
    leave_text(path, "left")
    async with opened(path, offered=False, read_only=True) as d:
        assert d.app.editor.locked
        assert d.app.workspace.bar.question is None and "unsaved text" in d.notice
    assert len(entries(path)) == 1


async def test_file_never_saved_keeps_its_encoding_when_recovered(path: Path) -> None:
    path.write_bytes("\ufeffold\n".encode("utf-16-le"))
    leave_text(path, "new\n")
    path.unlink()
    async with opened(path) as d:
        await d.press("f10", "r", "ctrl+s")
    assert path.read_bytes() == "\ufeffnew\n".encode("utf-16-le")


async def test_other_editor_with_the_file_open_is_announced(path: Path) -> None:
    with InTerminal(path.parent, ["a.py"]) as other:
        other.wait_for(b"utf-8")
        folder = path.parent / "state" / "dgedit" / "recovery"
        while not list(folder.glob("*.open")):
            time.sleep(0.02)
        app = DgeditApp([path], connect=Script, watch=False, journal=Journal(folder))
        async with app.run_test() as pilot:
            d = Desk(app, pilot, Script())
            who = f"pid {other.process.pid} on {os.uname().nodename}"
            await d.until(lambda: asked(d) == f"a.py is open in another dgedit: {who}")
            # It is killed, and what it had not saved is offered at once.
            other.send(b"typed ")
            await d.until(lambda: bool(list(folder.glob("*.text"))))
            other.process.kill()
            other.process.wait(10)
            await d.until(lambda: asked(d).startswith("a.py: changes of 2"))
            await d.press("f10", "r")
            assert app.editor.text.startswith("typed ")
            await d.until(lambda: asked(d) == "")


async def test_announcement_may_be_ignored(path: Path) -> None:
    away = dataclasses.replace(DEAD, host="elsewhere")
    journal_of(path, away).open(path)
    async with opened(path) as d:
        assert asked(d) == f"a.py is open in another dgedit: pid {away.pid} on elsewhere"
        await d.press("f10", "i")
        assert asked(d) == ""


async def test_dead_editor_is_not_announced(path: Path) -> None:
    journal_of(path, DEAD).open(path)
    async with opened(path) as d:
        assert asked(d) == ""


async def test_text_that_gets_a_name_is_kept_under_it_alone(path: Path) -> None:
    async with opened(path) as d:
        await d.press("ctrl+n", "x")
        await d.until(lambda: entries(path) == ["x"])
        d.app.editor.path = path.parent / "named"
        d.app.editor.file = Document.from_text("", d.app.editor.path)
        await d.until(lambda: kept_paths(path) == [str(d.app.editor.path)])
        assert entries(path) == ["x"]


# Ended by force


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signal_keeps_the_text_and_restores_the_terminal(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "a.txt").write_bytes(b"text\n")
    with InTerminal(tmp_path, ["a.txt"]) as editor:
        editor.wait_for(b"utf-8")
        editor.send(b"typed ")
        editor.wait_for(b"1:7")
        editor.signal(number)
        assert editor.end() == code
        assert RESTORED in editor.screen and b"Traceback" not in editor.screen
    assert kept(tmp_path) == "typed text\n"
    assert (tmp_path / "a.txt").read_bytes() == b"text\n"


def test_terminal_that_goes_away_ends_it_and_keeps_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text\n")
    with InTerminal(tmp_path, ["a.txt"]) as editor:
        editor.wait_for(b"utf-8")
        editor.send(b"typed ")
        editor.wait_for(b"1:7")
        editor.hang_up()
        assert editor.end() == 129
    assert kept(tmp_path) == "typed text\n"


def test_error_of_ours_keeps_the_text_and_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text\n")
    driver = f"""
from dgedit.tui.workspace.saving import Saving
def fail(self):
    raise KeyError("oh no")
Saving.save_front = fail
{DRIVER}"""
    with InTerminal(tmp_path, ["a.txt"], driver=driver) as editor:
        editor.wait_for(b"utf-8")
        editor.send(b"typed ")
        editor.wait_for(b"1:7")
        editor.send(b"\x13")
        assert editor.end() == 70
        editor.wait_for(b"please report it")
        said = bytes(editor.screen).rpartition(RESTORED)[2]
    assert b"dgedit: what was not saved is offered at the next start\r\n" in said
    assert b"dgedit: KeyError: 'oh no' (DGEDIT_DEBUG=1" in said and b"Traceback" not in said
    assert kept(tmp_path) == "typed text\n"


def kept(folder: Path) -> str | None:
    """What is offered of `a.txt` at the next start."""
    journal = Journal(folder / "state" / "dgedit" / "recovery")
    left = journal.left(folder / "a.txt")
    return left[0].text if left else None


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_kill_loses_two_seconds_at_most_and_never_the_file(tmp_path: Path, rounds: int) -> None:
    """Five editors side by side, typed into at a steady rate, killed at a moment of chance."""
    rng = random.Random(rounds)
    for _ in range(rounds):
        shutil.rmtree(tmp_path)
        folders = [tmp_path / str(at) for at in range(5)]
        editors = []
        for folder in folders:
            folder.mkdir(parents=True)
            (folder / "a.txt").write_bytes(b"")
            editors.append(InTerminal(folder, ["a.txt"]))
        try:
            for editor in editors:
                editor.wait_for(b"utf-8", 60)
            typed = _type_and_kill(editors, rng)
        finally:
            for editor in editors:
                editor.__exit__()
        for folder, words in zip(folders, typed, strict=True):
            # What was typed up to two seconds before the end, at least, is there.
            file = (folder / "a.txt").read_text()
            text = kept(folder) or file
            whole = "".join(word for _, word in words)
            assert whole.startswith(text) and whole.startswith(file)
            assert len(text) >= sum(len(word) for at, word in words if at <= -2), words


def _type_and_kill(editors: list[InTerminal], rng: random.Random) -> list[list[tuple[float, str]]]:
    """What was typed into each, and when, in seconds from the kill; each is saved once as well."""
    begun = time.monotonic()
    ends = [begun + rng.uniform(1.0, 6.0) for _ in editors]
    words: list[list[tuple[float, str]]] = [[] for _ in editors]
    saves = [begun + rng.uniform(0.5, 6.0) for _ in editors]
    count = 0
    while any(editor.process.poll() is None for editor in editors):
        for at, editor in enumerate(editors):
            now = time.monotonic()
            if editor.process.poll() is not None:
                continue
            if now >= ends[at]:
                editor.process.kill()
                editor.process.wait(10)
                words[at] = [(when - now, word) for when, word in words[at]]
            elif now >= saves[at]:
                saves[at] = now + 60
                editor.send(b"\x13")
            else:
                count += 1
                word = f"{count} "
                words[at].append((now, word))
                editor.send(word.encode())
        time.sleep(0.05)
    return words
