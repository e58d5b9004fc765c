"""The row of keys below the text."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from textual.widgets._footer import FooterKey

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.footer import Hints
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked
from ..infill.test_accepting import result


def hints(d: Desk) -> list[str]:
    """The keys that are shown whole."""
    row = d.app.query_one(Hints)
    keys = [key for key in row.query(FooterKey) if key.is_attached]
    assert all(key.region.right <= row.region.right for key in keys)
    assert all(key.region.width == len(f" {key.key_display} {key.description} ") for key in keys)
    return [f"{key.key_display} {key.description}" for key in keys]


async def shows(d: Desk, *wanted: str) -> None:
    await d.until(lambda: set(wanted) <= set(hints(d)))


READY = ["Enter accept", "Esc reject", "Alt+N next candidate", "Alt+D diff", "F1 help"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 110, 120, 200])
async def test_keys_of_a_result_come_first_and_none_is_cut(desk: OpenDesk, width: int) -> None:
    async with desk({"a.py": CODE}, Script("one"), size=(width, 16)) as d:
        await result(d)
        await shows(d, "Esc reject")
        first = hints(d)[: len(READY)]
        assert first == READY[: len(first)]
        assert len(first) == len(READY) or width < 80
        assert "Esc cancel" not in hints(d)


async def test_escape_cancels_what_runs_and_nothing_can_be_accepted(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one"), size=(100, 16)) as d:
        await shows(d, "F2 mask", "F5 fill")
        assert not any(key.startswith(("Enter", "Esc")) for key in hints(d))
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await shows(d, "Esc cancel")
        assert not {"Esc reject", "Enter accept", "F5 fill", "F2 mask"} & set(hints(d))
        await d.step(2)
        await shows(d, "Esc reject", "Enter accept")
        await d.press("f5")
        await shows(d, "Esc cancel")
        await d.press("escape")
        await shows(d, "Esc reject", "Enter accept")
        await d.press("enter")
        await shows(d, "F2 mask")
        assert not any(key.startswith(("Enter", "Esc")) for key in hints(d))


async def test_keys_follow_the_width(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, size=(40, 16)) as d:
        await shows(d, "F1 help")
        assert "Ctrl+Q quit" not in hints(d)
        await d.pilot.resize_terminal(100, 16)
        await shows(d, "Ctrl+Q quit")


async def test_keys_of_a_panel_that_has_the_keyboard_come_first(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one"), size=(80, 16)) as d:
        await result(d)
        await d.press("f4")
        await shows(d, "Del remove", "Esc close")
        assert not {"Esc reject", "Enter accept"} & set(hints(d))


async def test_action_that_the_user_has_no_key_for_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    settings, script = Settings(keys={"save": "", "accept": ""}), Script("one")
    app = DgeditApp([tmp_path / "a.py"], connect=lambda: script, watch=False, settings=settings)
    async with app.run_test(size=(200, 16)) as pilot:
        d = Desk(app, pilot, script)
        await result(d)
        await shows(d, "Alt+Y accept")
        assert [one for one in hints(d) if "Unbound" in one or one.endswith(" save")] == []


async def test_keys_that_were_shown_before_are_let_go(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, size=(100, 16)) as d:
        await d.press("ctrl+f", "escape")
        before = keys_in_memory()
        for _ in range(8):
            await d.press("ctrl+f", "escape")
        shown = len(d.app.query_one(Hints).children)
        assert shown > 3 and keys_in_memory() < before + 2 * shown


def keys_in_memory() -> int:
    """How many keys of a footer live, of every app that this process has run."""
    gc.collect()
    return sum(type(one) is FooterKey for one in gc.get_objects())


async def test_keys_of_the_search_panel_are_shown_in_it(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one\n"}, size=(100, 24)) as d:
        await d.press("f9")
        await shows(d, "Esc close", "Alt+A replace all", "Tab next field", "F1 help")
        await d.press(*"one", "down")
        await shows(d, "Enter go there", "Esc close")
