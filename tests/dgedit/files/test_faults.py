"""A save that fails at any system call, or ends there, leaves the file wholly old or wholly new."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit.errors import DgeditError
from dgedit.files import disk, saving
from faults import failing, killed, number

OLD, NEW = b"old\n" * 1000, b"new!\n" * 1500
WAYS = ("replace", "in place", "create", "link")
FAULTS = [OSError(n, os.strerror(n)) for n in (errno.EIO, errno.ENOSPC, errno.EPERM, errno.EINTR)]


class Case:
    """A file to be saved in one of the ways, in a folder of its own."""

    def __init__(self, folder: Path, way: str) -> None:
        folder.mkdir()
        self.folder, self.file = folder, folder / "a.txt"
        if way != "create":
            self.file.write_bytes(OLD)
            os.setxattr(self.file, "user.note", b"kept")
        if way == "in place":
            (folder / "other").hardlink_to(self.file)
        self.path = self.file
        if way == "link":
            self.path = folder / "link"
            self.path.symlink_to("a.txt")
        self.expected = disk.read(self.path)[1] if way != "create" else None
        self.before = self.names()

    def save(self) -> disk.Fingerprint:
        parts = [NEW[:1000], saving.Kept(0, 4000), NEW[1000:]] if self.expected else [NEW]
        return saving.write(self.path, parts, expected=self.expected)

    @property
    def new(self) -> bytes:
        return NEW[:1000] + OLD + NEW[1000:] if self.expected else NEW

    @property
    def content(self) -> bytes | None:
        return self.file.read_bytes() if self.file.exists() else None

    @property
    def old(self) -> bytes | None:
        return OLD if self.expected else None

    def names(self) -> set[str]:
        return {entry.name for entry in self.folder.iterdir()}

    def left(self) -> set[Path]:
        """What was not there before, wherever it may be."""
        beside = {self.folder / name for name in self.names() - self.before - {self.file.name}}
        return beside | set(Path("/var/tmp").glob(".a.txt.dgedit-*"))

    def holds(self) -> None:
        """What holds whatever happened: links are links, and what is left can be told."""
        assert self.before <= self.names() and self.path.is_symlink() == (self.path != self.file)
        if "other" in self.before:
            assert self.file.samefile(self.folder / "other")
        if self.expected:
            assert os.getxattr(self.file, "user.note") == b"kept"
        for path in self.left():
            assert re.fullmatch(r"\.a\.txt\.dgedit-\w+(\.backup)?", path.name), path


@pytest.fixture(autouse=True)
def attributes(tmp_path: Path) -> None:
    try:
        os.setxattr(tmp_path, "user.note", b"")
    except OSError:
        pytest.skip("no extended attributes here")


def calls_of(folder: Path, way: str) -> list[str]:
    made = number(Case(folder / "counted", way).save)
    assert len(made) > 20 and {"write", "fsync"} <= set(made)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_fault_at_any_call_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    for nth, name in enumerate(calls_of(tmp_path, way)):
        for fault in FAULTS:
            case = Case(tmp_path / f"{nth}-{fault.errno}", way)
            where = f"{fault} at call {nth}, {name}"
            try:
                with failing(nth, fault):
                    made = case.save()
                assert case.content == case.new, where
                assert disk.read(case.path)[1] == made, where
            except DgeditError as error:
                assert case.content == case.old, where
                assert "\n" not in str(error) and case.path.name in str(error), where
            case.holds()
            assert len(case.left()) <= (name == "unlink"), where
            for path in case.left():
                path.unlink()


@pytest.mark.parametrize("way", WAYS)
def test_interrupt_at_any_call_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    for nth, name in enumerate(calls_of(tmp_path, way)):
        case = Case(tmp_path / f"{nth}", way)
        with pytest.raises(KeyboardInterrupt), failing(nth, KeyboardInterrupt()):
            case.save()
        assert case.content in (case.old, case.new), (nth, name)
        case.holds()
        for path in case.left():
            path.unlink()


@pytest.mark.parametrize("way", WAYS)
def test_disk_that_fails_for_good_leaves_the_old_content(tmp_path: Path, way: str) -> None:
    """Where it was written in place and cannot be put back, in the copy that the error names."""
    named = 0
    for nth, name in enumerate(calls_of(tmp_path, way)):
        case = Case(tmp_path / f"{nth}", way)
        try:
            with failing(nth, FAULTS[0], from_then_on=True):
                case.save()
            assert case.content == case.new, (nth, name)
        except DgeditError as error:
            if case.content != case.old:
                assert way == "in place", (nth, name)
                copy = Path(str(error).rsplit(" ", 1)[1])
                assert copy.read_bytes() == OLD
                named += 1
        case.holds()
        for path in case.left():
            path.unlink()
    assert bool(named) == (way == "in place")


@pytest.mark.parametrize("way", WAYS)
def test_end_at_any_call_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    """Where it was written in place, maybe in the copy beside it."""
    copies = 0
    for nth, name in enumerate(calls_of(tmp_path, way)):
        case = Case(tmp_path / f"{nth}", way)
        killed(case.save, nth)
        left = case.left()
        if case.content not in (case.old, case.new):
            assert way == "in place", (nth, name)
            assert [path.read_bytes() for path in left] == [OLD]
            copies += 1
        case.holds()
        assert len(left) <= 1
        if case.content != case.old and case.content != case.new:
            shutil.copyfile(*left, case.file)  # as a person would
        if case.content == case.old and way != "create":
            case.save()  # what was left is not in the way
            assert case.content == case.new
    assert bool(copies) == (way == "in place")


# Saves with the interpreter's least, and says in the trace where the save begins and ends.
SAVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dgedit.files import disk, saving
from dgedit.errors import DgeditError
path, new = Path(sys.argv[2]), Path(sys.argv[3]).read_bytes()
expected = disk.read(path)[1]
os.access("/begin", 0)
try:
    saving.write(path, new, expected=expected)
    os.access("/end", 0)
except DgeditError as error:
    os.access("/end", 0)
    sys.exit(str(error))
"""
# Not the save's: memory and signals.
APART = {"mmap", "munmap", "brk", "mremap", "madvise", "rt_sigaction", "rt_sigprocmask", "futex"}


