"""Files are created, moved, copied and deleted, and none is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgedit.errors import DgeditError, InputError
from dgedit.files import moving
from dgedit.files.trash import throw_away, trash_for


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_file_and_folder_are_created_with_their_folders(tmp_path: Path) -> None:
    moving.create_file(tmp_path / "a" / "b" / "c.py")
    moving.create_folder(tmp_path / "d" / "e")
    assert (tmp_path / "a/b/c.py").read_bytes() == b"" and (tmp_path / "d/e").is_dir()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_text("new")
    if kind == "file":
        there.write_text("old")
    elif kind == "folder":
        there.mkdir()
    else:
        there.symlink_to("nowhere")
    for do in (
        lambda: moving.create_file(there),
        lambda: moving.create_folder(there),
        lambda: moving.move(source, there),
        lambda: moving.copy(source, there),
    ):
        with pytest.raises(InputError) as caught:
            do()
        assert str(caught.value) == f"{there} is there already"
    assert source.read_text() == "new"
    assert kind != "file" or there.read_text() == "old"
    assert kind != "folder" or there.is_dir()
    assert kind != "link" or os.readlink(there) == "nowhere"


def test_file_created_in_the_last_moment_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_text("new")
    monkeypatch.setattr(moving, "_prepare", lambda path: there.write_text("old"))
    with pytest.raises(InputError):
        moving.move(source, there)
    assert (source.read_text(), there.read_text()) == ("new", "old")


def test_files_folders_and_links_are_moved_and_copied(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("a")
    (tmp_path / "d" / "a").chmod(0o750)
    (tmp_path / "link").symlink_to("d")
    moving.copy(tmp_path / "d", tmp_path / "e")
    moving.copy(tmp_path / "link", tmp_path / "link2")
    moving.move(tmp_path / "link", tmp_path / "link3")
    moving.move(tmp_path / "d", tmp_path / "x" / "d")
    moving.move(tmp_path / "e" / "a", tmp_path / "b")
    assert (tmp_path / "x/d/a").read_text() == (tmp_path / "b").read_text() == "a"
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750
    assert os.readlink(tmp_path / "link2") == os.readlink(tmp_path / "link3") == "d"
    assert sorted(os.listdir(tmp_path)) == ["b", "e", "link2", "link3", "x"]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[0m", "\u202etxt", "n\x7f/x"])
def test_name_that_cannot_be_seen_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "ok").write_text("")
    for do in (
        moving.create_file,
        moving.create_folder,
        lambda to: moving.move(tmp_path / "ok", to),
    ):
        with pytest.raises(InputError):
            do(tmp_path / name)
    assert os.listdir(tmp_path) == ["ok"]
    moving.create_folder(tmp_path / "fine")
    bad = tmp_path / "was\nhere"
    bad.write_text("")
    moving.move(bad, tmp_path / "good")  # so that it can be mended
    assert (tmp_path / "good").exists()


def test_errors_of_the_system_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "f").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for do in (
        lambda: moving.create_file(tmp_path / "f" / "x"),
        lambda: moving.create_folder(tmp_path / ("x" * 300)),
        lambda: moving.create_file(tmp_path / "a\0b"),
        lambda: moving.move(tmp_path / "none", tmp_path / "x"),
        lambda: moving.move(tmp_path / "d", tmp_path / "d" / "e" / "x"),
        lambda: moving.copy(tmp_path / "d", tmp_path / "d" / "e" / "x"),
        lambda: moving.copy(tmp_path / "pipe", tmp_path / "x"),
        lambda: moving.delete(tmp_path / "none"),
    ):
        with pytest.raises(DgeditError) as caught:
            do()
        assert "\n" not in str(caught.value)
    assert (tmp_path / "d" / "e").is_dir()


def test_links_are_deleted_themselves(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("")
    (tmp_path / "link").symlink_to("d")
    moving.delete(tmp_path / "link")
    assert (tmp_path / "d" / "a").exists()
    moving.delete(tmp_path / "d")
    assert not os.listdir(tmp_path)


def test_copies_have_free_names(tmp_path: Path) -> None:
    for name in ("a.py", "a-copy.py", ".bashrc"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.x").mkdir()
    names = [moving.free_name(tmp_path / name).name for name in ("a.py", ".bashrc", "d.x")]
    assert names == ["a-copy-2.py", ".bashrc-copy", "d.x-copy"]


def test_trash_keeps_files_and_where_they_were(home: Path) -> None:
    for text in ("one", "two"):
        path = home / "a é.py"
        path.write_text(text)
        trash = trash_for(path)
        assert trash == home / "data" / "Trash"
        throw_away(path, trash)
        assert not path.exists()
    kept = {one.name: one.read_text() for one in (home / "data/Trash/files").iterdir()}
    assert kept == {"a é.py": "one", "a é.2.py": "two"}
    info = (home / "data/Trash/info/a é.py.trashinfo").read_text().split("\n")
    assert info[:2] == ["[Trash Info]", f"Path={home}/a%20%C3%A9.py"]
    assert info[2].startswith("DeletionDate=2") and len(info[2]) == 32
    assert (home / "data/Trash").stat().st_mode & 0o77 == 0


def test_folder_and_link_go_to_the_trash_whole(home: Path) -> None:
    (home / "d").mkdir()
    (home / "d" / "a").write_text("a")
    (home / "link").symlink_to("d")
    trash = trash_for(home / "d")
    assert trash is not None
    throw_away(home / "link", trash)
    throw_away(home / "d", trash)
    assert (trash / "files" / "d" / "a").read_text() == "a"
    assert os.readlink(trash / "files" / "link") == "d"


def test_failed_move_to_the_trash_leaves_nothing_there(home: Path) -> None:
    trash = trash_for(home / "none")
    assert trash is not None
    with pytest.raises(InputError) as caught:
        throw_away(home / "none", trash)
    assert "\n" not in str(caught.value)
    assert not [*(trash / "info").iterdir()]


def test_another_disk_has_a_trash_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = home / "disk"
    (top / "d").mkdir(parents=True)
    (top / "d" / "a").write_text("a")
    monkeypatch.setattr(
        "dgedit.files.trash._device", lambda path: 1 if path.is_relative_to(top) else 2
    )
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) in (top, Path("/")))
    own = top / f".Trash-{os.geteuid()}"
    assert trash_for(top / "d" / "a") == own
    throw_away(top / "d" / "a", own)
    assert (own / "files" / "a").read_text() == "a"
    assert "Path=d/a\n" in (own / "info" / "a.trashinfo").read_text()
    (top / "d" / "a").write_text("a")
    own.rename(top / "aside")
    own.symlink_to("aside")  # whoever laid it there may read what is put in it
    assert trash_for(top / "d" / "a") is None
