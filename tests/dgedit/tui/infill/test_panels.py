"""The panel of holes, and what the model is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.geometry import Region

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.infill.panels import GivenView, HolesPanel
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans

FILES = {"a.py": CODE, "b.txt": b"hello \n"}


def lines(d: Desk) -> list[str]:
    panel = d.app.query_one(HolesPanel)
    return [str(panel.get_option_at_index(i).prompt) for i in range(panel.option_count)]


async def test_holes_of_all_files_are_listed_and_followed(desk: OpenDesk) -> None:
    async with desk(FILES, Script("one", "two"), size=(100, 20)) as d:
        await d.press("f4")
        assert lines(d) == ["none: F2 makes one"]
        await masked(d, 13, 17)
        await d.press("ctrl+pagedown")
        await masked(d, 6, 6)
        await d.press("ctrl+home", "enter")
        assert lines(d) == ["░ a.py:2 pass", "░ b.txt:2 (insertion point)"]
        await d.press("f5")
        await d.step(3)
        assert lines(d) == ["✓ a.py:2 one", "✓ b.txt:2 two"]
        await d.press("alt+y")
        assert lines(d) == ["none: F2 makes one"]
        await d.press("f4")
        assert not d.app.query(HolesPanel)
        assert d.app.focused is d.app.editor


async def test_escape_closes_the_panel_and_goes_back_to_the_text(desk: OpenDesk) -> None:
    async with desk(FILES, Script("one"), size=(100, 20)) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        await d.press("f4", "escape")
        assert not d.app.query(HolesPanel)
        assert d.app.focused is d.app.editor and d.app.fill is not None
        await d.press("f4", "enter", "f4")
        assert not d.app.query(HolesPanel)
        await d.press("escape")
        assert d.app.fill is None


@pytest.mark.parametrize("width", [80, 160])
async def test_border_says_whole_what_the_keys_do(desk: OpenDesk, width: int) -> None:
    async with desk(FILES, Script("one"), size=(width, 24)) as d:
        await masked(d, 13, 17)
        await d.press("f4")
        assert border(d).strip(" ╰─╯") == "Enter go · Del remove · Esc close"
        await d.press("enter")
        assert border(d).strip(" ╰─╯") == "F4 close"
        await d.press("escape")
        assert d.app.query(HolesPanel)  # as it says
        await d.press("f4")
        assert not d.app.query(HolesPanel)


@pytest.mark.parametrize(("key", "words"), [("f11", "F11 close"), ("", "")])
async def test_border_has_the_users_key(tmp_path: Path, key: str, words: str) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    settings = Settings(keys={"holes": key})
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False, settings=settings)
    async with app.run_test(size=(80, 24)) as pilot:
        d = Desk(app, pilot, Script())
        await masked(d, 13, 17)
        await d.app.panels.show_holes()
        await d.press("enter")
        assert border(d).strip(" ╰─╯") == words


def border(d: Desk) -> str:
    """The bottom of the panel as it is drawn."""
    panel = d.app.query_one(HolesPanel)
    last = Region(0, panel.outer_size.height - 1, panel.outer_size.width, 1)
    return "".join(strip.text for strip in panel.render_lines(last))


async def test_long_hole_takes_one_line_of_the_panel(desk: OpenDesk) -> None:
    async with desk({"a.txt": ("你" * 60 + "\x1b\n").encode()}, size=(120, 20)) as d:
        await masked(d, 0, 61)
        await d.press("f4")
        panel = d.app.query_one(HolesPanel)
        (row,) = panel.render_lines(Region(0, 1, panel.outer_size.width, 1))
        assert row.text.strip("│ ") == "░ a.txt:1 " + "你" * 13 + "…"


async def test_the_panel_is_a_strip_below_on_a_narrow_screen(desk: OpenDesk) -> None:
    text = "".join(f"{i}\n" for i in range(9)).encode()
    async with desk({"a.txt": text}, size=(80, 24)) as d:
        for i in range(8):
            await masked(d, 2 * i, 2 * i + 1)
        await d.press("f4")
        panel = d.app.query_one(HolesPanel)
        assert panel.outer_size == (80, 5) and panel.region.y == d.app.editor.region.bottom
        assert lines(d)[7].startswith("░ a.txt:8 7")
        await d.pilot.resize_terminal(120, 24)
        await d.until(lambda: panel.outer_size.width == 39)
        assert panel.region.y == d.app.editor.region.y


async def test_enter_goes_to_a_hole(desk: OpenDesk) -> None:
    async with desk(FILES, size=(120, 20)) as d:
        await masked(d, 40, 41)
        await d.press("ctrl+pagedown", "f4", "enter")
        assert d.app.editor is d.app.editors[0]
        assert d.app.focused is d.app.editor
        assert d.app.editor.cursor_location == (5, 11)


async def test_a_hole_far_down_in_another_file_is_shown_in_the_middle(desk: OpenDesk) -> None:
    text = b"    some = words.of(a, line)\n" * 200
    async with desk({"a.py": text, "b.py": CODE}, size=(100, 20)) as d:
        start = 29 * 150 + 20
        await masked(d, start, start + 3)
        await d.press("ctrl+home", "ctrl+pagedown", "f4", "enter")
        editor = d.app.editors[0]
        assert editor.cursor_location == (150, 20)
        assert editor.scroll_x == 0 and 150 - 15 < editor.scroll_y < 150 - 3


async def test_delete_removes_a_hole_and_keeps_its_text(desk: OpenDesk) -> None:
    async with desk(FILES, Script("one", "two"), size=(100, 20)) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        await d.press("f5")
        await d.step(3)
        await d.press("f4", "delete")
        assert spans(d.app.editor) == [(40, 41)]
        assert [d.row(1), d.row(5)] == ["    pass", "    return two"]
        await d.press("delete")
        assert d.app.fill is None
        assert d.app.editor.text.encode() == CODE


async def test_what_the_model_would_be_given_and_was(desk: OpenDesk, tmp_path: Path) -> None:
    files = {"a.py": b"x = area(1)\n", "b.py": b"def area(r):\n    return r\n\n\nOTHER = 1\n"}
    script = Script("one")
    async with desk(files, script, size=(100, 30)) as d:
        await d.press("f7")
        assert "no hole" in d.notice
        await masked(d, 11, 11)
        await d.press("f7")
        view = d.app.screen
        assert isinstance(view, GivenView)
        assert view.heading == "What the model would be given: 4 parts, about 11 tokens"
        assert [part.text for part in view.parts] == [
            "x = area(1)",
            "",
            "\n",
            "def area(r):\n    return r",
        ]
        await d.press("escape", "f5")
        await d.step(3)
        await d.press("f7")
        assert isinstance(d.app.screen, GivenView)
        assert "was given" in d.app.screen.heading
        await d.press("f7")
        request = script.requests[0]
        assert [passage.path for passage in request.passages] == [
            str(tmp_path / "a.py"),
            str(tmp_path / "b.py"),
        ]
        assert request.passages[1].parts == ("def area(r):\n    return r",)


class Counting(Script):
    """A backend with a tokenizer."""

    class tokenizer:
        @staticmethod
        def encode(text: str) -> list[int]:
            return [0] * len(text)


async def test_tokens_are_the_models_own_where_it_has_them(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Counting("one")) as d:
        await d.until(lambda: d.app.infill.source.backend is not None)
        await masked(d, 13, 17)
        await d.press("f7")
        assert isinstance(d.app.screen, GivenView)
        tokens = len(CODE) - len("pass")
        assert d.app.screen.heading == f"What the model would be given: 3 parts, {tokens} tokens"


async def test_hole_of_another_file_is_gone_to_without_scrolling_sideways(desk: OpenDesk) -> None:
    text = b"".join(b"    line %d = value\n" % i for i in range(60))
    async with desk({"a.py": CODE, "b.py": text}, size=(100, 24)) as d:
        editor = d.app.editors[1]
        await d.press("ctrl+pagedown")
        await masked(d, 1004, 1008)
        await d.press("ctrl+home", "ctrl+pagedown", "f4", "enter")
        assert d.app.editor is editor and editor.cursor_location[0] > 30
        assert editor.scroll_x == 0
        y = editor.cursor_screen_offset.y - editor.region.y
        assert 0 <= y < editor.size.height
