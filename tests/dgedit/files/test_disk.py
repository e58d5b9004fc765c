"""Files on disk as they are: read, and told from what they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgedit.errors import InputError
from dgedit.files import disk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_read_gives_every_byte_and_its_hash(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(os.urandom(size))
    data, fingerprint = disk.read(path)
    assert data == path.read_bytes() and fingerprint.size == size
    assert fingerprint.digest == disk.digest([data[:7], data[7:]])


def test_chunks_give_a_range_or_what_is_there_of_it(file: Path) -> None:
    with disk.opened(file) as fd:
        assert [b"".join(disk.chunks(fd, *ends)) for ends in ((0, 2), (1, 3), (2, 9), (5, 9))] == [
            b"ol",
            b"ld",
            b"d",
            b"",
        ]


def test_read_names_what_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name, said in (
        ("gone", "no such file: .*gone"),
        ("fifo", "fifo is not a regular file"),
        (".", "cannot read .*: Is a directory"),
        ("loop", "cannot read .*loop: Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(InputError, match=said):
            disk.read(tmp_path / name)


def test_has_changed_goes_by_the_content(file: Path) -> None:
    _, fingerprint = disk.read(file)
    assert not disk.has_changed(file, fingerprint) and disk.has_changed(file, None)
    os.utime(file, (1, 1))
    assert not disk.has_changed(file, fingerprint)
    file.write_bytes(b"new")
    assert disk.has_changed(file, fingerprint)
    file.unlink()
    assert disk.has_changed(file, fingerprint) and not disk.has_changed(file, None)
    file.mkdir()
    assert disk.has_changed(file, fingerprint)


def test_may_write_goes_by_the_mode_even_for_root(file: Path) -> None:
    assert disk.may_write(file) and disk.may_write(file.parent / "new")
    file.chmod(0o444)
    assert not disk.may_write(file)


def test_size_of_what_cannot_be_had_is_nothing(file: Path) -> None:
    assert disk.size_of(file) == 3
    assert disk.size_of(file / "no") == disk.size_of(file.parent / "a\0b") == 0
