"""What is on the screen is what would be drawn anew, though only rows that differ are painted."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual.document._document import Selection
from textual.geometry import Region
from textual.screen import Screen

from dgedit.tui.editor.view import View
from scripted import Script

from ..conftest import Desk, OpenDesk

CODE = b"".join(
    b"def f%d(a, b):\n    '''doc'''\n    return [a, {b: 'x'}]\n\n\n" % i for i in range(30)
)


def painted(d: Desk, *, anew: bool) -> list[list[Segment]]:
    """The rows of the editor as they were painted last, or as they would be."""
    editor = d.app.editor
    if anew:
        editor._styles_cache.clear()
    strips = editor.render_lines(Region(0, 0, *editor.size))
    return [[*Segment.simplify(strip)] for strip in strips]


def assert_painted(d: Desk, after: object) -> None:
    shown = painted(d, anew=False)
    fresh = painted(d, anew=True)
    for y, (one, two) in enumerate(zip(shown, fresh, strict=True)):
        assert one == two, (after, y, one, two)


KEYS = [
    *("x", "(", '"', "'", "enter", "backspace", "delete", "space", "#"),
    *("left", "right", "up", "down", "home", "end", "pagedown", "pageup", "ctrl+home", "ctrl+end"),
    *("shift+down", "shift+right", "shift+left", "ctrl+right", "ctrl+z", "ctrl+y", "tab"),
    *("f2", "alt+z", "ctrl+a"),
]


@pytest.mark.parametrize("seed", range(2))
async def test_only_what_differs_is_painted_and_nothing_is_forgotten(
    desk: OpenDesk, seed: int
) -> None:
    dice = random.Random(seed)
    async with desk({"a.py": CODE}) as d:
        for _ in range(40):
            key = dice.choice(KEYS)
            await d.press(key)
            assert_painted(d, key)


async def test_steps_are_painted(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("pass\n    pass")) as d:
        d.select(30, 40)
        await d.press("f2", "f5")
        for _ in range(3):
            await d.step()
            assert_painted(d, "step")
        await d.press("enter")
        assert_painted(d, "enter")


async def test_other_theme_is_painted(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        before = painted(d, anew=False)
        d.app.theme = "textual-light"
        await d.until(lambda: painted(d, anew=False) != before)
        assert_painted(d, "theme")


async def test_a_key_paints_one_row(desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    plain = View.render_line

    def render_line(self: View, y: int) -> object:
        rows.append(y)
        return plain(self, y)

    async with desk({"a.py": CODE}) as d:
        await d.press("down", "end")
        monkeypatch.setattr(View, "render_line", render_line)
        await d.press("x")
        assert set(rows) == {1}
        await d.press("down")
        assert set(rows) == {1, 2}


async def test_large_text_is_coloured_when_no_key_has_come_for_a_moment(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE * 40}) as d:
        editor = d.app.editor
        parse = editor.buffer.parse
        assert parse is not None

        def colours() -> int:
            return len({segment.style and segment.style.color for segment in editor.render_line(0)})

        await d.until(lambda: parse.current)
        assert_painted(d, "parsed")
        before = colours()
        assert before > 3
        editor.replace("x", (0, 0), (0, 0))
        assert not parse.current
        assert colours() == before
        await d.until(lambda: parse.current)
        assert_painted(d, "parsed again")


@pytest.mark.parametrize("wrap", [False, True])
async def test_long_line_is_edited_where_it_is_looked_at(desk: OpenDesk, wrap: bool) -> None:
    line = ", ".join(map(str, range(20_000)))
    async with desk({"a.py": f"x = [{line}]\n".encode()}) as d:
        editor = d.app.editor
        if wrap:
            await d.press("alt+z")
        await d.press("end", "left", *"yz")
        assert any("yz]" in d.row(y) or "yz" in d.row(y) for y in range(editor.size.height))
        assert editor.text.rstrip("\n")[-8:].count("yz") == 1 or wrap
        await d.press("home")
        assert_painted(d, "home")
        d.select(60_000, 60_010)
        await d.settled()
        assert_painted(d, "select")
        selected = editor._ink().selection.bgcolor
        cells = [
            segment.text
            for y in range(editor.size.height)
            for segment in editor.render_line(y)
            if segment.style and segment.style.bgcolor == selected
        ]
        assert "".join(cells) == editor.selected_text


def test_what_textual_calls_is_there() -> None:
    """Rows are compared where Textual asks a widget, at rest, whether to paint."""
    from textual.widget import Widget

    for name in ("_check_refresh", "notify_style_update", "refresh", "check_idle"):
        assert callable(getattr(Widget, name))
    assert "_check_refresh" in Widget._on_idle.__code__.co_names


async def test_ink_follows_the_theme_and_the_focus(desk: OpenDesk) -> None:
    """It is kept until the style sheet changes, and so must be told of every change."""
    async with desk({"a.py": b"def f():\n    pass\n", "b.py": b"x = 1\n"}) as d:
        editor = d.app.editor
        seen = set()
        for theme in ("nord", "solarized-light", "tokyo-night"):
            d.app.theme = theme
            await d.settled()
            drawn = [d.app.screen._compositor.render_strips()[y] for y in range(1, 5)]
            kept = editor._ink()
            editor.notify_style_update()
            assert editor._ink() == kept
            editor.refresh()
            await d.settled()
            assert [d.app.screen._compositor.render_strips()[y] for y in range(1, 5)] == drawn
            seen.add(kept)
        assert len(seen) == 3
        await d.press("ctrl+backslash")  # beside, each with and without the keyboard
        for one in (*d.app.editors, *d.app.editors):
            d.app.workspace.show(one)
            await d.settled()
            for each in d.app.editors:
                kept = each._ink()
                each.notify_style_update()
                assert each._ink() == kept


@pytest.mark.parametrize("text", ["short", "wide " * 40, "\t界é\x1b" * 30, ""])
async def test_row_fills_its_width_wherever_it_is_scrolled_to(desk: OpenDesk, text: str) -> None:
    async with desk({"a.txt": f"{text}\nb\n".encode()}) as d:
        editor = d.app.editor
        for left in (0, 7, 60):
            editor.scroll_to(x=left, animate=False)
            await d.settled()
            for y in range(3):
                strip = editor.render_line(y)
                assert (
                    strip.cell_length == sum(one.cell_length for one in strip) == editor.size.width
                )
                assert all(one.style and one.style.bgcolor for one in strip if one.text)
            shown = editor.rows.shown(text, 0)
            whole = "".join(c + "\0" * (cell_len(c) - 1) for c in shown).ljust(300)
            seen = "".join(c + "\0" * (cell_len(c) - 1) for c in editor.render_line(0).text)
            at = round(editor.scroll_x)
            width = editor.size.width - editor.gutter_width
            same = zip(seen[editor.gutter_width :], whole[at : at + width], strict=True)
            assert sum(one != other for one, other in same) <= 2  # halves of wide ones are blank


async def test_screen_may_be_painted_again_soon(desk: OpenDesk) -> None:
    """That Textual paints by the timer that we make."""
    async with desk({"a.txt": b""}) as d:
        assert d.app.screen._update_timer._interval == pytest.approx(1 / 120)
        assert isinstance(Screen._update_timer, property)
        before = d.app.screen._update_timer
        await d.press("x")
        assert d.app.screen._update_timer is before and d.row(0) == "x"
        frames = d.app.screen._compositor.render_strips()
        assert any("1  x" in strip.text for strip in frames)


async def test_cursor_stays_in_view_when_the_terminal_shrinks(desk: OpenDesk) -> None:
    files = {name: b"".join(b"line %d\n" % i for i in range(100)) for name in ("a.txt", "b.txt")}
    async with desk(files, size=(80, 45)) as d:
        for editor in d.app.editors:
            editor.selection = Selection.cursor((38, 0))
            await d.press("ctrl+pagedown")
        await d.pilot.resize_terminal(80, 20)
        for _ in range(2):
            editor = d.app.editor
            await d.until(lambda: "line 38" in [d.row(y) for y in range(d.app.editor.size.height)])
            await d.press("ctrl+pagedown")
            assert d.app.editor is not editor
