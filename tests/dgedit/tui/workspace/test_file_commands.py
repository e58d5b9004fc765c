"""Files are created, renamed, copied and deleted from the tree; open ones go along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.widgets import Input

from dgedit.files.journal import Journal
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.dialogs import Ask
from dgedit.tui.widgets.path_prompt import AskPath
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace import file_commands as module
from scripted import Script

from ..conftest import Desk
from ..widgets.test_tree import drawn, project, tree


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder, with its trash, that is not in the project."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


async def point(d: Desk, path: Path) -> None:
    """Put the tree's cursor on a path."""
    tree(d).focus()
    assert await tree(d).reveal(path)
    await d.until(lambda: d.app.focused is tree(d) and tree(d).pointed == path)


async def answer(d: Desk, text: str) -> None:
    """Type a path into the line that asks for it."""
    await d.until(lambda: isinstance(d.app.screen, AskPath))
    d.app.screen.query_one(Input).value = text
    await d.press("enter")
    await d.until(lambda: not isinstance(d.app.screen, AskPath))


def asked(d: Desk) -> str:
    screen = d.app.screen
    return screen.question if isinstance(screen, AskPath | Ask) else ""


async def test_n_creates_a_file_beside_the_cursor_and_opens_it(tmp_path: Path) -> None:
    async with project(tmp_path, "src/a.py", opened=("src/a.py",)) as d:
        await point(d, tmp_path / "src" / "a.py")
        await d.press("n")
        await d.until(lambda: asked(d) == "New file")
        assert d.app.screen.query_one(Input).value.endswith("src/")
        await answer(d, str(tmp_path / "src" / "deep" / "b.py"))
        await d.until(lambda: d.app.editor.path == tmp_path / "src/deep/b.py")
        assert (tmp_path / "src/deep/b.py").read_bytes() == b""
        await d.until(lambda: any(line.endswith("b.py") for line in drawn(d)))


