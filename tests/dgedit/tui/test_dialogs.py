"""What lies over the editor is answered once, however fast the keys come."""

from __future__ import annotations

import pytest
from textual import events

from .conftest import OpenDesk
from .test_editor import CODE


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
        await d.pilot.pause()
        assert len(d.app.screen_stack) <= 2


async def test_letter_that_answers_twice_answers_once(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        await d.press("x", "ctrl+w")
        over = d.app.screen
        assert over.is_modal
        for _ in range(2):
            d.app.post_message(events.Key("d", "d"))
        await d.until(lambda: len(d.app.editors) == 1)
        await d.pilot.pause()
        assert d.app.editor.text == CODE.decode() if isinstance(CODE, bytes) else CODE
