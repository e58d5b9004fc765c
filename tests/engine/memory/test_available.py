"""Memory that may be taken: what Linux says in files, faked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dgedit_engine.memory import available as room


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 4,000 bytes times 1,024, of which 2,000 are available, and no groups."""
    (tmp_path / "meminfo").write_text("MemTotal:  4000 kB\nMemFree: 1 kB\nMemAvailable: 2000 kB\n")
    (tmp_path / "cgroup").write_text("")
    monkeypatch.setattr(room, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(room, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(room, "_CONTROLS", tmp_path / "fs")
    return tmp_path


def group(folder: Path, *, most: str, used: int, cache: int, old: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if old:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cache}\n")


def test_machine_without_groups_has_what_is_available(linux: Path) -> None:
    assert (room.total(), room.free(), room.left()) == (4_096_000, 2_048_000, None)
    assert room.least() == 2_048_000


@pytest.mark.parametrize("old", [False, True])
def test_group_leaves_its_limit_less_what_is_used_and_not_cache(linux: Path, old: bool) -> None:
    (linux / "cgroup").write_text("5:cpu:/x\n4:memory:/a/b\n" if old else "0::/a/b\n")
    top = linux / "fs" / "memory" if old else linux / "fs"
    group(top / "a" / "b", most="1000000", used=500_000, cache=100_000, old=old)
    assert room.left() == 600_000
    assert room.least() == 600_000


def test_tightest_group_counts_and_one_without_a_limit_does_not(linux: Path) -> None:
    (linux / "cgroup").write_text("0::/a/b\n")
    group(linux / "fs" / "a" / "b", most="max", used=500_000, cache=0)
    group(linux / "fs" / "a", most="800000", used=900_000, cache=0)
    assert room.left() == 0
    group(linux / "fs" / "a", most="max", used=900_000, cache=0)
    assert room.left() is None


def test_group_of_a_container_is_at_the_top(linux: Path) -> None:
    (linux / "cgroup").write_text("0::/../outside/that/is/not/here\n")
    group(linux / "fs", most="1000", used=100, cache=0)
    assert room.left() == 900


def test_limit_above_all_memory_is_none(linux: Path) -> None:
    (linux / "cgroup").write_text("4:memory:/\n")
    group(linux / "fs" / "memory", most=str(2**63 - 4096), used=1, cache=0, old=True)
    assert room.least() == 2_048_000


@pytest.mark.parametrize("words", ["", "MemAvailable: many kB", "MemAvailable:"])
def test_machine_that_says_nothing_has_no_number(linux: Path, words: str) -> None:
    (linux / "meminfo").write_text(words)
    assert (room.total(), room.free(), room.least()) == (None, None, None)
    (linux / "meminfo").unlink()
    assert room.free() is None


def test_what_was_freed_is_given_back(tmp_path: Path) -> None:
    """In a process of its own: pieces between others that stay, which glibc keeps."""
    program = """
import ctypes, sys
from dgedit_engine.memory import available

libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_trim"):
    sys.exit("no glibc")
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def fill(count):
    places = [libc.malloc(50_000) for _ in range(count)]
    for place in places:
        ctypes.memset(place, 1, 50_000)
    return places

places = fill(2000)
for place in places[:-1]:  # the last one stays, at the end of the heap
    libc.free(place)
before = resident()
available.give_back()
print(before - resident())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if "no glibc" in run.stderr:
        pytest.skip("this C library gives back by itself")
    assert int(run.stdout) > 50_000_000, run.stderr
