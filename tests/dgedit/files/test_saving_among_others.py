"""Files are replaced wholly or not at all, whoever owns them, wherever they are, and while others
write them too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgedit.errors import ConflictError, DgeditError, InputError
from dgedit.files import disk, saving

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    return path


def in_child(act: Callable[[], object], *, user: int | None = None) -> str:
    """What an act gives, or the error it ends with, in a process of its own."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            said = f"{act()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can get to, with a file that every user can write."""
    folder = Path(tempfile.mkdtemp(prefix="dgedit-test-"))
    folder.chmod(0o755)
    (folder / "a.txt").write_bytes(b"old")
    (folder / "a.txt").chmod(0o666)
    yield folder
    shutil.rmtree(folder)


def save(path: Path, content: bytes = b"new") -> disk.Fingerprint:
    return saving.write(path, content, expected=disk.read(path)[1])


@as_root
def test_file_in_a_folder_that_cannot_be_written_is_changed_itself(shared: Path) -> None:
    file = shared / "a.txt"
    before, copies = file.stat().st_ino, set(Path("/var/tmp").iterdir())
    assert in_child(lambda: save(file) == disk.read(file)[1], user=NOBODY) == "True"
    assert (file.read_bytes(), file.stat().st_ino) == (b"new", before)
    assert names(shared) == {"a.txt"} and set(Path("/var/tmp").iterdir()) == copies


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_sticky_folder_keeps_the_owner(shared: Path, owner: int) -> None:
    shared.chmod(0o1777)
    file = shared / "a.txt"
    os.chown(file, owner, owner)
    before = file.stat().st_ino
    assert in_child(lambda: bool(save(file)), user=NOBODY) == "True"
    assert (file.read_bytes(), file.stat().st_uid) == (b"new", owner)
    assert (file.stat().st_ino == before) == (owner != NOBODY)
    assert names(shared) == {"a.txt"}


@as_root
def test_file_that_another_user_may_not_write_is_refused(shared: Path) -> None:
    shared.chmod(0o777)
    (shared / "a.txt").chmod(0o644)
    said = in_child(lambda: save(shared / "a.txt"), user=NOBODY)
    assert said == f"InputError: {shared}/a.txt is read-only"
    assert (shared / "a.txt").read_bytes() == b"old" and names(shared) == {"a.txt"}


@as_root
@pytest.mark.parametrize(("letter", "said"), [("i", "is read-only"), ("a", "not permitted")])
def test_file_that_is_immutable_is_refused(file: Path, letter: str, said: str) -> None:
    if shutil.which("chattr") is None or subprocess.call(["chattr", f"+{letter}", file]):
        pytest.skip("no such attribute here")
    try:
        with pytest.raises(InputError, match=said):
            save(file)
        assert file.read_bytes() == b"old" and names(file.parent) == {"a.txt"}
    finally:
        subprocess.check_call(["chattr", f"-{letter}", file])


# Read and write for the owner, read for user 1234 and for nobody else.
ALL = 2**32 - 1
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, ALL), (2, 4, 1234), (4, 0, ALL), (16, 4, ALL), (32, 0, ALL))
)


def set_acl(path: Path, kind: str) -> None:
    try:
        os.setxattr(path, f"system.posix_acl_{kind}", ACL)
    except OSError:
        pytest.skip("no ACLs here")


def test_write_keeps_the_acl(file: Path) -> None:
    set_acl(file, "access")
    before = file.stat()
    save(file)
    assert os.getxattr(file, "system.posix_acl_access") == ACL
    assert (file.stat().st_mode, file.stat().st_ino != before.st_ino) == (before.st_mode, True)


def test_write_takes_on_no_acl_of_the_folder(file: Path) -> None:
    set_acl(file.parent, "default")
    save(file)
    assert os.listxattr(file) == [] and file.read_bytes() == b"new"


def test_attribute_that_cannot_be_kept_is_kept_by_writing_in_place(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    before = file.stat().st_ino

    def refused(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refused)
    save(file)
    assert (file.read_bytes(), file.stat().st_ino) == (b"new", before)
    assert os.getxattr(file, "user.note") == b"kept" and names(file.parent) == {"a.txt"}


@contextlib.contextmanager
def mounted(place: Path, *how: str) -> Iterator[Path]:
    if subprocess.run(["mount", *how, place], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.check_call(["umount", place])


@as_root
def test_file_that_is_mounted_is_changed_itself(file: Path) -> None:
    place = file.parent / "mounted"
    place.touch()
    with mounted(place, "--bind", str(file)):
        save(place)
        assert file.read_bytes() == b"new" and names(file.parent) == {"a.txt", "mounted"}


@as_root
@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("held", [30_000, 180_000])
def test_full_disk_leaves_the_original(tmp_path: Path, links: int, held: int) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=256k", "none"):
        file = tmp_path / "a.txt"
        file.write_bytes(b"o" * held)
        if links == 2:
            (tmp_path / "other").hardlink_to(file)
        before = names(tmp_path)
        with pytest.raises(InputError, match=r"a\.txt: No space left on device"):
            save(file, b"n" * 300_000)
        with pytest.raises(InputError, match=r"new\.txt: No space left on device"):
            saving.write(tmp_path / "new.txt", b"n" * 300_000, expected=None)
        assert file.read_bytes() == b"o" * held and names(tmp_path) == before
        assert not list(Path("/var/tmp").glob(".a.txt.dgedit-*"))


@pytest.mark.parametrize("links", [1, 2])
def test_file_that_would_be_too_large_leaves_the_original(file: Path, links: int) -> None:
    if links == 2:
        (file.parent / "other").hardlink_to(file)
    before = names(file.parent)

    def limited() -> disk.Fingerprint:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        return save(file, b"n" * 50_000)

    assert in_child(limited) == f"InputError: cannot write {file}: File too large"
    assert file.read_bytes() == b"old" and names(file.parent) == before


# Several writers


def test_locked_file_is_waited_for_and_then_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_PATIENCE", 0.1)
    with file.open() as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"a\.txt is locked by another program"):
            save(file)
        assert file.read_bytes() == b"old"
        monkeypatch.setattr(saving, "_PATIENCE", 10)
        timer = threading.Timer(0.1, fcntl.flock, (theirs, fcntl.LOCK_UN))
        timer.start()
        save(file)
        timer.join()
    assert file.read_bytes() == b"new" and names(file.parent) == {"a.txt"}


def counted(file: Path, times: int) -> int:
    """Count up in a file, that many times, starting again when somebody was faster."""
    conflicts = 0
    while times:
        data, expected = disk.read(file)
        number = int(data.split(b"\n", 1)[0] or b"-1")
        try:
            saving.write(file, b"%d\n" % (number + 1) * 20_000, expected=expected)
            times -= 1
        except ConflictError:
            conflicts += 1
        except InputError as error:  # the other one came first every time
            assert "locked" in str(error)
    return conflicts


@pytest.mark.parametrize("links", [1, 2])
def test_two_writers_lose_no_change_and_tear_no_file(tmp_path: Path, links: int) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"0\n" * 20_000)
    if links == 2:
        (tmp_path / "other").hardlink_to(file)
    before, done = names(tmp_path), threading.Event()
    torn: list[bytes] = []

    def look() -> None:
        while not done.is_set():
            data = file.read_bytes()
            if len(set(data.split(b"\n")[:-1])) != 1:
                torn.append(data)

    # Who reads what is written in place may come in the middle; who reads what is renamed, may not.
    reader = threading.Thread(target=look if links == 1 else lambda: None)
    reader.start()
    children = []
    for _ in range(2):
        if not (child := os.fork()):
            code = 1
            with contextlib.suppress(BaseException):
                counted(file, 40)
                code = 0
            os._exit(code)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    done.set()
    reader.join()
    assert codes == [0, 0] and not torn
    assert file.read_bytes() == b"80\n" * 20_000 and names(tmp_path) == before


def test_of_two_that_make_a_file_one_does(tmp_path: Path) -> None:
    file, start = tmp_path / "new.txt", time.time() + 0.2

    def made(who: bytes) -> str:
        time.sleep(max(0, start - time.time()))
        try:
            saving.write(file, who * 100_000, expected=None)
        except DgeditError as error:
            return type(error).__name__
        return who.decode()

    said: list[str] = []
    threads = [
        threading.Thread(target=lambda who=who: said.append(in_child(lambda: made(who))))
        for who in (b"a", b"b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = set(said) - {"ConflictError"}
    assert sorted(said) == sorted(["ConflictError", winner])
    assert file.read_bytes() == winner.encode() * 100_000 and names(tmp_path) == {"new.txt"}
