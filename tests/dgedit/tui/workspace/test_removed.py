"""What is in the editor outlives the folders that its file is in, whichever of them goes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process

from ..interminal import InTerminal

LEVELS = "top", "top/middle", "top/middle/last"
OLD = b"old\n"
F10 = b"\x1b[21~"


def make(folder: Path) -> Path:
    """All levels, and a file in the last one, as they were at first."""
    for name in ("top", "elsewhere"):
        shutil.rmtree(folder / name, ignore_errors=True)
    last = folder / LEVELS[-1]
    last.mkdir(parents=True)
    (last / "f.py").write_bytes(OLD)
    return last


def remove(level: Path) -> None:
    shutil.rmtree(level)


def rename(level: Path) -> None:
    level.rename(level.with_name("elsewhere"))


def put_a_file_there(level: Path) -> None:
    shutil.rmtree(level)
    level.write_text("a file")


def put_a_link_there(level: Path) -> None:
    shutil.rmtree(level)
    level.symlink_to("nowhere")


HARMS = [
    *((harm, level) for harm in (remove, rename) for level in LEVELS),
    (put_a_file_there, LEVELS[-1]),
    (put_a_link_there, LEVELS[-1]),
]


@pytest.mark.parametrize(("harm", "level"), HARMS)
def test_fault_1_text_outlives_every_level_of_its_path(
    tmp_path: Path, harm: Callable[[Path], None], level: str
) -> None:
    last = make(tmp_path)
    with InTerminal(tmp_path, ["f.py"], inside=last) as editor:
        editor.wait_for(b"f.py:1:1")
        editor.send(b"x")
        editor.wait_for(b"f.py:1:2")
        harm(tmp_path / level)
        editor.send(b"\x13")
        editor.wait_for(b"cannot write f.py")
        editor.send(b"y")  # it goes on
        editor.wait_for(b"f.py:1:3")
        editor.send(b"\x11")
        editor.wait_for(b"Not saved")
        editor.screen.clear()
        editor.send(b"s")
        editor.wait_for(b"cannot write f.py")  # and so it does not quit
        editor.send(b"z")
        editor.wait_for(b"f.py:1:4")
        editor.signal(signal.SIGHUP)
        assert editor.end() == 129
    if (tmp_path / level).is_symlink() or (tmp_path / level).is_file():
        (tmp_path / level).unlink()
    last = make(tmp_path)
    with InTerminal(tmp_path, ["f.py"], inside=last) as editor:
        editor.wait_for(b"never saved")
        editor.send(F10)
        editor.send(b"r")
        editor.wait_for(b"put back")
        editor.send(b"\x13")
        editor.wait_for(b"saved f.py")
        editor.send(b"\x11")
        assert editor.end() == 0
    assert (last / "f.py").read_bytes() == b"xyz" + OLD
    assert not list(tmp_path.rglob("*.text"))


@pytest.mark.parametrize("edited", [True, False], ids=["edited", "clean"])
def test_fault_1_checkout_of_a_branch_without_the_folder_and_back_is_survived(
    tmp_path: Path, edited: bool
) -> None:
    last = make(tmp_path)
    with InTerminal(tmp_path, ["f.py"], inside=last) as editor:
        editor.wait_for(b"f.py:1:1")
        if edited:
            editor.send(b"x")
            editor.wait_for(b"f.py:1:2")
        shutil.rmtree(last)
        editor.wait_for(b"f.py was deleted")
        make(tmp_path)
        editor.send(b"\x1b[F!\x13")
        editor.wait_for(b"saved f.py")
        editor.send(b"\x0f")  # a path is asked for, and the folder that we are in is gone
        editor.wait_for(b"Tab complete")
        editor.signal(signal.SIGTERM)
        assert editor.end() == 143
    assert (last / "f.py").read_bytes() == b"x" * edited + b"old!\n"


def test_fault_1_text_of_a_link_is_one_entry_wherever_the_link_leads(tmp_path: Path) -> None:
    """Or what was kept last would be offered beside what was kept first, or in its place."""
    last, link = make(tmp_path), tmp_path / "link"
    link.symlink_to(last)
    document = Document.load(link / "f.py")
    journal = Journal(tmp_path / "state", replace(Process.ours(), started="before"))
    journal.open(link / "f.py")
    journal.keep(document.with_text("first"))
    link.unlink()
    journal.keep(document.with_text("second"))
    (entry,) = Journal(tmp_path / "state").left(last / "f.py")
    assert entry.text == "second"
    journal.drop(link / "f.py")
    journal.close(link / "f.py")
    assert not list((tmp_path / "state").iterdir())
