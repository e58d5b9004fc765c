"""The diff on the screen: marked, coloured, safe to show, and scrolled from change to change."""

from __future__ import annotations

from dgedit.tui.widgets.diffview import DiffView, diff_lines

from ..conftest import OpenDesk

LINES = [f"line {i}\n" for i in range(60)]
TEXT = "".join(LINES).encode()


def test_diff_marks_lines_and_shows_what_is_not_seen() -> None:
    before = "".join(LINES)
    after = before.replace("line 5\n", "line\x1b 5\n").replace("line 50\n", "line 50\r\n")
    lines = list(diff_lines(before, after))
    assert lines[:2] == ["@@ -3,7 +3,7 @@", " line 2"]
    assert "-line 5" in lines and "+line␛ 5" in lines
    assert "-line 50␊" in lines and "+line 50␍␊" in lines
    assert sum(line.startswith("@@") for line in lines) == 2
    assert list(diff_lines("a", "a\n")) == ["@@ -1,1 +1,1 @@", "-a  (no line end)", "+a␊"]
    assert list(diff_lines("a", "a")) == [" no difference"]
    assert list(diff_lines("", "a\n")) == ["@@ -1,0 +1,1 @@", "+a"]


async def test_diff_scrolls_to_its_changes(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        after = "".join(line.replace("5", "five") for line in LINES)
        d.app.push_screen(DiffView("a \x1b title", diff_lines("".join(LINES), after)))
        await d.pilot.pause()
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
