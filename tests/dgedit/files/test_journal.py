"""The journal: text comes back exact, each editor keeps to its own, nobody else can read."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process, state_folder

# Any code point, lone surrogates included, in whatever order.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)

HERE = Process.ours()
DEAD = dataclasses.replace(HERE, started="before")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "recovery"


@pytest.fixture
def dead(folder: Path) -> Journal:
    """Of an editor that was killed."""
    return Journal(folder, DEAD)


@pytest.fixture
def ours(folder: Path) -> Journal:
    return Journal(folder)


def document(text: str, path: Path | None) -> Document:
    return Document.from_text(text, path)


@given(ANY_TEXT)
def test_journal_gives_back_any_text(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        Journal(Path(folder, "j"), DEAD).keep(document(text, path))
        (entry,) = Journal(Path(folder, "j")).left(path)
        assert entry.text == text


def test_two_lone_surrogates_do_not_become_one_character(dead: Journal, ours: Journal) -> None:
    dead.keep(document("\ud83d\ude00", Path("a")))
    assert ours.left(Path("a"))[0].text == "\ud83d\ude00" != "😀"


def test_entry_says_what_the_text_came_from(tmp_path: Path, dead: Journal, ours: Journal) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffold".encode("utf-16-le"))
    loaded = Document.load(path)
    dead.keep(loaded.with_text("new"))
    (entry,) = ours.left(path)
    assert loaded.fingerprint is not None
    assert entry.base == loaded.fingerprint.digest.hex()
    assert (entry.encoding, entry.bom) == ("utf-16-le", b"\xff\xfe")
    assert (entry.process, entry.path) == (DEAD, os.path.realpath(path))


def test_entry_is_found_through_a_link(tmp_path: Path, dead: Journal, ours: Journal) -> None:
    (tmp_path / "link").symlink_to("file")
    dead.keep(document("x", tmp_path / "link"))
    assert [entry.text for entry in ours.left(tmp_path / "file")] == ["x"]


def test_entries_are_for_the_user_alone(folder: Path, ours: Journal) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    ours.keep(document("secret", Path("a")))
    ours.open(Path("a"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == {0o600}
    assert len(list(folder.iterdir())) == 2


def test_failed_write_keeps_the_entry_before_it(
    folder: Path, dead: Journal, ours: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.keep(document("one", Path("a")))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            dead.keep(document("two", Path("a")))
    assert [entry.text for entry in ours.left(Path("a"))] == ["one"]
    assert len(list(folder.iterdir())) == 1


def test_what_was_being_written_when_an_editor_was_killed_goes(folder: Path, ours: Journal) -> None:
    ours.open(Path("/a"))
    for name, age in ((".old", 2 * 3600), (".new", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    ours.open(Path("/b"))
    assert {file.name for file in folder.glob(".*")} == {".new"}


def test_damaged_entry_is_no_entry(folder: Path, dead: Journal, ours: Journal) -> None:
    dead.keep(document("whole text", Path("a")))
    (file,) = folder.iterdir()
    data = file.read_bytes()
    for damaged in (data[:-1], data[:20], b"", b"\xff\n", b"[]\nx", data + b"x", b"{}\n"):
        file.write_bytes(damaged)
        assert ours.left(Path("a")) == []
        assert ours.open(Path("a")) == []


def test_own_entry_is_not_left_over_and_can_be_dropped(folder: Path, ours: Journal) -> None:
    ours.keep(document("x", Path("a")))
    assert ours.left(Path("a")) == []
    ours.drop(Path("a"))
    ours.drop(Path("a"))
    assert not list(folder.iterdir())


def test_entries_of_several_editors_stand_side_by_side(folder: Path, ours: Journal) -> None:
    for number, text in enumerate(("one", "two")):
        process = dataclasses.replace(DEAD, started=f"{number}")
        Journal(folder, process).keep(document(text, Path("a")))
    Journal(folder, DEAD).keep(document("other file", Path("b")))
    left = ours.left(Path("a"))
    assert [entry.text for entry in left] == ["two", "one"]
    ours.discard(left[0])
    assert [entry.text for entry in ours.left(Path("a"))] == ["one"]


def test_discard_spares_what_was_written_anew(dead: Journal, ours: Journal) -> None:
    dead.keep(document("one", Path("a")))
    (old,) = ours.left(Path("a"))
    dead.keep(document("two", Path("a")))
    ours.discard(old)
    assert [entry.text for entry in ours.left(Path("a"))] == ["two"]


def test_another_editor_is_told_while_it_runs(folder: Path, ours: Journal) -> None:
    code = f"""
import sys
from pathlib import Path
from dgedit.files.document import Document
from dgedit.files.journal import Journal
journal = Journal(Path({str(folder)!r}))
assert journal.open(Path("/a")) == []
journal.keep(Document.from_text("unsaved", Path("/a")))
print(flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdin
        other.stdout.readline()
        assert [(one.pid, one.host) for one in ours.open(Path("/a"))] == [(other.pid, HERE.host)]
        assert ours.open(Path("/b")) == []
        assert ours.left(Path("/a")) == []
        other.kill()
        other.wait()
        assert ours.open(Path("/a")) == []
        assert [entry.text for entry in ours.left(Path("/a"))] == ["unsaved"]
    ours.close(Path("/a"))
    assert Journal(folder, dataclasses.replace(HERE, pid=1)).open(Path("/a")) == []


def test_number_of_a_process_that_died_may_be_anothers_now() -> None:
    assert HERE.runs
    assert not DEAD.runs
    assert not dataclasses.replace(HERE, pid=2**22 + 1).runs


def test_editor_on_another_host_is_told_and_its_text_offered(folder: Path, ours: Journal) -> None:
    away = dataclasses.replace(HERE, host="elsewhere")
    other = Journal(folder, away)
    other.open(Path("a"))
    other.keep(document("x", Path("a")))
    assert ours.open(Path("a")) == [away]
    assert [entry.process.host for entry in ours.left(Path("a"))] == ["elsewhere"]


@pytest.mark.parametrize("given", ["", "relative"])
def test_state_folder_is_absolute(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "dgedit" / "recovery"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert state_folder() == tmp_path / "s" / "dgedit" / "recovery"
