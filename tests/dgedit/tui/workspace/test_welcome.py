"""The start page of a project: what it offers, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.widgets import OptionList, Static

from dgedit.files.recent import Recent
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.start_page import StartPage
from dgedit.tui.widgets.status import NO_MODEL
from scripted import Script

from ..conftest import Desk


@asynccontextmanager
async def started(folder: Path, *recent: Path, paths: tuple[Path, ...] = ()) -> AsyncIterator[Desk]:
    known = Recent(None)
    known.add(reversed(recent))
    script = Script()
    app = DgeditApp(paths, folder=folder, connect=lambda: script, watch=False, recent=known)
    async with app.run_test(size=(100, 24)) as pilot:
        yield Desk(app, pilot, script)


def listed(d: Desk) -> list[str]:
    page = d.app.query_one(StartPage)
    return [str(option.prompt) for option in page.query_one(OptionList).options]


async def shown(d: Desk) -> StartPage:
    await d.until(lambda: isinstance(d.app.focused, OptionList))
    return d.app.query_one(StartPage)


def project(top: Path, *names: str) -> Path:
    (top / ".git").mkdir(parents=True)
    for name in names:
        (top / name).write_text(f"# {name}\n")
    return top


async def test_page_lists_recent_files_and_projects_and_says_the_keys(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one", "a.py", "b.py"), project(tmp_path / "two", "c.py")
    gone = tmp_path / "one" / "gone.py"
    async with started(one, one / "b.py", two / "c.py", gone) as d:
        page = await shown(d)
        assert listed(d) == [
            "Recent files",
            "  b.py",
            "Recent files elsewhere",
            f"  {two / 'c.py'}",
            "Recent projects",
            f"  {two}",
        ]
        said = " ".join(str(one.render()) for one in page.query(Static))
        assert "F2 mask what is to be filled" in said and "F5 fill all holes" in said
        assert "F1 help" in said
        await d.until(lambda: "model: script" in str(page.query_one(".engine", Static).render()))
        page.tell(NO_MODEL)
        assert "none could be opened; dgedit doctor" in str(page.query_one(".engine").render())
        assert not d.app.editor.display
        await d.press("enter")
        await d.until(lambda: d.app.editor.path.name == "b.py")
        assert not d.app.query(StartPage) and d.app.editor.display
        assert [editor.path.name for editor in d.app.editors] == ["b.py"]


async def test_what_is_typed_is_typed_in_an_empty_text(tmp_path: Path) -> None:
    one = project(tmp_path / "one", "a.py")
    async with started(one, one / "a.py") as d:
        await shown(d)
        await d.press("x", "y")
        await d.until(lambda: d.app.editor.text == "xy")
        assert not d.app.query(StartPage) and d.app.focused is d.app.editor


async def test_another_project_is_gone_to(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one", "a.py"), project(tmp_path / "two", "c.py")
    async with started(one, two / "c.py") as d:
        await shown(d)
        await d.press("end", "enter")
        await d.until(
            lambda: d.app.workspace.folder == two and listed(d)[:2] == ["Recent files", "  c.py"]
        )
        await d.until(lambda: d.app.query_one("#tree").path == two)  # type: ignore[attr-defined]


async def test_no_page_where_a_file_is_open(tmp_path: Path) -> None:
    one = project(tmp_path / "one", "a.py")
    async with started(one, one / "a.py", paths=(one / "a.py",)) as d:
        await d.until(lambda: bool(d.app.query("#tree")))
        assert not d.app.query(StartPage) and d.app.editor.path.name == "a.py"
