"""Files that may not be written, or are no text: refused, locked, or opened and saved exactly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgedit.errors import InputError
from dgedit.files.document import LARGEST, Document, UnfitError
from dgedit.tui.app import DgeditApp
from scripted import Script

from ..conftest import Desk
from ..editor.test_editor import CODE

THEIRS = b"# theirs\n" + CODE.replace(b"g()", b"gg()")


async def test_read_only_file_refuses_every_edit_aloud(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    (tmp_path / "a.py").chmod(0o444)
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        assert app.workspace.label(app.editor) == "a.py [read-only]"
        for key in ("x", "backspace", "enter", "tab", "ctrl+k", "alt+up", "ctrl+z", "ctrl+y"):
            app.workspace.notice("")
            app.editor.move_cursor((1, 8))
            await d.press(key)
            assert app.editor.text.encode() == CODE
            assert d.notice == "read-only: you may not write this file", key
        assert "read-only" in app.workspace.status.place
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o444


async def test_read_only_file_refuses_commands_and_cutting(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False, read_only=True)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        for act in (
            app.editor.undo,
            app.editor.redo,
            lambda: app.editor.insert("x"),
            lambda: app.editor.replace("x", (0, 0), (0, 3)),
        ):
            app.workspace.notice("")
            act()
            await d.until(lambda: "--read-only" in d.notice)
        d.select(0, 3)
        await d.press("ctrl+x")
        assert app.editor.text.encode() == CODE and not app.editor.dirty


async def test_read_only_file_is_reloaded_and_may_become_writable(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(CODE)
    path.chmod(0o444)
    app = DgeditApp([path], connect=Script, watch=False)
    async with app.run_test() as pilot:
        path.chmod(0o644)
        path.write_bytes(THEIRS)
        app.disk.check()
        assert app.editor.text.encode() == THEIRS
        assert app.workspace.label(app.editor) == "a.py"
        await Desk(app, pilot, Script()).press("#", "ctrl+s")
        assert path.read_bytes() == THEIRS.replace(b"def f", b"#def f")


async def test_file_that_may_no_longer_be_written_is_locked_unless_it_was_edited(
    tmp_path: Path,
) -> None:
    clean, edited = tmp_path / "a.py", tmp_path / "b.py"
    for path in (clean, edited):
        path.write_bytes(CODE)
    app = DgeditApp([clean, edited], connect=Script, watch=False)
    async with app.run_test():
        app.editors[1].insert("# mine\n", (0, 0))
        for path in (clean, edited):
            path.chmod(0o444)
        app.disk.check()
        assert [editor.locked for editor in app.editors] == [True, False]
        clean.unlink()
        app.disk.check()
        assert not app.editors[0].locked and app.editors[0].deleted


def test_large_binary_and_folder_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LARGEST)
    (tmp_path / "binary").write_bytes(b"\x7fELF\0" + b"x" * 1500)
    for name, words in (
        ("large", "large is too large to edit: 20.0 MB; --force opens it"),
        ("binary", r"binary is not text \(1.5 kB\); --force opens it"),
        (".", "is a folder"),
    ):
        with pytest.raises(InputError, match=words):
            DgeditApp([tmp_path / name], connect=Script)
    os.truncate(tmp_path / "large", LARGEST - 1)
    with pytest.raises(UnfitError, match="is not text"):
        Document.load(tmp_path / "large", largest=LARGEST)


async def test_forced_binary_is_shown_and_saved_exactly(tmp_path: Path) -> None:
    data = b"\x7fELF\0\x1b[2J\xff\xfe\r\n\x00tails"
    for name, bytes_ in (("a", data), ("b", b"\xff\xfe" + data)):  # half a unit: no UTF-16
        (tmp_path / name).write_bytes(bytes_)
        app = DgeditApp([tmp_path / name], connect=Script, watch=False, force=True)
        async with app.run_test() as pilot:
            app.editor.move_cursor((1, 0))
            await Desk(app, pilot, Script()).press("x", "ctrl+s")
            shown = app.editor.render_line(0).text
            assert "\x1b" not in shown and "\0" not in shown and "␀" in shown
        assert (tmp_path / name).read_bytes() == bytes_.replace(b"\r\n", b"\r\nx")


async def test_read_only_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(CODE)
    before = path.stat()
    app = DgeditApp([path], connect=Script, watch=False, read_only=True)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await d.press("ctrl+s")
        await d.until(lambda: d.notice == "read-only: opened with --read-only")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
