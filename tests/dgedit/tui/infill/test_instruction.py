"""The instruction box: words, their history, and the strength."""

from __future__ import annotations

from dgedit.tui.infill.instruction import Box, Slider

from ..conftest import Desk, OpenDesk, Script
from ..editor.test_editor import CODE, masked


async def write(d: Desk, words: str) -> None:
    await d.press(*("space" if char == " " else char for char in words))


async def test_instruction_fills_the_holes(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f6")
        assert isinstance(d.app.screen, Box)
        await write(d, "return  one")
        await d.press("enter")
        await d.step(3)
        request = script.requests[-1]
        assert (request.instruction, request.strength) == ("return one", 1.0)
        assert d.row(1) == "    one"
        assert d.app.editor.text.encode() == CODE


async def test_strength_below_one_starts_from_the_draft_that_is_shown(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        await d.press("alt+i")
        await d.press("tab", "left", "left", "pagedown", "right")
        slider = d.app.screen.query_one(Slider)
        assert str(slider.render()) == "━" * 14 + "●" + "─" * 6 + "  0.70"
        await d.press("enter")
        script.texts = ("two",)
        await d.step(3)
        request = script.requests[-1]
        assert (request.strength, request.seed, request.holes[0].text) == (0.7, 1, "one")
        await d.press("f5")
        await d.step(3)
        request = script.requests[-1]
        assert (request.strength, request.seed, request.holes[0].text) == (0.7, 2, "two")
        await d.press("enter")
        assert "    two\n" in d.app.editor.text


async def test_strength_below_one_starts_from_the_text_of_the_hole(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f6", "tab", "home", "end", "minus", "tab")
        await write(d, "x")
        await d.press("enter")
        await d.step(3)
        request = script.requests[-1]
        assert (request.strength, request.holes[0].text) == (0.95, "pass")


async def test_history_by_up_and_down(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        for words in ("first", "second", "first"):
            await d.press("f6", "ctrl+u")
            await write(d, words)
            await d.press("enter")
            await d.step(3)
        await d.press("escape", "f6")
        await write(d, "new")
        field = d.app.screen.query_one("Input")
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await d.press(key)
            seen.append(field.value)  # type: ignore[attr-defined]
        assert seen == ["first", "second", "second", "first", "new"]


async def test_escape_changes_nothing(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        fill = d.app.fill
        await d.press("f6", "x", "escape")
        assert d.app.fill is fill and len(script.requests) == 1


async def test_box_says_what_is_missing(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await d.press("f6")
        assert not isinstance(d.app.screen, Box) and "F2" in d.notice
        await masked(d, 13, 17)
        await d.press("f5", "f6")
        assert not isinstance(d.app.screen, Box) and "running" in d.notice


async def test_keys_of_the_box_stand_in_one_row(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one"), size=(80, 24)) as d:
        await masked(d, 13, 17)
        await d.press("f6")
        keys = d.app.screen.query_one(".keys")
        assert keys.size.height == 1 and keys.size.width >= len(str(keys.render()))
