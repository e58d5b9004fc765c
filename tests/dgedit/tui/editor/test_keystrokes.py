"""Keys that do more than put in their character, as they come from the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.terminal.keys import in_bursts
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..terminal.test_driver import keys_of


async def types(d: Desk, text: str, *, at_once: bool = False) -> None:
    each = keys_of(text.replace("\n", "\r"))  # as Enter is sent
    for message in in_bursts(each) if at_once else each:
        d.app.post_message(message)
    await d.pilot.pause()


def shown(d: Desk) -> str:
    """The text, with a bar at the cursor, or around the selection."""
    text, (start, end) = d.app.editor.text, sorted(d.app.editor.selected)
    return text[:start] + "|" + text[start:end] + "|" * (start < end) + text[end:]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    ("name", "typed", "after"),
    [
        ("a.py", "f(", "f(|)"),
        ("a.py", "f(x[1])y", "f(x[1])y|"),
        ("a.py", "f'{a}'", "f'{a}'|"),
        ("a.py", "# don't", "# don't|"),
        ("a.py", '"""a"', '"""a"|'),
        ("a.py", "x = ']'", "x = ']'|"),
        ("a.rs", "&'a x", "&'a x|"),
        ("a.md", "it's `a`", "it's `a`|"),
        ("a.js", "`${", "`${|}`"),
        ("a.txt", 'say "a', 'say "a|"'),
        ("a.py", "日本（「é", "日本（「é|"),
    ],
)
async def test_pairs_are_put_in_and_stepped_over(
    desk: OpenDesk, name: str, typed: str, after: str, at_once: bool
) -> None:
    async with desk({name: b""}) as d:
        await types(d, typed, at_once=at_once)
        assert shown(d) == after


async def test_only_what_was_put_in_is_stepped_over(desk: OpenDesk) -> None:
    async with desk({"a.py": b"f(x)\n"}) as d:
        d.select(3, 3)
        await types(d, ")")
        assert shown(d) == "f(x)|)\n"


async def test_pair_is_one_undo_and_what_was_typed_before_another(desk: OpenDesk) -> None:
    async with desk({"a.py": b""}) as d:
        await types(d, "ab(")
        assert shown(d) == "ab(|)"
        await d.press("ctrl+z")
        assert shown(d) == "ab|"
        await d.press("ctrl+y")
        assert d.app.editor.text == "ab()"
        await types(d, ")")
        assert d.app.editor.text == "ab()"
        await d.press("ctrl+z", "ctrl+z")
        assert shown(d) == "|"


async def test_backspace_takes_an_empty_pair_and_undo_puts_it_back(desk: OpenDesk) -> None:
    async with desk({"a.py": b"f('')\n"}) as d:
        d.select(3, 3)
        await d.press("backspace")
        assert shown(d) == "f(|)\n"
        await d.press("backspace")
        assert shown(d) == "f|\n"
        await d.press("ctrl+z", "ctrl+z")
        assert d.app.editor.text == "f('')\n"
        d.select(1, 1)
        await d.press("backspace")
        assert shown(d) == "|('')\n"


