"""Recovery files that others have put there: links, folders, texts that are another user's."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import struct
from pathlib import Path

import pytest

from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process

DEAD = dataclasses.replace(Process.ours(), started="before")
STRANGER = 12345  # no user that there is
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "recovery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.txt"


@pytest.fixture
def entry(folder: Path, path: Path) -> Path:
    """A text that was left over, which is offered."""
    Journal(folder, DEAD).keep(Document.from_text("left", path))
    (entry,) = folder.iterdir()
    assert texts(folder, path) == ["left"]
    return entry


def texts(folder: Path, path: Path) -> list[str]:
    """What is offered of a file, by its name and by its folder."""
    journal = Journal(folder)
    found = [one.text for one in journal.left(path)]
    assert found == [one.text for one in journal.left_below(path.parent)]
    return found


@AS_ROOT
def test_text_of_another_user_is_not_offered(entry: Path, folder: Path, path: Path) -> None:
    os.chown(entry, STRANGER, -1)
    assert texts(folder, path) == []
    assert entry.exists()


@AS_ROOT
def test_note_of_another_user_announces_nobody(folder: Path, path: Path) -> None:
    """Nor does it say to whom a signal might go."""
    away = dataclasses.replace(DEAD, host="elsewhere")
    Journal(folder, away).open(path)
    assert Journal(folder).open(path) == [away]
    (note,) = (one for one in folder.glob("*.open") if b"elsewhere" in one.read_bytes())
    os.chown(note, STRANGER, -1)
    assert Journal(folder).open(path) == []


def test_folder_of_another_user_is_left_alone(
    entry: Path, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o777)
    before = {one: one.read_bytes() for one in folder.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: STRANGER)
        assert texts(folder, path) == []
        with pytest.raises(OSError, match="recovery is another user's"):
            Journal(folder).keep(Document.from_text("secret", path))
        with pytest.raises(OSError, match="is another user's"):
            Journal(folder).open(path)
    assert {one: one.read_bytes() for one in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777


@AS_ROOT
def test_link_of_another_user_leads_to_none_of_our_folders(
    tmp_path: Path, folder: Path, path: Path
) -> None:
    public = tmp_path / "public"
    public.mkdir(mode=0o755)
    folder.parent.mkdir()
    folder.symlink_to(public)
    os.chown(folder, STRANGER, -1, follow_symlinks=False)
    with pytest.raises(OSError, match="another user's"):
        Journal(folder).keep(Document.from_text("secret", path))
    assert not list(public.iterdir()) and stat.S_IMODE(public.stat().st_mode) == 0o755


def test_own_link_to_another_folder_is_followed(tmp_path: Path, folder: Path, path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "large disk")
    Journal(folder, DEAD).keep(Document.from_text("left", path))
    assert texts(folder, path) == ["left"]


def test_entry_that_is_a_link_is_not_followed(
    tmp_path: Path, entry: Path, folder: Path, path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)
    assert texts(folder, path) == []


def test_link_in_an_entrys_place_is_replaced_and_not_written_through(
    tmp_path: Path, folder: Path, path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    ours = Journal(folder)
    ours.keep(Document.from_text("x", path))
    ours.open(path)
    for file in [*folder.iterdir()]:
        file.unlink()
        file.symlink_to(precious)
    ours.open(path)
    ours.keep(Document.from_text("y", path))
    assert precious.read_text() == "mine"
    assert not [one for one in folder.iterdir() if one.is_symlink()]
    ours.drop(path)
    ours.close(path)
    assert precious.read_text() == "mine" and not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_entry_that_is_no_file_holds_nobody_up(
    entry: Path, folder: Path, path: Path, kind: str
) -> None:
    entry.unlink()
    if kind == "fifo":
        os.mkfifo(entry)
    elif kind == "folder":
        entry.mkdir()
    else:
        entry.symlink_to("/dev/zero")
    assert texts(folder, path) == []


def test_entry_under_anothers_name_is_none(entry: Path, folder: Path, path: Path) -> None:
    """What names a file is found under it, or it could neither be told from it nor discarded."""
    copy = entry.with_name(
        entry.name.replace(entry.name[-6], "0" if entry.name[-6] != "0" else "1")
    )
    shutil.copy(entry, copy)
    assert texts(folder, path) == ["left"]
    (left,) = Journal(folder).left(path)
    Journal(folder).discard(left)
    assert not entry.exists() and copy.exists() and texts(folder, path) == []


def test_entry_names_no_file_outside_the_folder_that_is_asked_about(
    tmp_path: Path, folder: Path
) -> None:
    """A text for another user's file is offered to nobody who does not open it; to discard an entry
    removes that entry alone.
    """
    inner = tmp_path / "project"
    inner.mkdir()
    for name in ("../secret", "../../etc/shadow", "../project-2/a"):
        Journal(folder, DEAD).keep(Document.from_text("planted", inner / name))
    (tmp_path / "secret").write_text("theirs")
    ours = Journal(folder)
    assert ours.left_below(inner) == []
    (planted,) = ours.left(tmp_path / "secret")
    odd = dataclasses.replace(planted, path="../../secret", process=Process(1, "../..", "/"))
    ours.discard(odd)
    assert len(list(folder.iterdir())) == 3 and (tmp_path / "secret").read_text() == "theirs"


def test_default_acl_around_the_folder_lets_nobody_in(folder: Path, path: Path) -> None:
    """A user that it names has the rights of the group, and here that has none."""
    folder.parent.mkdir()
    entries = ((1, 7, -1), (2, 7, STRANGER), (4, 7, -1), (16, 7, -1), (32, 7, -1))
    acl = b"".join(struct.pack("<HHi", *one) for one in entries)
    try:
        os.setxattr(folder.parent, "system.posix_acl_default", struct.pack("<I", 2) + acl)
    except OSError:
        pytest.skip("no ACLs here")
    ours = Journal(folder)
    ours.keep(Document.from_text("secret", path))
    ours.open(path)
    assert len(list(folder.iterdir())) == 2
    for one in (folder, *folder.iterdir()):
        assert "system.posix_acl_access" in os.listxattr(one)  # it was inherited
        assert not one.stat().st_mode & 0o077


def test_clock_that_was_set_loses_no_text_and_leaves_nothing(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts kept in years to come and before there were computers are both offered, each once; what
    was being written then is swept up.
    """
    ours = Journal(folder)
    for year, now in (("2100", 4.1e9), ("1970", 1.0)):
        with monkeypatch.context() as patched:
            patched.setattr("time.time", lambda now=now: now)
            process = dataclasses.replace(DEAD, started=year)
            Journal(folder, process).keep(Document.from_text(year, path))
        (folder / f".{year}").touch()
        os.utime(folder / f".{year}", (now, now))
    (folder / ".now").touch()
    (folder / ".folder").mkdir()
    os.utime(folder / ".folder", (1, 1))
    assert [one.text for one in ours.left(path)] == ["2100", "1970"]
    ours.open(path)
    assert {one.name for one in folder.glob(".*")} == {".now", ".folder"}
    for one in ours.left(path):
        ours.discard(one)
    assert ours.left(path) == []
