"""The selection grows by the syntax, and shrinks to what it was."""

from __future__ import annotations

from ..conftest import Desk, OpenDesk

GROW, BACK = "alt+shift+right", "alt+shift+left"


def selected(d: Desk) -> str:
    editor = d.app.editor
    start, end = sorted(editor.selected)
    return editor.text[start:end]


async def test_selection_grows_by_nodes_and_shrinks_to_the_cursor(desk: OpenDesk) -> None:
    text = "é = 1\r\n\r\ndef f(x):\r\n    return g(x + 'a b', y)\r\n"
    async with desk({"a.py": text.encode()}) as d:
        at = text.index(" b'")
        d.select(at, at)
        found = []
        for _ in range(12):
            await d.press(GROW)
            if found[-1:] != [selected(d)]:
                found.append(selected(d))
        assert found == [
            "a",
            "a b",
            "'a b'",
            "x + 'a b'",
            "(x + 'a b', y)",
            "g(x + 'a b', y)",
            "return g(x + 'a b', y)",
            "def f(x):\r\n    return g(x + 'a b', y)",
            text,
        ]
        for part in (*found[-2::-1], ""):
            await d.press(BACK)
            assert selected(d) == part
        assert d.app.editor.selected == (at, at)
        await d.press(BACK)
        assert "not expanded" in d.notice


async def test_text_without_grammar_grows_by_words_and_lines(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one two\nthree\n\nfour\n"}) as d:
        for part in ("one", "one two", "one two\nthree", "one two\nthree\n\nfour\n"):
            await d.press(GROW)
            assert selected(d) == part
        await d.press("ctrl+home", BACK)
        assert selected(d) == "" and "not expanded" in d.notice


async def test_what_is_selected_by_hand_meanwhile_is_where_it_begins(desk: OpenDesk) -> None:
    async with desk({"a.py": b"f(a, b)\n"}) as d:
        d.select(2, 2)
        await d.press(GROW)
        d.select(5, 6)
        await d.press(GROW)
        assert selected(d) == "(a, b)"
        await d.press(BACK)
        assert selected(d) == "b"
        await d.press(BACK)
        assert selected(d) == "b"