def traced(case: Case, folder: Path, *inject: str) -> tuple[int, str, list[str]]:
    """The exit code, what was said, and the trace's calls, of a save under strace."""
    (folder / "new").write_bytes(NEW)
    root = str(Path(saving.__file__).parents[2])
    saver = [sys.executable, "-ISB", "-c", SAVER, root, case.path, folder / "new"]
    done = subprocess.run(
        ["strace", "-qq", "-o", folder / "trace", *inject, *saver],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = (folder / "trace").read_text(errors="replace").splitlines()
    return done.returncode, done.stderr, lines


def marked(lines: list[str], mark: str) -> int:
    return next((at for at, line in enumerate(lines) if f'"/{mark}"' in line), len(lines))


def places(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Each call of the save: its name, and which of that name it is in the whole run."""
    begin, end, seen = marked(lines, "begin"), marked(lines, "end"), Counter[str]()
    for at, line in enumerate(lines[:end]):
        name = line.split("(", 1)[0]
        seen[name] += 1
        if at > begin and name not in APART:
            yield name, seen[name]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("what", ["error=EIO", "error=ENOSPC", "signal=KILL"])
@pytest.mark.parametrize("way", ["replace", "in place"])
def test_fault_put_in_by_the_kernel_leaves_the_old_or_the_new(
    tmp_path: Path, way: str, what: str
) -> None:
    code, said, lines = traced(Case(tmp_path / "whole", way), tmp_path)
    if code:
        pytest.skip(f"strace does not run here: {said}")
    made = list(places(lines))
    assert len(made) > 20
    met = 0
    for at, (name, nth) in enumerate(made):
        case, where = Case(tmp_path / str(at), way), (at, name)
        code, said, lines = traced(case, tmp_path, f"-einject={name}:{what}:when={nth}")
        saving_calls = lines[marked(lines, "begin") :]
        met += any("INJECTED" in line or "SIGKILL" in line for line in saving_calls)
        left = case.left()
        if case.content not in (OLD, NEW):
            assert way == "in place" and what == "signal=KILL", where
            assert [path.read_bytes() for path in left] == [OLD], where
        case.holds()
        if what != "signal=KILL":
            assert (code, said.count("\n")) in ((0, 0), (1, 1)), (where, said)
            assert (case.content == NEW) == (code == 0), (where, said)
            assert len(left) <= (name == "unlink"), where
        for path in left:
            path.unlink()
    assert met == len(made)
