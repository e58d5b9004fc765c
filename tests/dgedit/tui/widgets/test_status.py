"""The status line: what stands there, for how long, and what goes first where it is too short."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.events import Key, MouseDown

from dgedit.tui.terminal.keys import Burst
from dgedit.tui.workspace import tabs as module
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked
from ..infill.test_accepting import result


def line(d: Desk) -> str:
    return str(d.app.workspace.status.render()).rstrip()


def words(d: Desk, notice: str) -> str:
    d.app.workspace.notice(notice)
    return line(d)


async def test_notice_stands_beside_the_place(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, size=(80, 16)) as d:
        await d.press("down", "right", "f5")
        assert d.notice == "no hole yet: F2 masks what the cursor is on"
        assert line(d).startswith(f"a.py:2:2  {d.notice}")


async def test_next_key_ends_a_notice_and_its_own_key_does_not(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("one")) as d:
        for end in ("x", "ctrl+y", "ctrl+pagedown"):
            await result(d)
            await d.press("escape")
            assert d.notice == "rejected: Ctrl+Z brings it back"
            await d.press(end)
            assert d.notice == ""
            d.app.editor.holes.clear()


async def test_edit_that_cancels_is_told_until_the_next_one(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        d.select(15, 15)
        await d.press("y")
        assert d.notice == "the draft is gone: its hole was edited"
        await d.press("y")
        assert d.notice == ""


async def test_text_typed_at_once_ends_a_notice(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("f5")
        assert d.notice
        d.app.post_message(Burst([Key(one, one) for one in "xyz"]))
        await d.until(lambda: d.app.editor.text.startswith("xyz"))
        assert d.notice == ""


async def test_click_ends_a_notice(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("f5")
        assert d.notice
        where = {"delta_x": 0, "delta_y": 0, "button": 1, "shift": False, "meta": False}
        d.app.post_message(MouseDown(None, 8, 3, **where, ctrl=False))
        await d.until(lambda: d.notice == "")


async def test_notice_goes_by_itself(desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WHILE", 0.05)
    async with desk({"a.py": CODE}) as d:
        await d.press("f5")
        await d.until(lambda: d.notice == "")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
async def test_place_is_shown_at_any_width_whatever_else_is_said(
    desk: OpenDesk, width: int
) -> None:
    async with desk({"a.py": CODE}, Script("one"), size=(width, 16)) as d:
        await result(d)
        for notice in ("", "short", "long " * 40, "界" * 70):
            shown = words(d, notice)
            assert "a.py:2:9" in shown
            assert cell_len(shown) <= width - 2
            assert notice[:2] in shown
        await d.press("alt+c")
        shown = words(d, "")
        assert "a.py:2:9" in shown and cell_len(shown) <= width - 2
        assert ("less" in shown) is (width >= 80)


async def test_what_a_look_means_is_told_as_long_as_drafts_have_it(desk: OpenDesk) -> None:
    legend = "sure 90%  70%  40%  less"
    async with desk({"a.py": CODE}, Script("one"), size=(80, 16)) as d:
        await d.press("alt+c")
        assert "next result" in d.notice and legend not in line(d)
        await result(d)
        for key in ("left", "right", "down"):
            await d.press(key)
            assert legend in line(d) and "a.py:" in line(d) and "ready" in line(d)
        looks = {
            str(span.style)
            for span in d.app.workspace.status.render().spans
            if "underline" in str(span.style)
        }
        assert len(looks) == 2  # of 40% and of less, as in the text
        assert legend in words(d, "told") and "told" in line(d)
        await d.press("alt+c")
        assert legend not in line(d)
        await d.press("alt+c")
        assert legend in line(d)
        await d.press("escape")
        assert d.app.fill is None and legend not in line(d)


async def test_long_name_leaves_the_line_and_its_end(desk: OpenDesk) -> None:
    async with desk({"n" * 90 + "ame.py": CODE}, size=(60, 16)) as d:
        assert "nname.py:1:1" in words(d, "told")
        assert "told" in line(d)


async def test_what_the_engine_says_last_goes_first(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one two"), size=(50, 16)) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        assert "a.py:2:9" in line(d) and "refining" in line(d)
        assert "script" not in line(d)
        await d.press("f5")
        assert line(d).startswith("a.py:2:9  an infill is running: Esc cancels")
        d.app.editor.path = Path("a.py")
        d.app.workspace.tell_place()
        await d.press("escape", "escape", "left")
        assert line(d).endswith("script · test") and "LF · utf-8" in line(d)
