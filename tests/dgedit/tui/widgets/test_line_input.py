"""Lines of input take what is typed as the text does."""

from __future__ import annotations

import pytest
from textual.events import Key, Paste
from textual.widgets import Input

from dgedit.tui.widgets.line_input import LineInput

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked

TYPED = "日\u3000本👩\u200d👧\xa0a"


def line(d: Desk) -> LineInput:
    assert isinstance(d.app.focused, LineInput)
    return d.app.focused


@pytest.mark.parametrize("key", ["f6", "alt+x", "ctrl+o", "ctrl+f"])
async def test_joiners_and_wide_blanks_are_typed_and_pasted(desk: OpenDesk, key: str) -> None:
    async with desk({"a.py": CODE}) as d:
        await masked(d, 13, 17)
        await d.press(key)
        line(d).value = ""
        for char in TYPED:
            d.app.post_message(Key(f"U+{ord(char):x}", char))
        await d.until(lambda: line(d).value == TYPED)
        d.app.post_message(Paste(TYPED))
        await d.until(lambda: line(d).value == TYPED * 2)
        d.app.post_message(Key("alt+j", "j"))  # as terminals send it
        await d.press("b")
        assert line(d).value == TYPED * 2 + "b"
        assert all(type(one) is not Input for one in d.app.screen.query(Input))
