"""Files are replaced wholly or not at all, whatever kind they are."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from dgedit.errors import ConflictError, InputError
from dgedit.files import disk, saving


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    return path


def save(path: Path, content: bytes = b"new") -> disk.Fingerprint:
    return saving.write(path, content, expected=disk.read(path)[1])


def test_write_replaces_the_file_and_leaves_nothing_beside_it(file: Path) -> None:
    before = file.stat().st_ino
    saving.write(file, b"new", expected=disk.read(file)[1])
    assert file.read_bytes() == b"new"
    assert file.stat().st_ino != before
    assert names(file.parent) == {"a.txt"}


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o666])
def test_write_keeps_the_mode(file: Path, mode: int) -> None:
    file.chmod(mode)
    fingerprint = saving.write(file, b"new", expected=disk.read(file)[1])
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert not disk.has_changed(file, fingerprint)


def test_write_keeps_extended_attributes(file: Path) -> None:
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    saving.write(file, b"new", expected=disk.read(file)[1])
    assert os.getxattr(file, "user.note") == b"kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_write_keeps_the_owner(file: Path) -> None:
    os.chown(file, 1234, 1235)
    saving.write(file, b"new", expected=disk.read(file)[1])
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize("relative", [True, False])
def test_write_follows_a_link_and_keeps_it(file: Path, relative: bool) -> None:
    (file.parent / "sub").mkdir()
    link = file.parent / "sub" / "link"
    link.symlink_to("../a.txt" if relative else file)
    saving.write(link, b"new", expected=disk.read(link)[1])
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_write_keeps_hard_links_together(file: Path) -> None:
    other = file.parent / "other"
    other.hardlink_to(file)
    saving.write(file, b"longer than before", expected=disk.read(file)[1])
    saving.write(file, b"new", expected=disk.read(file)[1])
    assert other.read_bytes() == b"new"
    assert other.samefile(file)
    assert names(file.parent) == {"a.txt", "other"}


def test_write_refuses_a_read_only_file(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(InputError, match=r"a\.txt is read-only"):
        saving.write(file, b"new", expected=disk.read(file)[1])
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
        saving.write(file, b"new", expected=expected)
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
        saving.write(file, b"new and longer", expected=expected)
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
        saving.write(file, b"new", expected=expected)
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
        saving.write(file, b"new", expected=expected)
    assert file.read_bytes() == b"theirs"
    assert names(file.parent) == {"a.txt"}


def test_write_sees_a_change_of_the_same_size_and_time(file: Path) -> None:
    expected, info = disk.read(file)[1], file.stat()
    file.write_bytes(b"odd")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    with pytest.raises(ConflictError):
        saving.write(file, b"new", expected=expected)


def test_write_refuses_a_removed_file_unless_told_to_overwrite(file: Path) -> None:
    expected = disk.read(file)[1]
    file.unlink()
    with pytest.raises(ConflictError, match="was removed"):
        saving.write(file, b"new", expected=expected)
    saving.write(file, b"new", expected=expected, overwrite=True)
    assert file.read_bytes() == b"new"


def test_write_makes_a_file_with_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    saving.write(tmp_path / "new", b"new", expected=None)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_write_into_a_missing_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its folder is not there"):
        saving.write(tmp_path / "gone" / "a.txt", b"new", expected=None)


def test_write_in_place_that_cannot_begin_leaves_no_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "other").hardlink_to(file)
    expected, real = disk.read(file)[1], os.open

    def broken(path: os.PathLike[str] | str, flags: int, *rest: int, **more: int) -> int:
        if path == file and flags & os.O_RDWR:
            raise OSError(26, "Text file busy")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(InputError, match="Text file busy"):
        saving.write(file, b"new", expected=expected)
    assert file.read_bytes() == b"old"
    assert {entry.name for entry in file.parent.iterdir()} == {file.name, "other"}


def test_dangling_link_makes_its_target_and_stays(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    link = tmp_path / "link"
    link.symlink_to("sub/new.txt")
    saving.write(link, b"new", expected=None)
    assert link.is_symlink() and (tmp_path / "sub" / "new.txt").read_bytes() == b"new"
    assert names(tmp_path / "sub") == {"new.txt"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_link_loop_is_refused(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="Too many levels of symbolic links"):
        saving.write(tmp_path / "a", b"new", expected=None, overwrite=overwrite)
    assert names(tmp_path) == {"a", "b"} and (tmp_path / "a").is_symlink()


def test_link_that_cannot_be_read_is_not_replaced(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, real = file.parent / "link", os.lstat
    link.symlink_to("a.txt")
    expected = disk.read(link)[1]

    def broken(path: str, **more: int) -> os.stat_result:
        if str(path).endswith("link"):
            raise OSError(5, "Input/output error")
        return real(path, **more)

    monkeypatch.setattr(os, "lstat", broken)
    with pytest.raises(InputError, match="Input/output error"):
        saving.write(link, b"new", expected=expected)
    monkeypatch.undo()
    assert link.is_symlink() and file.read_bytes() == b"old"


@pytest.mark.parametrize("special", ["fifo", "folder", "device"])
def test_what_is_no_file_is_refused(file: Path, special: str) -> None:
    place = Path("/dev/null") if special == "device" else file.parent / special
    if special == "fifo":
        os.mkfifo(place)
    elif special == "folder":
        place.mkdir()
    with pytest.raises(InputError, match=r"not a regular file|Is a directory"):
        saving.write(place, b"new", expected=None, overwrite=True)


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_what_vanishes_while_it_is_written_is_not_made_anew(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "sub", os.fsync
    folder.mkdir()
    file = folder / "a.txt"
    file.write_bytes(b"old")
    expected = disk.read(file)[1]

    def meanwhile(fd: int) -> None:
        real(fd)
        shutil.rmtree(folder) if gone == "folder" else file.unlink(missing_ok=True)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(ConflictError, match=r"a\.txt was removed since"):
        saving.write(file, b"new", expected=expected)
    assert not file.exists() and (gone == "folder" or names(folder) == set())


def test_new_file_does_not_replace_one_that_comes_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = tmp_path / "new.txt", os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (real(fd), file.write_bytes(b"theirs"))[0])
    with pytest.raises(ConflictError):
        saving.write(file, b"new", expected=None)
    assert file.read_bytes() == b"theirs" and names(tmp_path) == {"new.txt"}


def test_names_of_any_length_can_be_saved(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127, os.fsdecode(b"\xff" * 255)):
        saving.write(tmp_path / name, b"old", expected=None)
        save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize("links", [1, 2])
def test_write_keeps_what_it_is_told_to(file: Path, links: int) -> None:
    file.write_bytes(b"0123456789" * 300_000)
    if links == 2:
        (file.parent / "other").hardlink_to(file)
    kept = [saving.Kept(0, 2_500_000), b"new", saving.Kept(2_500_007, 3_000_000)]
    made = saving.write(file, kept, expected=disk.read(file)[1])
    expected = b"0123456789" * 250_000 + b"new" + (b"0123456789" * 50_000)[7:]
    assert file.read_bytes() == expected and disk.read(file)[1] == made
    assert not disk.has_changed(file, made)


def test_write_that_keeps_a_part_sees_a_change_of_it(file: Path) -> None:
    expected = disk.read(file)[1]
    file.write_bytes(b"o")
    with pytest.raises(ConflictError):
        saving.write(file, [saving.Kept(0, 2), b"new"], expected=expected)
    assert file.read_bytes() == b"o" and names(file.parent) == {"a.txt"}
