"""Sessions are kept for each project, and whatever else is in their file counts as none."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgedit.files import sessions
from dgedit.files.sessions import Session, SessionStore, SessionTab

TAB = SessionTab("/p/a.py", ((1, 2, 3, 4), (5, 0, 5, 0)), 7, 8, ((1, 3), (5, 9)), 100, 200)
SESSION = Session((TAB, replace(TAB, path="/p/\udcffb\n.py")), 1, 0, True)


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "state" / "sessions")


def file_of(store: SessionStore) -> Path:
    (file,) = store.folder.iterdir()
    return file


def test_session_is_read_as_it_was_kept(store: SessionStore, tmp_path: Path) -> None:
    assert store.read(tmp_path) is None
    store.keep(tmp_path, SESSION)
    assert store.read(tmp_path) == SESSION
    assert store.read(tmp_path / "other") is None
    (tmp_path / "link").symlink_to(tmp_path)
    assert store.read(tmp_path / "link") == SESSION
    assert stat.S_IMODE(file_of(store).stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    store.keep(tmp_path, Session(()))
    assert store.read(tmp_path) is None and not list(store.folder.iterdir())


def test_sessions_left_long_ago_are_deleted(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_PROJECTS", 2)
    for at, name in enumerate("abc"):
        store.keep(tmp_path / name, SESSION)
        newest = max(store.folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        os.utime(newest, ns=(at, at))
        store.keep(tmp_path / name, SESSION)
    assert [store.read(tmp_path / name) is not None for name in "abc"] == [False, True, True]


def test_what_is_kept_is_bounded(store: SessionStore, tmp_path: Path) -> None:
    many = replace(
        TAB,
        cursors=tuple((row, 0, row, 0) for row in range(9_000)),
        folds=tuple((row, row + 1) for row in range(99_000)),
    )
    store.keep(tmp_path, Session((many,)))
    kept = store.read(tmp_path)
    assert kept is not None and len(kept.tabs[0].cursors) == 500 and len(kept.tabs[0].folds) == 5000
    store.keep(tmp_path, Session((many,) * 60, front=3))
    kept = store.read(tmp_path)
    assert kept is not None and len(kept.tabs) == 50 and kept.tabs[0].folds == ()
    assert file_of(store).stat().st_size <= 500_000
    store.keep(tmp_path, Session((many,) * 60, front=55))
    assert store.read(tmp_path) is None or store.read(tmp_path) == kept  # never one that is wrong


def changed(**more: Any) -> Any:
    return lambda table: {**table, **more}


def tab(**more: Any) -> Any:
    return lambda table: {**table, "tabs": [{**table["tabs"][0], **more}, table["tabs"][1]]}


@pytest.mark.parametrize(
    "spoil",
    [
        changed(version=2),
        changed(project="/elsewhere"),
        changed(tabs=[]),
        changed(tabs={}),
        changed(tabs=[1]),
        changed(front=2),
        changed(front=-1),
        changed(front=True),
        changed(front="0"),
        changed(beside=-2),
        changed(beside=2),
        changed(beside=None),
        changed(before=1),
        tab(path="a.py"),
        tab(path="/a\0"),
        tab(path=3),
        tab(top=-1),
        tab(top=1.5),
        tab(top=10**30),
        tab(cursors=[[1, 2, 3]]),
        tab(cursors=[[1, 2, 3, "4"]]),
        tab(cursors=[[0, 0, 0, 0]] * 501),
        tab(folds=[[1, -2]]),
        tab(folds=7),
        tab(text="x"),
        lambda table: [table],
        lambda table: None,
    ],
)
def test_anything_else_counts_as_none(store: SessionStore, tmp_path: Path, spoil: Any) -> None:
    store.keep(tmp_path, SESSION)
    file = file_of(store)
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    assert store.read(tmp_path) is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 9_000, b"9" * 9_000, b" " * 600_000])
def test_garbage_counts_as_none(store: SessionStore, tmp_path: Path, data: bytes) -> None:
    store.keep(tmp_path, SESSION)
    file_of(store).write_bytes(data)
    assert store.read(tmp_path) is None


def test_pipe_and_folder_in_its_place_are_no_session(store: SessionStore, tmp_path: Path) -> None:
    store.keep(tmp_path, SESSION)
    file = file_of(store)
    file.unlink()
    os.mkfifo(file)
    assert store.read(tmp_path) is None
    file.unlink()
    file.mkdir()
    assert store.read(tmp_path) is None
    store.keep(tmp_path, SESSION)  # and says nothing
    assert file.is_dir() and list(store.folder.iterdir()) == [file]
