"""The project's folder as a tree: what it shows, and how one gets in and out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dgedit.errors import UsageError
from dgedit.tui.app import DgeditApp
from dgedit.tui.start import run
from dgedit.tui.widgets.tree import FileTree
from scripted import Script

from ..conftest import Desk


@asynccontextmanager
async def project(folder: Path, *names: str, opened: tuple[str, ...] = ()) -> AsyncIterator[Desk]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    paths = [folder / name for name in opened]
    app = DgeditApp(paths, folder=folder, connect=Script, watch=False)
    async with app.run_test(size=(160, 16)) as pilot:
        d = Desk(app, pilot, Script())
        await d.until(lambda: bool(app.query(FileTree)) and len(tree(d).root.children) > 0)
        yield d


def tree(d: Desk) -> FileTree:
    return d.app.query_one(FileTree)


def drawn(d: Desk) -> list[str]:
    lines = [tree(d).render_line(y).text.strip() for y in range(tree(d).size.height)]
    return [line for line in lines if line]


async def test_folder_opens_with_its_tree(tmp_path: Path) -> None:
    names = (
        "b.py",
        "src/a.py",
        ".git/x",
        "src/__pycache__/y",
        "node_modules/z",
        ".venv/v",
        "o.log",
    )
    (tmp_path / ".gitignore").write_text("*.log\n")
    async with project(tmp_path, *names) as d:
        assert d.app.focused is tree(d)
        assert [line.split()[-1] for line in drawn(d)] == [
            tmp_path.name,
            "src",
            ".gitignore",
            "b.py",
        ]
        assert str(tmp_path.parent) not in drawn(d)[0]
        await d.press("down", "enter")
        await d.until(lambda: len(drawn(d)) == 5)
        assert drawn(d)[2].endswith("a.py")


async def test_enter_opens_a_file_in_a_tab(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", "b.py") as d:
        await d.press("down", "enter")
        await d.until(lambda: d.app.editor.text == "a.py")
        assert d.app.focused is d.app.editor
        assert len(d.app.editors) == 1  # the empty text that was there first is gone
        await d.press("ctrl+b", "ctrl+b", "down", "enter")
        await d.until(lambda: d.app.editor.text == "b.py")
        assert [editor.text for editor in d.app.editors] == ["a.py", "b.py"]


async def test_ctrl_b_hides_and_shows_and_escape_goes_back(tmp_path: Path) -> None:
    async with project(tmp_path, "a.py", opened=("a.py",)) as d:
        assert d.app.focused is d.app.editor
        await d.press("ctrl+b")
        assert not tree(d).display and d.app.focused is d.app.editor
        (tmp_path / "new.py").write_text("")
        await d.press("ctrl+b")
        assert tree(d).display and d.app.focused is tree(d)
        await d.until(lambda: any("new.py" in line for line in drawn(d)))
        await d.press("escape")
        assert tree(d).display and d.app.focused is d.app.editor


async def test_ctrl_b_without_a_folder_shows_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        assert not app.query(FileTree)
        await d.press("ctrl+b")
        await d.until(lambda: len(drawn(d)) == 2)


async def test_a_name_that_is_cut_says_so(tmp_path: Path) -> None:
    name = "a_rather_long_name_" * 3
    async with project(tmp_path, f"{name}/in.py", f"{name}.py", "wide" + "界" * 30, "b.py") as d:
        await d.pilot.resize_terminal(80, 16)
        await d.until(lambda: tree(d).size.width < 26 and len(drawn(d)) == 5)
        width = tree(d).size.width
        lines = [tree(d).render_line(y) for y in range(5)]
        assert all(strip.cell_length == width for strip in lines)
        ends = {strip.text.split("_")[0].strip(): strip.text[-1:] for strip in lines[1:]}
        assert ends.pop("b.py") == " "
        assert set(ends.values()) == {"…"} and len(ends) == 3
        tree(d).scroll_to(x=200, animate=False, force=True)
        await d.until(lambda: tree(d).scroll_offset.x > 0)
        longest = max((strip.text for strip in map(tree(d).render_line, range(5))), key=len)
        assert not longest.endswith("…")


async def test_names_are_made_visible_and_no_file_is_a_crash(tmp_path: Path) -> None:
    nasty = "a\x1b[31m\nb.py"
    async with project(tmp_path, nasty, "bin") as d:
        (tmp_path / "bin").write_bytes(b"\0\1")
        (tmp_path / "loop").symlink_to("loop")
        assert any("a␛[31m␊b.py" in line for line in drawn(d))
        await d.press("down", "enter")
        await d.until(lambda: d.app.editor.text == nasty)
        await d.press("ctrl+b", "ctrl+b", "down", "enter")
        await d.until(lambda: "is not text" in d.notice)
        assert d.app.focused is tree(d) and len(d.app.editors) == 1
        await d.until(lambda: any("loop" in line for line in drawn(d)))
        await d.press("down", "enter")
        await d.until(lambda: "cannot read" in d.notice)


def test_run_tells_folders_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DgeditApp] = []
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(DgeditApp, "run", lambda app: seen.append(app))
    options = {"model": None, "device": None, "effort": 0.5, "seed": 0}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    run([tmp_path / "one", tmp_path / "f.py"], **options)  # type: ignore[arg-type]
    assert seen[0].workspace.folder == tmp_path / "one" and seen[0].show_tree
    assert [editor.path for editor in seen[0].editors] == [tmp_path / "f.py"]
    run([tmp_path / "f.py"], **options)  # type: ignore[arg-type]
    assert seen[1].workspace.folder == tmp_path and not seen[1].show_tree
    with pytest.raises(UsageError, match="one folder at a time"):
        run([tmp_path / "one", tmp_path / "two"], **options)  # type: ignore[arg-type]
