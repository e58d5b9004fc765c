"""Templates in the editor: a selection's blanks are masked, filled, and accepted alone."""

from __future__ import annotations

import pytest

from dgedit_engine.types import Hole
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import spans

PUZZLE = b"1.3\r\n.2\xff.\nend\n"


async def template(d: Desk) -> None:
    d.app.templates.mask()
    await d.settled()


async def test_blanks_of_the_kind_are_filled_alone_and_undone(desk: OpenDesk) -> None:
    async with desk({"p.sudoku": PUZZLE}, Script("93\n72\ufffd1")) as d:
        editor = d.app.editor
        d.select(0, len(editor.text))
        await template(d)
        assert "masked a template of 3 blanks" in d.notice
        first = editor.text.index(".")
        assert spans(editor) == [(first, editor.text.rindex(".") + 1)]
        await d.press("f5")
        await d.step(3)
        assert d.script.requests[0].holes == (Hole(".3\n.2\ufffd.", (0, 3, 6), "123456789"),)
        await d.press("enter")
        assert editor.current.encode() == b"193\r\n72\xff1\nend\n"
        await d.press("ctrl+z")
        assert editor.current.encode() == PUZZLE


async def test_broken_units_are_marked_while_it_converges_and_after(desk: OpenDesk) -> None:
    text = "12|34\n34|12\n-----\n21|4.\n43|..\n"
    filled = text.replace("4.", "43").replace("..", "11")
    async with desk({"p.sudoku": text.encode()}, Script(filled[text.index(".") :][:8])) as d:
        editor = d.app.editor
        d.select(0, len(text))
        await template(d)
        await d.press("f5")
        await d.step(3)
        (hole,) = editor.holes
        assert [line for line in hole.syntax if line] == [((3, 4, "error"), (4, 5, "error"))]
        assert len(editor.problems) == 0
        await d.press("enter")
        await d.until(lambda: len(editor.problems) == 3)
        words = {one.words for _, _, one in editor.problems.all(editor.buffer)}
        assert words == {"1 stands twice in row 4", "1 stands twice in column 3"}
        await d.press("ctrl+z")
        await d.until(lambda: len(editor.problems) == 0)


async def test_f2_tells_of_the_blanks_and_the_hole_becomes_a_template(desk: OpenDesk) -> None:
    async with desk({"p.sudoku": b"1.3\n"}, Script("x")) as d:
        d.select(0, 3)
        await d.press("f2")
        assert "1 blanks: the command template keeps the rest" in d.notice
        await template(d)
        assert spans(d.app.editor) == [(1, 2)]


async def test_blank_is_asked_for_where_it_is_not_obvious(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a ? _ ?\n"}, Script("x")) as d:
        d.select(0, 7)
        d.app.templates.mask()
        await d.until(lambda: len(d.app.screen_stack) > 1)
        await d.press("enter")
        await d.until(lambda: bool(d.app.editor.holes))
        assert spans(d.app.editor) == [(2, 7)]
        assert d.app.editor.holes[0].blanks is not None
        assert d.app.editor.holes[0].blanks.character == "?"


@pytest.mark.parametrize(("text", "words"), [(b"   \n", "select the text with the blanks")])
async def test_nothing_to_mask_is_said(desk: OpenDesk, text: bytes, words: str) -> None:
    async with desk({"a.txt": text}, Script("x")) as d:
        await template(d)
        assert words in d.notice and not d.app.editor.holes


async def test_part_of_a_template_is_not_refined_alone(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a ? c ?\n"}, Script("x c y")) as d:
        d.select(0, 7)
        await template(d)
        await d.press("f5")
        await d.step(3)
        fill = d.app.fill
        assert fill is not None
        with pytest.raises(ValueError, match="filled together"):
            fill.refine(fill.holes[0][1], keep=False)
        again = fill.again(strength=0.5)
        assert again.request.holes == (Hole("? c ?", (0, 4)),)
