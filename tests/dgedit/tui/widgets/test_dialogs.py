"""What lies over the editor is answered once, however fast the keys come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual._compositor import LayoutUpdate
from textual.containers import Vertical
from textual.strip import Strip
from textual.theme import BUILTIN_THEMES

from dgedit.tui.help import Help
from dgedit.tui.infill.instruction import Box, Instruction
from dgedit.tui.infill.panels import GivenView
from dgedit.tui.widgets.dialogs import Ask, Modal, Waiting
from dgedit.tui.widgets.diffview import DiffView
from dgedit.tui.widgets.line_prompt import AskLine
from dgedit.tui.widgets.path_prompt import AskPath
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.widgets.text_dialog import TextDialog

from ..conftest import OpenDesk
from ..editor.test_editor import CODE


@pytest.mark.parametrize(
    ("opening", "answer"),
    [("ctrl+p", "enter"), ("ctrl+t", "enter"), ("f1", "escape"), ("f12", "enter")],
)
@pytest.mark.parametrize("times", [2, 3])
async def test_second_answer_is_none(desk: OpenDesk, opening: str, answer: str, times: int) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        await d.press(opening)
        assert d.app.screen.is_modal
        over = d.app.screen
        for _ in range(times):
            d.app.post_message(events.Key(answer, "\r" if answer == "enter" else None))
        await d.until(lambda: d.app.screen is not over)
        assert len(d.app.screen_stack) <= 2


async def test_letter_that_answers_twice_answers_once(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        await d.press("x", "ctrl+w")
        over = d.app.screen
        assert over.is_modal
        for _ in range(2):
            d.app.post_message(events.Key("d", "d"))
        await d.until(lambda: len(d.app.editors) == 1)
        assert d.app.editor.text == CODE.decode() if isinstance(CODE, bytes) else CODE


OVER: dict[str, Callable[[], Modal[Any]]] = {
    "ask": lambda: Ask("Not saved: a.py", {"s": "save"}),
    "path": lambda: AskPath("Open", "", Path.cwd()),
    "choose": lambda: Choose("letters", [Choice("one")]),
    "help": lambda: Help([("Files", [("Ctrl+S", "save", "save")])]),
    "instruct": lambda: Box(Instruction("", 1.0), [], "one hole"),
    "difference": lambda: DiffView("a.py", ["+one", "-two"]),
    "line": lambda: AskLine("Filter by", ["sort"]),
    "waiting": lambda: Waiting("running sort", "stop"),
    "given": lambda: GivenView([], "given", []),
    "text": lambda: TextDialog("At the cursor", "bad is bad"),
}


def test_every_dialog_is_tried() -> None:
    assert {type(make()) for make in OVER.values()} == {*Modal.__subclasses__()}


@pytest.mark.parametrize("kind", OVER)
async def test_dialog_hides_the_text_below_it_and_no_more(desk: OpenDesk, kind: str) -> None:
    async with desk({"a.py": b""}, size=(90, 24)) as d:
        d.app.editor.text = ("#" * 90 + "\n") * 30
        # Of the others, one stands for all.
        for theme in [*BUILTIN_THEMES] if kind == "ask" else ["ansi-dark", "ansi-light", "nord"]:
            d.app.theme = theme
            over = OVER[kind]()
            d.app.push_screen(over)
            await d.settled()
            box = over.query(Vertical).first()
            region = box.region
            assert box.styles.background.a == 1, theme
            behind = d.app._background_screens
            drawn = over._compositor.render_update(full=True, screen_stack=behind)
            assert isinstance(drawn, LayoutUpdate)
            shown = [Strip.join(row) for row in drawn.strips][region.y : region.bottom]
            inside = "".join(strip.crop(region.x, region.right).text for strip in shown)
            around = "".join(strip.crop(region.right).text for strip in shown)
            assert "#" not in inside and ("#" in around or region.width > 80), theme
            over.dismiss(None)
            await d.settled()
