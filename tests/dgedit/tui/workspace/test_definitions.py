"""From a name to its definition, and to its uses, in the file in front and in others."""

from __future__ import annotations

from pathlib import Path

from dgedit.tui.widgets.picker import Choose
from dgedit.tui.widgets.places import Places

from ..conftest import Desk, OpenDesk


def where(d: Desk) -> tuple[str, int, int]:
    return (d.app.editor.path.name, *d.app.editor.cursor_location)


async def test_definition_in_the_file_in_front(desk: OpenDesk) -> None:
    async with desk({"a.py": b"def one():\n    pass\n\n\none()\n"}) as d:
        await d.press("ctrl+end", "up", "alt+g")
        await d.until(lambda: where(d) == ("a.py", 0, 4))
        await d.press("alt+left")
        assert where(d)[1] == 4
        await d.press("ctrl+home", "alt+g")
        assert "no name" not in d.notice
        await d.press("right", "right", "right", "right", "alt+g")
        await d.until(lambda: "the only definition of one" in d.notice)


async def test_definition_in_another_file_which_may_not_be_saved(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "b.py").write_bytes(b"x = 1\n\nclass Far:\n    def near(self): ...\n")
    (tmp_path / "c.md").write_bytes(b"# near\n")
    async with desk({"a.py": b"Far().near()\nnew()\nnone", "d.py": b""}) as d:
        await d.press("alt+full_stop")
        await d.until(lambda: where(d) == ("b.py", 2, 6))
        await d.press("alt+left", "ctrl+right", "ctrl+right", "alt+g")
        await d.until(lambda: where(d) == ("b.py", 3, 8))
        await d.press("ctrl+pageup")
        assert d.app.editor.path.name == "d.py"
        await d.press(*"def new(): ...", "ctrl+pageup", "down", "home", "alt+g")
        await d.until(lambda: where(d) == ("d.py", 0, 4))
        await d.press("alt+left", "down", "home", "alt+g")
        await d.until(lambda: "no function, class or the like named none was found" in d.notice)


async def test_several_definitions_are_a_choice(desk: OpenDesk, tmp_path: Path) -> None:
    (tmp_path / "b.py").write_bytes(b"class A:\n    def get(self): ...\n")
    (tmp_path / "c.py").write_bytes(b"def get(): ...\n")
    async with desk({"a.py": b"get()\n"}) as d:
        await d.press("alt+g")
        await d.until(lambda: isinstance(d.app.screen, Choose))
        assert [one.name for one in d.app.screen.choices] == ["A.get", "get"]
        await d.press("down", "enter")
        await d.until(lambda: where(d) == ("c.py", 0, 4))


async def test_what_has_no_definition_says_so(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\n", "b.py": b"\n+\n"}) as d:
        await d.press("alt+g")
        await d.until(lambda: "no definitions are known" in d.notice)
        await d.press("ctrl+pagedown", "alt+g")
        await d.until(lambda: "no name at the cursor" in d.notice)
        await d.press("down", "alt+u")
        assert "no name at the cursor" in d.notice and not d.app.search.panel.display


async def test_uses_are_listed_of_whole_words_in_files_of_the_language(
    desk: OpenDesk, tmp_path: Path
) -> None:
    (tmp_path / "b.py").write_bytes(b"ones\nx.one\nOne\n")
    (tmp_path / "c.md").write_bytes(b"one\n")
    async with desk({"a.py": b"one = 1\n"}) as d:
        await d.press("alt+u")
        await d.until(lambda: not d.app.search.running)
        files = d.app.search.panel.places.files
        assert [(one.name, [hit.start for hit in one.hits]) for one in files] == [
            ("a.py", [(0, 0)]),
            ("b.py", [(1, 2)]),
        ]
        assert d.app.search.panel.where.value == "*.py *.pyi"
        assert isinstance(d.app.focused, Places)
        await d.press("down", "enter")
        await d.until(lambda: d.app.editor.path.name == "b.py")
        assert d.app.editor.selected_text == "one"


async def test_status_line_says_what_the_cursor_is_in(desk: OpenDesk) -> None:
    text = b"x = 1\n\nclass A:\n    def get(self):\n        return 1\n"
    async with desk({"a.py": text, "b.txt": b"\n"}, size=(200, 16)) as d:
        status = d.app.workspace.status
        await d.press(*["down"] * 4)
        await d.until(lambda: status.within == "A.get")
        assert "· A.get · LF" in str(status.render())
        await d.press("up", "up")
        await d.until(lambda: status.within == "A")
        await d.press("up")
        await d.until(lambda: status.within == "")
        await d.press(*["down"] * 3)
        await d.until(lambda: status.within == "A.get")
        await d.press("ctrl+pagedown")
        await d.until(lambda: status.within == "")


async def test_parameter_leads_to_its_place_and_an_attribute_does_not(desk: OpenDesk) -> None:
    text = b"def f(one, two):\n    return two + one.two\n"
    async with desk({"a.py": text}) as d:
        d.app.editor.move_cursor((1, 12))
        await d.press("alt+g")
        await d.until(lambda: where(d) == ("a.py", 0, 11))
        d.app.editor.move_cursor((1, 21))
        await d.press("alt+g")
        await d.until(lambda: "no function, class or the like named two" in d.notice)
