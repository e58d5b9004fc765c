"""The way of an infill through the code: from F5 to the first draft on the screen."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from types import FrameType

import dgedit.tui

from ..conftest import OpenDesk, Script

TUI = Path(dgedit.tui.__file__).parent
MOVES = 250
"""Calls on that way, at most, by which one goes from one file of the editor to another."""
DRAWING = {f"editor/{name}.py": "drawing" for name in ("view", "rows", "paint", "highlighting")}
"""Files that count as one, since how many frames there are is the machine's."""


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
        names = (str(Path(file).relative_to(TUI)) for file in called)
        way = [name for name, _ in groupby(DRAWING.get(name, name) for name in names)]
        drawn = max(i for i, file in enumerate(way) if file == "infill/session.py")
        painted = way.index("drawing", drawn)
        assert {"app.py", "infill/controller.py", "drawing"} < set(way[:painted])
        assert painted < MOVES, way
