"""The diff on the screen: coloured, and scrolled from change to change."""

from __future__ import annotations

from dgedit.text.readable_diff import diff_lines
from dgedit.tui.widgets.diffview import DiffView

from ..conftest import OpenDesk

LINES = [f"line {i}\n" for i in range(60)]
TEXT = "".join(LINES).encode()


async def test_diff_scrolls_to_its_changes(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        after = "".join(line.replace("5", "five") for line in LINES)
        d.app.push_screen(DiffView("a \x1b title", diff_lines("".join(LINES), after)))
        await d.until(lambda: isinstance(d.app.screen, DiffView))
        view = d.app.screen.query_one("_Lines")
        assert view.render_line(0).text.startswith("@@")
        colours = {segment.style.bgcolor for y in range(9) for segment in view.render_line(y)}
        assert len(colours) >= 3
        await d.press("n")
        assert view.scroll_y > 0 and view.render_line(0).text.startswith("@@")
        await d.press("p")
        assert view.scroll_y == 0
        await d.press("q")
        assert not isinstance(d.app.screen, DiffView)
