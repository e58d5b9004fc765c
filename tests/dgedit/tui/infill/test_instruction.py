"""The instruction box: words, their history, and the strength."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from textual.widgets import Static

from dgedit.tui.app import DgeditApp
from dgedit.tui.infill.instruction import Box, Slider
from dgedit_engine.types import Ability
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked
from .test_accepting import result


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


# What the model cannot do


class Deaf(Script):
    """Follows no instructions."""

    knows = Ability()


LINE = "script follows no instructions: it reads the words as a comment"


def told(d: Desk) -> str:
    return str(d.app.screen.query_one(".cannot", Static).render())


async def test_box_says_that_the_model_follows_no_instructions(desk: OpenDesk) -> None:
    script = Deaf("one")
    async with desk({"a.py": CODE}, script, size=(80, 24)) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await masked(d, 13, 17)
        await d.press("f6")
        assert told(d) == LINE and d.app.screen.query_one(".cannot").size.height == 1
        await write(d, "x")
        await d.press("enter")
        await d.step(3)
        assert (script.requests[-1].instruction, d.row(1)) == ("x", "    one")


async def test_box_says_nothing_of_a_model_that_follows(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await masked(d, 13, 17)
        await d.press("f6")
        assert told(d) == "" and not d.app.screen.query_one(".cannot").display


async def test_text_is_not_rewritten_by_words_that_are_not_followed(desk: OpenDesk) -> None:
    script = Deaf("one")
    async with desk({"a.py": CODE}, script) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await masked(d, 13, 17)
        await d.press("f6", "tab", "left", "tab")
        await write(d, "x")
        await d.press("enter")
        assert (d.notice, script.requests) == (f"not rewritten: {LINE}", [])
        await d.press("f6", "enter")  # without words: only from what is there
        await d.step(3)
        assert (script.requests[-1].instruction, script.requests[-1].strength) == ("", 0.95)
        await d.press("f6")
        await write(d, "x")
        await d.press("enter")
        assert d.notice == f"not rewritten: {LINE}" and d.row(1) == "    one"


async def test_insertion_point_has_no_text_to_rewrite(desk: OpenDesk) -> None:
    script = Deaf("one")
    async with desk({"a.py": CODE}, script) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await masked(d, 8, 8)
        await d.press("f6", "tab", "left", "tab")
        await write(d, "x")
        await d.press("enter")
        await d.step(3)
        assert script.requests[-1].instruction == "x"


async def test_marker_says_what_is_wanted_in_its_hole(desk: OpenDesk) -> None:
    script = Script("1", "2")
    text = b"a = <FILL: one>\nb = <FILL>\n"
    async with desk({"a.py": text}, script) as d:
        for at in (5, text.index(b"<", 9)):
            d.select(at, at)
            await d.press("f2")
        await d.press("f5")
        await d.step(3)
        assert script.requests[-1].instruction == "hole 1: one"
        assert [hole.text for hole in script.requests[-1].holes] == ["", ""]
        await d.press("f6")  # with one for all beside it, once more
        assert isinstance(d.app.screen, Box) and d.app.screen.present.instruction == ""
        await write(d, "short")
        await d.press("enter")
        await d.step(3)
        await d.press("f5")
        await d.step(3)
        said = [one.instruction for one in script.requests]
        assert said == ["hole 1: one", *["short\nhole 1: one"] * 2]


async def test_markers_words_are_said_not_to_be_followed(desk: OpenDesk) -> None:
    script = Deaf("1")
    async with desk({"a.py": b"a = <FILL: one>\n"}, script) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        d.select(4, 4)
        await d.press("f2", "f5")
        assert d.notice == LINE
        await d.step(3)
        assert script.requests[-1].instruction == "one"
        assert d.notice == LINE, "still said beside the infill"


async def test_box_that_was_faster_than_the_model_says_it_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    loaded = Event()

    def connect() -> Deaf:
        loaded.wait(10)
        return Deaf("one")

    app = DgeditApp([tmp_path / "a.py"], connect=connect, watch=False)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await masked(d, 13, 17)
        await d.press("f6")
        assert told(d) == ""
        loaded.set()
        await d.until(lambda: told(d) == LINE)


class Pythonic(Script):
    """Knows one language."""

    knows = Ability(frozenset({".py"}), instructions=True)


async def test_f5_in_an_unknown_language_says_so_and_fills_when_pressed_again(
    desk: OpenDesk,
) -> None:
    script = Pythonic("one", "two", "three")
    async with desk({"a.py": CODE, "b.XYZ": CODE}, script, size=(100, 16)) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await result(d)
        await d.press("escape", "ctrl+pagedown")
        await masked(d, 13, 17)
        await d.press("f5")
        assert d.notice == "script does not know .xyz files: F5 again fills all the same"
        assert d.app.fill is None and len(script.requests) == 1
        await d.press("f5")
        await d.step(3)
        await d.press("f5")
        await d.step(3)
        assert len(script.requests) == 3
        await d.press("escape", "f6")
        assert told(d) == "script does not know .xyz files"
        await d.press("enter")
        await d.step(3)
        assert len(script.requests) == 4


async def test_f5_before_the_model_is_there_is_told_of_the_language_then(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(CODE)
    script, loaded = Pythonic("one"), Event()

    def connect() -> Script:
        loaded.wait(10)
        return script

    app = DgeditApp([tmp_path / "a.xyz"], connect=connect, watch=False)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, script)
        await masked(d, 13, 17)
        await d.press("f5")
        loaded.set()
        await d.until(lambda: d.notice == "script does not know .xyz files")
        await d.step(3)
        assert d.row(1) == "    one"
