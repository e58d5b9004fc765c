"""Rulers, blanks as signs, and lines numbered from the cursor are drawn where they are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.style import Style

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp

from ..conftest import Desk, Script
from .test_view import assert_painted


@asynccontextmanager
async def opened(path: Path, settings: Settings, text: bytes) -> AsyncIterator[Desk]:
    path.write_bytes(text)
    app = DgeditApp([path], connect=Script, watch=False, settings=settings)
    async with app.run_test(size=(40, 8)) as pilot:
        app.editor.cursor_blink = False
        d = Desk(app, pilot, Script())
        await d.settled()
        yield d


def cells(d: Desk, y: int) -> list[Style | None]:
    """The style of each cell of a row, behind the gutter."""
    strip = d.app.editor.render_line(y).crop(d.app.editor.gutter_width)
    return [
        segment.style for segment in strip for char in segment.text for _ in range(cell_len(char))
    ]


def ruled(d: Desk, y: int) -> list[int]:
    """The columns of a row that have a ruler's ground."""
    ground = d.app.editor._ink().ruler.bgcolor
    return [x for x, style in enumerate(cells(d, y)) if style and style.bgcolor == ground]


async def test_rulers_are_drawn_over_text_and_behind_it(tmp_path: Path) -> None:
    text = "\n".join(["x" * 30, "", "\tä" + "字" * 4, "x"]).encode()
    async with opened(tmp_path / "a.txt", Settings(rulers=[8, 20, 90]), text) as d:
        assert [ruled(d, y) for y in range(4)] == [[8, 20], [8, 20], [7, 8, 20], [8, 20]]
        assert d.row(1) == "" and d.row(2) == "    ä字字字字"
        assert len(cells(d, 0)) == d.app.editor.size.width - d.app.editor.gutter_width
        await d.press("down", "a", "shift+down", "alt+z")
        assert_painted(d, "keys")
        assert 8 in ruled(d, 3)


async def test_one_ruler_scrolls_with_the_text(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.txt", Settings(rulers=50), b"x" * 3000 + b"\n\n") as d:
        assert ruled(d, 0) == ruled(d, 1) == []
        d.app.editor.scroll_to(x=30, animate=False, force=True)
        await d.settled()
        assert ruled(d, 0) == ruled(d, 1) == [20]


async def test_project_says_where_lines_end(tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text("root=true\n[*.py]\nmax_line_length=12\n")
    async with opened(tmp_path / "a.py", Settings(rulers=[20]), b"a\n\n") as d:
        assert ruled(d, 1) == [12, 20]
        d.app.editor.rename(tmp_path / "a.txt", d.app.editor.file)
        await d.settled()
        assert ruled(d, 1) == [20]
        assert_painted(d, "name")
    off = Settings(editorconfig_max_line_length=False)
    async with opened(tmp_path / "a.py", off, b"a\n\n") as d:
        assert d.app.editor.rulers == ()


LINES = b"here \n a\tb \t\n\t\n x x\n \xe5\xad\x97 \n" + b"word " * 8 + b" \n"


@pytest.mark.parametrize(
    ("which", "rows"),
    [
        ("none", ["here", " a  b", "", " x x", " 字"]),
        ("trailing", ["here", " a  b·→", "→", " x x", " 字·"]),
        ("all", ["here·", "·a→ b·→", "→", "·x·x", "·字·"]),
    ],
)
async def test_blanks_are_drawn_where_they_are_wanted(
    tmp_path: Path, which: str, rows: list[str]
) -> None:
    settings = Settings(whitespace=which, soft_wrap=True)  # type: ignore[arg-type]
    async with opened(tmp_path / "a.txt", settings, LINES) as d:
        assert [d.row(y) for y in range(5)] == rows
        dots = [d.row(y).count("·") for y in (5, 6)]
        assert dots == {"none": [0, 0], "trailing": [0, 2], "all": [7, 2]}[which]
        await d.press("end", "x", "down", "shift+down", "ctrl+a")
        assert_painted(d, which)
        assert d.app.editor.text == LINES.decode().replace("here ", "here x")


async def test_lines_are_numbered_from_the_cursor(tmp_path: Path) -> None:
    def numbers() -> list[str]:
        width = d.app.editor.gutter_width
        return [d.app.editor.render_line(y).text[:width].strip() for y in range(4)]

    async with opened(tmp_path / "a.txt", Settings(line_numbers="relative"), b"a\nb\nc\nd") as d:
        assert numbers() == ["1", "1", "2", "3"]
        await d.press("down", "down")
        assert numbers() == ["2", "1", "3", "1"]
        assert_painted(d, "down")