async def test_shift_n_creates_a_folder(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        await point(d, tmp_path / "a.py")
        await d.press("N")
        await answer(d, str(tmp_path / "new"))
        await d.until(lambda: tree(d).pointed == tmp_path / "new")
        assert (tmp_path / "new").is_dir() and len(d.app.editors) == 1


async def test_r_renames_an_open_file_with_its_text_undo_and_tab(tmp_path: Path) -> None:
    async with project(tmp_path, "a.txt", "b.py", opened=("a.txt", "b.py")) as d:
        editor = d.app.editor
        await d.press("x", "y")
        await point(d, tmp_path / "a.txt")
        await d.press("r")
        await d.until(lambda: asked(d) == "Rename or move a.txt to")
        await answer(d, str(tmp_path / "b.py"))
        assert d.notice.endswith("b.py is open in another tab")
        await d.press("r")
        await answer(d, str(tmp_path / "sub" / "new.py"))
        await d.until(lambda: editor.path == tmp_path / "sub/new.py")
        assert editor.text == "xya.txt" and editor.dirty and not editor.deleted
        assert (tmp_path / "sub/new.py").read_text() == "a.txt"
        assert not (tmp_path / "a.txt").exists() and (tmp_path / "b.py").read_text() == "b.py"
        assert editor.syntax is not None  # the name decides
        assert d.app.workspace.label(editor) == "● new.py"
        await d.press("escape", "ctrl+s")
        await d.until(lambda: (tmp_path / "sub/new.py").read_text() == "xya.txt")
        await d.press("ctrl+z")
        assert editor.text == "a.txt"


async def test_open_files_go_along_with_their_folder(tmp_path: Path) -> None:
    async with project(tmp_path, "old/a.py", "older/b.py", opened=("old/a.py", "older/b.py")) as d:
        await d.press("x")
        await point(d, tmp_path / "old")
        await d.press("r")
        await answer(d, str(tmp_path / "new"))
        await d.until(lambda: d.app.editors[0].path == tmp_path / "new/a.py")
        assert d.app.editors[1].path == tmp_path / "older/b.py"
        await point(d, tmp_path / "new")
        await d.press("r")
        await answer(d, str(tmp_path / "older"))  # a folder that is there: into it
        await d.until(lambda: d.app.editors[0].path == tmp_path / "older/new/a.py")
        assert d.app.editors[0].text == "xold/a.py" and not d.app.editors[0].deleted


async def test_journal_follows_a_renamed_file(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    path, new = tmp_path / "p" / "a.py", tmp_path / "p" / "b.py"
    path.write_text("a")
    journal = Journal(tmp_path / "journal")

    def kept(path: Path) -> list[str]:
        said = [one.read_text() for one in (tmp_path / "journal").rglob("*") if one.is_file()]
        return [one for one in said if str(path) in one and "xa" in one]

    app = DgeditApp([path], folder=path.parent, connect=Script, watch=False, journal=journal)
    async with app.run_test(size=(100, 16)) as pilot:
        d = Desk(app, pilot, Script())
        await d.until(lambda: bool(app.query(FileTree)) and len(tree(d).root.children) > 0)
        app.editor.focus()
        await d.press("x")
        await d.until(lambda: bool(kept(path)))
        await point(d, path)
        await d.press("r")
        await answer(d, str(new))
        await d.until(lambda: app.editor.path == new)
        await d.until(lambda: bool(kept(new)) and not kept(path))


async def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", "b.py", opened=("a.py",)) as d:
        for key in ("n", "N", "r", "d"):
            await point(d, tmp_path / "a.py")
            await d.press(key)
            await answer(d, str(tmp_path / "b.py"))
            await d.until(lambda: d.notice.endswith("b.py is there already"))
            assert (tmp_path / "b.py").read_text() == "b.py"
        assert d.app.editor.path == tmp_path / "a.py"
        await d.press("n")
        await answer(d, str(tmp_path / "x\x1b.py"))
        await d.until(lambda: "cannot be seen" in d.notice)


async def test_d_copies_a_file_under_a_free_name(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        await point(d, tmp_path / "a.py")
        await d.press("d")
        await d.until(lambda: asked(d) == "Copy a.py to")
        await d.press("enter")
        await d.until(lambda: tree(d).pointed == tmp_path / "a-copy.py")
        assert (tmp_path / "a-copy.py").read_text() == "a.py"
        assert d.app.editor.path == tmp_path / "a.py"


async def test_delete_moves_to_the_trash_and_leaves_the_text_open(
    tmp_path: Path, home: Path
) -> None:
    async with project(tmp_path, "d/a.py", "b.py", opened=("d/a.py",)) as d:
        await d.press("x")
        await point(d, tmp_path / "d")
        await d.press("delete")
        await d.until(lambda: asked(d).startswith("Move the folder"))
        assert asked(d).endswith("to the trash?\nUnsaved text in it stays open")
        await d.press("escape")
        assert (tmp_path / "d/a.py").exists()
        await d.press("delete", "d")
        await d.until(lambda: d.app.editor.deleted)
        assert not (tmp_path / "d").exists() and d.app.editor.text == "xd/a.py"
        assert (home / "Trash/files/d/a.py").read_text() == "d/a.py"
        await d.until(lambda: d.notice.endswith("d is in the trash"))
        await d.until(lambda: not any(line.split()[-1] == "d" for line in drawn(d)))


async def test_without_a_trash_it_is_asked_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "trash_for", lambda path: None)
    async with project(tmp_path, "a.py", "b.py", opened=("b.py",)) as d:
        await point(d, tmp_path / "a.py")
        await d.press("delete")
        await d.until(lambda: "for good?" in asked(d))
        await d.press("enter")
        assert (tmp_path / "a.py").exists()
        await d.press("d")
        await d.until(lambda: not (tmp_path / "a.py").exists())
        await d.until(lambda: d.notice.endswith("a.py is deleted"))


async def test_keys_are_the_trees_alone(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        await d.press("n", "N", "r", "d")
        assert d.app.editor.text == "nNrda.py" and not asked(d)
        await d.press("delete")
        assert d.app.editor.text == "nNrd.py"


async def test_projects_own_folder_stays(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        tree(d).focus()
        for key in ("r", "d", "delete"):
            await d.press("home", key)
            await d.until(lambda: d.notice == "the project's own folder stays as it is")
        assert os.listdir(tmp_path) == ["a.py"]


async def test_current_file_is_shown_in_the_tree(tmp_path: Path) -> None:
    async with project(tmp_path, "a/b/c.py", "z.py", opened=("a/b/c.py",)) as d:
        await d.press("ctrl+b", "alt+x", *"current file in the tree", "enter")
        await d.until(lambda: tree(d).pointed == tmp_path / "a/b/c.py")
        assert d.app.focused is tree(d)


async def test_commands_are_for_the_current_file_from_the_text(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        await d.press("alt+x", *"rename or move", "enter")
        await answer(d, str(tmp_path / "b.py"))
        await d.until(lambda: d.app.editor.path == tmp_path / "b.py")
        await d.press("ctrl+n", "alt+x", *"delete the file", "enter")
        await d.until(lambda: d.notice == "this text has no file yet: save it first")


async def test_tree_follows_the_disk(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.py").write_text("")
    app = DgeditApp([tmp_path / "a.py"], folder=tmp_path, connect=Script)
    async with app.run_test(size=(100, 16)) as pilot:
        d = Desk(app, pilot, Script())
        await d.until(lambda: bool(app.query(FileTree)) and len(tree(d).root.children) == 2)
        await point(d, tmp_path / "sub")
        await d.until(lambda: bool(app.files._watched))
        tries = 0

        def seen() -> bool:
            nonlocal tries
            tries += 1  # the first may come before the folder is watched
            if tries % 50 == 1:
                (tmp_path / f"new{tries}.py").write_text("")
            return any("new" in line for line in drawn(d))

        await d.until(seen)
        assert tree(d).pointed == tmp_path / "sub"
