"""The way of an infill through the code: from F5 to the first draft on the screen."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from types import FrameType

import dgedit.tui
from scripted import Script

from ..conftest import OpenDesk

TUI = Path(dgedit.tui.__file__).parent
MOVES = 250
"""Calls on that way, at most, by which one goes from one file of the editor to another."""


async def test_an_infill_takes_a_short_way(desk: OpenDesk) -> None:
    async with desk({"a.py": b"def f():\n    pass\n"}, Script("return 1")) as d:
        d.select(13, 17)
        await d.press("f2")
        called: list[str] = []

        def follow(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(str(TUI)):
                called.append(frame.f_code.co_filename)

        sys.setprofile(follow)
        try:
            await d.press("f5")
            await d.step()
        finally:
            sys.setprofile(None)
        assert d.row(1) == "    ????????"
        way = [str(Path(file).relative_to(TUI)) for file, _ in groupby(called)]
        painted = max(i for i, file in enumerate(way) if file == "editor/paint.py")
        assert {"app.py", "infill/controller.py", "editor/rows.py"} < set(way[:painted])
        assert painted < MOVES, way
