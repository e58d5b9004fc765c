"""Files on disk: replaced wholly or not at all, whatever kind they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dgedit import disk
from dgedit.errors import ConflictError, InputError


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    return path


def test_write_replaces_the_file_and_leaves_nothing_beside_it(file: Path) -> None:
    before = file.stat().st_ino
    disk.write(file, b"new", expected=disk.read(file)[1])
    assert file.read_bytes() == b"new"
    assert file.stat().st_ino != before
    assert names(file.parent) == {"a.txt"}


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o666])
def test_write_keeps_the_mode(file: Path, mode: int) -> None:
    file.chmod(mode)
    fingerprint = disk.write(file, b"new", expected=disk.read(file)[1])
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert not disk.has_changed(file, fingerprint)


def test_write_keeps_extended_attributes(file: Path) -> None:
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    disk.write(file, b"new", expected=disk.read(file)[1])
    assert os.getxattr(file, "user.note") == b"kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_write_keeps_the_owner(file: Path) -> None:
    os.chown(file, 1234, 1235)
    disk.write(file, b"new", expected=disk.read(file)[1])
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize("relative", [True, False])
def test_write_follows_a_link_and_keeps_it(file: Path, relative: bool) -> None:
    (file.parent / "sub").mkdir()
    link = file.parent / "sub" / "link"
    link.symlink_to("../a.txt" if relative else file)
    disk.write(link, b"new", expected=disk.read(link)[1])
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_write_keeps_hard_links_together(file: Path) -> None:
    other = file.parent / "other"
    other.hardlink_to(file)
    disk.write(file, b"longer than before", expected=disk.read(file)[1])
    disk.write(file, b"new", expected=disk.read(file)[1])
    assert other.read_bytes() == b"new"
    assert other.samefile(file)
    assert names(file.parent) == {"a.txt", "other"}


def test_write_in_a_folder_that_cannot_be_written_changes_the_file_itself(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = file.stat().st_ino, os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and path != file.parent)
    disk.write(file, b"new", expected=disk.read(file)[1])
    assert (file.read_bytes(), file.stat().st_ino) == (b"new", before)
    assert names(file.parent) == {"a.txt"}


def test_write_refuses_a_read_only_file(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(InputError, match=r"a\.txt is read-only"):
        disk.write(file, b"new", expected=disk.read(file)[1])
    assert file.read_bytes() == b"old"


@pytest.mark.parametrize("links", [1, 2])
def test_a_failing_write_leaves_the_original(
    file: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    if links == 2:
        (file.parent / "other").hardlink_to(file)
    expected = disk.read(file)[1]
    before = names(file.parent)
    real = os.write

    def full(fd: int, data: memoryview) -> int:
        """Writes what is old (the copy, and what is put back), but only a byte of what is new."""
        if bytes(data).startswith(b"new"):
            return real(fd, data[:1])
        if bytes(data) == b"ew":
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match="No space left on device"):
        disk.write(file, b"new", expected=expected)
    assert file.read_bytes() == b"old"
    assert names(file.parent) == before


@pytest.mark.parametrize("links", [1, 2])
def test_an_interrupted_write_leaves_the_original(
    file: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    if links == 2:
        (file.parent / "other").hardlink_to(file)
    expected = disk.read(file)[1]
    before, real, pressed = names(file.parent), os.fsync, []

    def interrupted(fd: int) -> None:
        pressed.append(fd)
        if len(pressed) == links:  # with two links, the first is the copy's
            raise KeyboardInterrupt
        real(fd)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        disk.write(file, b"new and longer", expected=expected)
    assert file.read_bytes() == b"old"
    assert names(file.parent) == before


def test_write_that_cannot_be_undone_names_the_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "other").hardlink_to(file)
    expected, real, written = disk.read(file)[1], os.write, []

    def broken(fd: int, data: memoryview) -> int:
        written.append(fd)
        if len(written) > 1:
            raise OSError(5, "Input/output error")
        return real(fd, data)

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(InputError, match=r"Input/output error.*\.backup") as caught:
        disk.write(file, b"new", expected=expected)
    assert Path(str(caught.value).rsplit(" ", 1)[1]).read_bytes() == b"old"


def test_write_sees_a_change_made_while_it_wrote(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, real = disk.read(file)[1], os.fsync

    def meanwhile(fd: int) -> None:
        file.write_bytes(b"theirs")
        real(fd)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(ConflictError):
        disk.write(file, b"new", expected=expected)
    assert file.read_bytes() == b"theirs"
    assert names(file.parent) == {"a.txt"}


def test_write_sees_a_change_of_the_same_size_and_time(file: Path) -> None:
    expected, info = disk.read(file)[1], file.stat()
    file.write_bytes(b"odd")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    with pytest.raises(ConflictError):
        disk.write(file, b"new", expected=expected)


def test_write_refuses_a_removed_file_unless_told_to_overwrite(file: Path) -> None:
    expected = disk.read(file)[1]
    file.unlink()
    with pytest.raises(ConflictError, match="was removed"):
        disk.write(file, b"new", expected=expected)
    disk.write(file, b"new", expected=expected, overwrite=True)
    assert file.read_bytes() == b"new"


def test_write_makes_a_file_with_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    disk.write(tmp_path / "new", b"new", expected=None)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_write_into_a_missing_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        disk.write(tmp_path / "gone" / "a.txt", b"new", expected=None)


def test_write_in_place_that_cannot_begin_leaves_no_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "other").hardlink_to(file)
    expected, real = disk.read(file)[1], os.open

    def broken(path: os.PathLike[str] | str, flags: int, *rest: int, **more: int) -> int:
        if path == file and flags & os.O_WRONLY:
            raise OSError(26, "Text file busy")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(InputError, match="Text file busy"):
        disk.write(file, b"new", expected=expected)
    assert file.read_bytes() == b"old"
    assert {entry.name for entry in file.parent.iterdir()} == {file.name, "other"}
