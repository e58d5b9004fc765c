"""Nothing that a file, its name, a model or an error says reaches the screen raw."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from textual.widgets import Input

from scripted import Script

from .conftest import Desk, OpenDesk

# Colours, a title, a link, a C1 sequence, bidi overrides and isolates, zero width, a tag, markup.
EVIL = "\x1b[31m\x1b]0;t\x07\x1b]8;;u\x1b\\\x9b2J\u202e\u2066\u200b\ufeff\U000e0041[bold red]x[/]"
EVIL += "\x08\x7f"
NAME = EVIL.replace("/", "|")
CODE = f"def f(x):  # {EVIL}\n    return x\n\nclass A{EVIL}:\n    y = '{EVIL}'\n"


def raw(desk: Desk) -> set[str]:
    """What is on the screen that a terminal would obey or hide."""
    screen = desk.app.screen
    rows = (strip.text for strip in screen._compositor.render_strips())
    text = "".join(rows)
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {char for char in text if unicodedata.category(char) in unseen}


def shown(desk: Desk) -> str:
    return "\n".join(strip.text for strip in desk.app.screen._compositor.render_strips())


async def looked(desk: Desk, *keys: str) -> str:
    for key in keys:
        await desk.press(key)
        assert raw(desk) == set(), key
    return shown(desk)


@pytest.fixture
def evil(desk: OpenDesk) -> OpenDesk:
    files = {f"{NAME}.py": CODE.encode("utf-8", "surrogatepass"), "b.py": b"x = 1\n"}
    return lambda script=None: desk(files, script or Script(EVIL), (100, 30))


async def test_text_and_names_are_shown_as_signs(evil: OpenDesk) -> None:
    async with evil() as d:
        page = await looked(d, "down")
        assert "␛[31m" in page and "[bold red]x[/]" in page and "‹U+202E›" in page


async def test_lines_of_input_show_signs(evil: OpenDesk) -> None:
    async with evil() as d:
        start = d.app.editor.text.index(EVIL)
        d.select(start, start + len(EVIL))
        page = await looked(d, "ctrl+f")
        assert d.app.finder.find_bar.what.value == EVIL
        assert "␛[31m" in page
        await looked(d, "left", "a", "ctrl+r", "escape")
        for key in ("ctrl+o", "ctrl+p", "ctrl+g", "f6"):
            await looked(d, key)
            assert d.app.screen.query(Input), key
            for line in d.app.screen.query(Input):
                line.value = EVIL
            await d.settled()
            assert raw(d) == set(), key
            await looked(d, "escape")


async def test_lists_and_panels_show_signs(evil: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / EVIL.replace("/", "|")).mkdir()
    (tmp_path / EVIL.replace("/", "|") / NAME).write_text(EVIL)
    async with evil() as d:
        assert "␛[31m" in await looked(d, "ctrl+b")
        await looked(d, "down", "enter", "escape")
        for keys in (("ctrl+p", "x"), ("ctrl+t",), ("ctrl+o", "tab")):
            assert "␛[31m" in await looked(d, *keys)
            await d.press("escape")


async def test_infill_and_what_is_told_of_it_show_signs(evil: OpenDesk) -> None:
    script = Script(EVIL, EVIL)
    script.name = script.device = f"m{EVIL}"  # type: ignore[misc]
    async with evil(script) as d:
        start = d.app.editor.text.index("return")
        d.select(start, start + 8)
        await looked(d, "f2", "f4", "f7", "escape", "f5")
        for _ in range(3):
            await d.step()
            assert raw(d) == set()
        await looked(d, "alt+v", "[", "enter", "ctrl+q", "escape", "ctrl+s")


async def test_errors_of_an_engine_show_signs(evil: OpenDesk) -> None:
    script = Script(EVIL)
    script.error = RuntimeError(EVIL)
    async with evil(script) as d:
        await looked(d, "f2", "f5")
        script.go()
        await d.until(lambda: bool(d.notice))
        assert raw(d) == set() and "␛[31m" in shown(d)


async def test_questions_and_differences_show_signs(evil: OpenDesk, tmp_path: Path) -> None:
    async with evil() as d:
        await looked(d, "x")
        (tmp_path / f"{NAME}.py").write_text(f"{EVIL}\nother\n", encoding="utf-8")
        d.app.disk.check()
        await d.until(lambda: bool(d.app.questions.asked))
        await looked(d, "f10", "d", "n", "escape", "f10", "k", "ctrl+s")
        await looked(d, "ctrl+q", "escape", "ctrl+w", "escape", "f12", "enter")
