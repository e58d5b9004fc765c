"""The editor does with a key what the command does to a plain string, in one undo."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual import events

from dgedit.files.document import Document
from dgedit.text import edits as commands
from dgedit.text.indentation import to_stop
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole

from ...text.test_edits import COMMANDS, TEXTS
from ..conftest import OpenDesk

KEYS = {
    "comment": "ctrl+underscore",
    "indent": "tab",
    "dedent": "shift+tab",
    "duplicate": "alt+shift+down",
    "copy": "alt+shift+up",
    "up": "alt+up",
    "down": "alt+down",
    "delete": "ctrl+shift+k",
    "join": "ctrl+j",
}
MIXED = b"def f(x):\r\n    a = 1\n \n    b = 2\r\nx\rreturn x"


async def test_keys_do_the_commands_as_one_undo_each(desk: OpenDesk) -> None:
    async with desk({"a.py": MIXED}) as d:
        editor = d.app.editor
        await d.press("down", "q", "down", "shift+down", "shift+down")
        before, selection = editor.text, editor.selected
        for name, key in KEYS.items():
            change = COMMANDS[name](before, selection)
            assert change is not None
            after = change.apply(before), change.selection
            await d.press(key)
            assert (editor.text, editor.selected) == after, name
            await d.press("ctrl+z")
            assert (editor.text, editor.selected) == (before, selection), name
            editor.redo()
            assert (editor.text, editor.selected) == after, name
            editor.undo()
        await d.press("ctrl+z")
        assert editor.current.encode() == MIXED


async def test_comments_are_refused_where_there_are_none(desk: OpenDesk) -> None:
    async with desk({"a.json": b"1\n"}) as d:
        await d.press("ctrl+slash")
        assert d.app.editor.text == "1\n"
        assert "comment" in d.notice


async def test_alt_and_a_letter_is_never_typed(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one\ntwo\n"}) as d:
        for key in ("alt+k", "alt+m", "x"):  # a letter comes with the key, as terminals send it
            d.app.post_message(events.Key(key, key[-1]))
        await d.until(lambda: "x" in d.app.editor.text)
        assert d.app.editor.text == "xtwo\n"


async def test_joiners_and_wide_blanks_are_typed(desk: OpenDesk) -> None:
    """One by one as most terminals send them, and in a field as well."""
    family, wide = "👩\u200d👧", "日\u3000本\xa0\u200c\ue0b0"
    async with desk({"a.txt": b""}) as d:
        for char in family + wide:
            d.app.post_message(events.Key("any", char))
        await d.until(lambda: d.app.editor.text == family + wide)
        await d.press("ctrl+f")
        for char in wide:
            d.app.post_message(events.Key("any", char))
        await d.until(lambda: d.app.finder.find_bar.what.value == wide)


async def test_tab_in_a_line_goes_to_the_next_stop(desk: OpenDesk) -> None:
    async with desk({"a.py": "日x\n".encode()}) as d:
        await d.press("end", "tab", "y")
        assert d.app.editor.text == "日x y\n"


async def test_holes_go_with_moved_lines(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one\r\ntwo\nthree"}) as d:
        editor = d.app.editor
        editor.open_holes([OpenHole(1, 2), OpenHole(5, 8), OpenHole(9, 10)])
        await d.press("down")

        def held() -> list[str]:
            return sorted(editor.text[hole.start : hole.end] for hole in editor.holes)

        for key in ("alt+up", "alt+down"):
            await d.press(key)
            assert held() == ["n", "t", "two"]
            editor.undo()
            assert [(hole.start, hole.end) for hole in editor.holes] == [(1, 2), (5, 8), (9, 10)]
            editor.redo()
            assert held() == ["n", "t", "two"]
            editor.undo()


async def test_holes_stay_on_their_text_while_lines_are_commented(desk: OpenDesk) -> None:
    async with desk({"a.py": b"a = 1\nb = 2\n"}) as d:
        editor = d.app.editor
        editor.open_holes([OpenHole(4, 5), OpenHole(10, 11)])
        await d.press("ctrl+a", "ctrl+slash")
        assert editor.text == "# a = 1\n# b = 2\n"
        assert [editor.text[hole.start : hole.end] for hole in editor.holes] == ["1", "2"]


async def test_viewport_stays_while_lines_change(desk: OpenDesk) -> None:
    async with desk({"a.py": b"".join(b"line %d\n" % i for i in range(99))}) as d:
        editor = d.app.editor
        editor.selected = (300, 340)
        await d.press("up", "up", "shift+down", "shift+down")
        top = editor.scroll_y
        assert top > 0
        for key in ("ctrl+slash", "tab", "shift+tab", "alt+up", "alt+down", "ctrl+z", "ctrl+y"):
            await d.press(key)
            assert editor.scroll_y == top, key


async def test_undo_has_no_end(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"x\n"}) as d:
        for _ in range(60):
            d.app.editor.change(commands.duplicate(d.app.editor.text, (0, 0), "\n"))
        assert d.app.editor.document.line_count == 62
        for _ in range(60):
            d.app.editor.action_undo()
        assert d.app.editor.text == "x\n"


async def test_words_lines_and_brackets_by_key(desk: OpenDesk) -> None:
    async with desk({"a.py": b"  f(foo) + foo\nbar\n"}) as d:
        editor = d.app.editor
        await d.press("end", "home")
        assert editor.cursor_location == (0, 2)
        await d.press("home")
        assert editor.cursor_location == (0, 0)
        await d.press("ctrl+right")
        assert editor.cursor_location == (0, 3)
        await d.press("ctrl+right_square_bracket")
        assert editor.cursor_location == (0, 7)
        await d.press("left", "ctrl+d")
        assert editor.selection == ((0, 4), (0, 7))
        await d.press("ctrl+d")
        assert editor.selection == ((0, 11), (0, 14))
        await d.press("escape", "left", "ctrl+l")
        assert editor.selected_text == "  f(foo) + foo\n"
        await d.press("ctrl+l")
        assert editor.selected_text == editor.text
        await d.press("ctrl+end", "ctrl+left", "ctrl+left", "ctrl+delete")
        assert editor.text == "  f(foo) + foo\n\n"
        await d.press("ctrl+home", "ctrl+end", "ctrl+shift+home", "backspace")
        assert editor.text == ""


async def test_deletion_and_movement_by_character(desk: OpenDesk) -> None:
    family, flag = "👨‍👩‍👧", "🇫🇷"
    text = f"a{family}{flag}e\u0301\r\nb"
    async with desk({"a.txt": text.encode()}) as d:
        editor = d.app.editor
        seen = []
        for _ in range(6):
            await d.press("right")
            seen.append(editor.selected[1])
        assert seen == [1, 6, 8, 10, 12, 13]
        await d.press("left", "left", "backspace")
        assert editor.text == f"a{family}{flag}\r\nb"
        await d.press("shift+left", "left", "delete")
        assert editor.text == f"a{family}\r\nb"
        await d.press("backspace", "delete", "delete")
        assert editor.text == "a"


async def test_clicks_find_the_cell_the_word_and_the_line(desk: OpenDesk) -> None:
    async with desk({"a.txt": "日本 foo bar\n\tx\ne\u0301👍🏽z\n".encode()}) as d:
        editor = d.app.editor
        x = editor.gutter_width
        for cell, column in ((0, 0), (2, 1), (3, 1), (4, 2), (5, 3)):
            await d.pilot.click(editor, offset=(x + cell, 0))
            await d.settled()
            assert editor.cursor_location == (0, column), cell
        for cell, column in ((0, 0), (1, 2), (3, 4), (4, 5)):
            await d.pilot.click(editor, offset=(x + cell, 2))
            await d.settled()
            assert editor.cursor_location == (2, column), cell
        await d.pilot.click(editor, offset=(x + 6, 0), times=2)
        await d.until(lambda: editor.selected_text == "foo")
        await d.pilot.click(editor, offset=(x + 6, 0), times=3)
        await d.until(lambda: editor.selected_text == "日本 foo bar\n")


def model(editor: Editor, name: str) -> str:
    """The text after a command, by the command alone."""
    change = COMMANDS[name](editor.text, editor.selected)
    return editor.text if change is None else change.apply(editor.text)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(set(COMMANDS))), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(
            st.sampled_from(["typed:é", "typed:\n", "typed:👨‍👩‍👧", "backspace", "undo"]),
            st.integers(0, 99),
            st.integers(0, 99),
        ),
    ),
    max_size=12,
)


async def test_undo_gives_everything_back_and_the_text_is_that_of_the_model(
    desk: OpenDesk,
) -> None:
    async with desk({"a.py": b""}) as d:
        editor = d.app.editor

        @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(TEXTS, STEPS)
        def anything(text: str, steps: list[tuple[str, int, int]]) -> None:
            editor.file = Document.from_text(text)
            editor.load_text(text)
            for name, anchor, cursor in steps:
                editor.selected = (anchor % (len(editor.text) + 1), cursor % (len(editor.text) + 1))
                take(editor, name)
            final = editor.text
            while editor.history.undo_stack:
                editor.undo()
            assert editor.text == text
            while editor.history.redo_stack:
                editor.redo()
            assert editor.text == final

        anything()


async def test_cursor_is_within_a_text_that_is_loaded(desk: OpenDesk) -> None:
    async with desk({"a.py": b"a\nb\nc\n"}) as d:
        d.app.editor.selected = (4, 6)
        d.app.editor.load_text("x")
        assert d.app.editor.selected == (0, 0)


def take(editor: Editor, name: str) -> None:
    """Take a step in the editor, and hold it to a plain string."""
    before, (first, last) = editor.text, sorted(editor.selected)
    if name in COMMANDS:
        expected = model(editor, name)
        editor.change(COMMANDS[name](before, editor.selected))
    elif name == "undo":
        editor.undo()
        editor.redo()
        expected = before
    elif name == "backspace":
        at = editor.buffer.index(editor.get_cursor_left_location())
        lead = editor.buffer[editor.cursor_location[0]][: editor.cursor_location[1]]
        if first == last and lead and not lead.strip(" \t"):
            at = first - to_stop(lead, editor.indent_size, editor.indent_width)
        gone = (first, last) if first < last else (min(at, first), first)
        expected = before[: gone[0]] + before[gone[1] :]
        editor.action_delete_left()
    else:
        what = name.removeprefix("typed:")
        expected = before[:first] + what.replace("\n", editor.buffer.newline) + before[last:]
        editor._replace_via_keyboard(what, *editor.selection)
    assert editor.text == expected


@pytest.mark.parametrize(
    ("name", "line", "indent"),
    [
        ("a.py", b"if x:", "    "),
        ("a.py", b"    x = f(", "        "),
        ("a.py", b"\n\tif x: ", "\t\t"),
        ("a.py", b"    x: int", "    "),
        ("a.py", b"# as follows:", ""),
        ("a.js", b"a: {", "    "),
        ("a.js", b"case 1:", ""),
        ("a.txt", b"as follows:", ""),
        ("a.txt", b"f(", ""),
    ],
)
async def test_line_behind_an_open_block_is_indented(
    desk: OpenDesk, name: str, line: bytes, indent: str
) -> None:
    async with desk({name: line}) as d:
        await d.press("ctrl+end", "enter", "x")
        assert d.app.editor.text == f"{line.decode()}\n{indent}x"


async def test_fault_6_tab_in_a_makefile_is_a_tab(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"Makefile": b"all:\n", "a.txt": b"all:\n"}) as d:
        await d.press("down", "tab", "x")
        assert d.app.editor.text == "all:\n\tx"
        await d.press("ctrl+pagedown", "down", "tab", "x")
        assert d.app.editor.text == "all:\n    x"
        d.app.editor.rename(tmp_path / "rules.mk", d.app.editor.file)
        await d.press("tab")
        assert d.app.editor.text == "all:\n    x\t"


async def test_fault_6_tab_is_what_the_project_wants(desk: OpenDesk, tmp_path: Path) -> None:
    said = "root=true\n[*]\nindent_style=tab\n[*.md]\nindent_style=space\nindent_size=3\n"
    (tmp_path / ".editorconfig").write_text(said)
    async with desk({"a.py": b"", "a.md": b"", "Makefile": b""}) as d:
        for text in ("\tx", "   x", "\tx"):
            await d.press("tab", "x")
            assert d.app.editor.text == text
            await d.press("ctrl+pagedown")


async def test_fault_7_style_sheet_made_a_comment_and_back_is_what_it_was(desk: OpenDesk) -> None:
    text = "a { b: c }\n/* one */\nd { /* two */ }\n"
    async with desk({"a.css": text.encode()}) as d:
        await d.press("ctrl+a", "ctrl+underscore")
        assert d.app.editor.text.count("*/") == 3
        await d.press("ctrl+a", "ctrl+underscore")
        assert d.app.editor.text == text