async def test_selection_is_surrounded_and_stays_on_its_text(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one two\n"}) as d:
        d.select(4, 7)
        await types(d, "(")
        assert shown(d) == "one (|two|)\n"
        await types(d, '"')
        assert shown(d) == 'one ("|two|")\n'
        await d.press("ctrl+z")
        assert d.app.editor.text == "one (two)\n"
        d.select(7, 5)
        await types(d, ")")
        assert shown(d) == "one ()|o)\n"


async def test_setting_turns_pairs_off(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("ab\n")
    settings = Settings(auto_pairs=False)
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        d.select(0, 2)
        await types(d, "('")
        assert shown(d) == "('|\n"
        d.select(1, 1)
        await types(d, ")")
        d.select(1, 1)
        await d.press("backspace")
        assert shown(d) == "|)'\n"


async def test_what_comes_at_once_is_as_it_is(desk: OpenDesk) -> None:
    """As `tmux send-keys` pastes, and in brackets."""
    for text in ("f([{\n", "f(\n]", "(" * 20, "if (a) {\n}\n"):
        async with desk({"a.c": b""}) as d:
            await types(d, text + "x", at_once=True)
            assert d.app.editor.text.replace(" ", "") == text.replace(" ", "") + "x"
            await types(d, "(")
            assert d.app.editor.text.endswith("x()")
    async with desk({"a.c": b""}) as d:
        d.app.post_message(events.Paste("f(["))
        await d.until(lambda: d.app.editor.text == "f([")


async def test_pairs_leave_holes_where_they_are(desk: OpenDesk) -> None:
    async with desk({"a.py": b"one \n"}) as d:
        editor = d.app.editor
        editor.open_holes([OpenHole(4, 4)])
        d.select(4, 4)
        await types(d, "f(")
        assert shown(d) == "one f(|\n"
        assert [(hole.start, hole.end) for hole in editor.holes] == [(6, 6)]
        d.select(0, 3)
        await types(d, "(")
        assert shown(d) == "(|one|) f(\n"
        assert [(hole.start, hole.end) for hole in editor.holes] == [(8, 8)]


async def test_backspace_goes_back_to_a_tab_stop(desk: OpenDesk) -> None:
    text = b"if a:\n  if b:\n     c\n\tx\n"
    async with desk({"a.md": text}) as d:
        d.app.editor.indent_size = 2
        d.select(19, 19)
        lines = []
        for _ in range(4):
            await d.press("backspace")
            lines.append(d.app.editor.text.split("\n")[1:3])
        assert lines == [
            ["  if b:", "    c"],
            ["  if b:", "  c"],
            ["  if b:", "c"],
            ["  if b:c", "\tx"],
        ]
        await d.press("ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z")
        assert d.app.editor.text == text.decode()
        d.select(22, 22)
        await d.press("backspace")
        assert d.app.editor.text.split("\n")[3] == "x"


@pytest.mark.parametrize(
    ("name", "before", "typed", "after"),
    [
        ("a.py", "if a:\n    b\n    ", "else:", "if a:\n    b\nelse:|"),
        (
            "a.py",
            "for a in b:\n\tif a:\n\t\tb\n\t\t",
            "elif c",
            "for a in b:\n\tif a:\n\t\tb\n\telif c|",
        ),
        ("a.py", "try:\n    b\n    ", "except (", "try:\n    b\nexcept (|)"),
        ("a.py", "try:\n    b\n    ", "exception", "try:\n    b\n    exception|"),
        (
            "a.py",
            "try:\n  if a:\n    b\n  else:\n    ",
            "finally:",
            "try:\n  if a:\n    b\n  else:\nfinally:|",
        ),
        ("a.py", "    if a: b\n    ", "else:", "    if a: b\n    else:|"),
        ("a.c", "if (a) {\n    b;\n    ", "}", "if (a) {\n    b;\n}|"),
        ("a.json", "{\n  ", "}", "{\n}|"),
        ("a.py", "f(\n    a,\n    ", ")", "f(\n    a,\n)|"),
        ("a.md", "(\n    ", ")", "(\n    )|"),
        ("a.sh", "if a; then\n    b\n    ", "fi\n", "if a; then\n    b\nfi\n|"),
        ("a.lua", "if a then\n    b()\n    ", "else\nc", "if a then\n    b()\nelse\n    c|"),
        ("a.rb", "def a\n  b\n  ", "ending\n", "def a\n  b\n  ending\n  |"),
    ],
)
async def test_line_is_dedented_by_what_it_begins_with(
    desk: OpenDesk, name: str, before: str, typed: str, after: str
) -> None:
    async with desk({name: before.encode()}) as d:
        d.select(len(before), len(before))
        for line in typed.splitlines(keepends=True):
            await types(d, line.rstrip("\n"))
            if line.endswith("\n"):
                await d.press("enter")
        assert shown(d) == after
        for _ in range(20):
            d.app.editor.undo()
        assert d.app.editor.text == before


async def test_dedent_and_its_sign_are_one_undo(desk: OpenDesk) -> None:
    async with desk({"a.c": b"{\n    "}) as d:
        d.select(6, 6)
        await types(d, "}")
        assert shown(d) == "{\n}|"
        await d.press("ctrl+z")
        assert shown(d) == "{\n    |"


async def test_enter_between_brackets_opens_a_block(desk: OpenDesk) -> None:
    async with desk({"a.js": b"  a\r\n", "a.txt": b"", "b.py": b"# \n"}) as d:
        d.select(3, 3)
        await types(d, " {")
        await d.press("enter")
        assert shown(d) == "  a {\r\n    |\r\n  }\r\n"
        await d.press("ctrl+z")
        assert shown(d) == "  a {|}\r\n"
        await d.press("ctrl+pagedown")
        await types(d, "{")
        await d.press("enter")
        assert shown(d) == "{\n|}"
        await d.press("ctrl+pagedown", "end")
        await types(d, "(")
        await d.press("enter")
        assert shown(d) == "# (\n|)\n"


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("a.py", "if a:\n  b\n", "  "),
        ("a.js", "a {\n        b\n}\n", " " * 8),
        ("a.js", "a {\n\tb\n}\n", "\t"),
        ("a.py", "x\n", "    "),
        ("a.c", "/*\n * a\n */\nf() {\n    a;\n    b;\n        c;\n}\n", "    "),
    ],
)
async def test_indentation_is_that_of_the_file(
    desk: OpenDesk, name: str, text: str, unit: str
) -> None:
    async with desk({name: text.encode() + b"{\na\nb"}) as d:
        start = len(text)
        d.select(start, start)
        await d.press("tab")
        assert shown(d) == f"{text}{unit}|{{\na\nb"
        await d.press("end", "enter")
        assert shown(d) == f"{text}{unit}{{\n{unit * 2}|\na\nb"
        await d.press("down", "shift+down", "tab")
        assert d.app.editor.text.endswith(f"\n{unit}a\n{unit}b")
        await d.press("shift+tab")
        assert d.app.editor.text.endswith("\na\nb")
