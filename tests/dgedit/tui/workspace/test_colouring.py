"""A text without a grammar has colours all the same, which no key waits for."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import pytest

from dgedit.text.lexing import Row
from dgedit.tui.editor.lexed import Lexed

from ..conftest import Desk, OpenDesk
from ..editor.test_view import assert_painted


def names(d: Desk, row: int) -> list[tuple[str, str]]:
    """The parts of a row that have colours, and their names."""
    buffer = d.app.editor.buffer
    assert buffer.lexed is not None
    line = buffer[row]
    return [(line[begin:end], name) for begin, end, name in buffer.lexed.highlights(row)]


async def test_parts_have_their_colours_and_keep_them_while_typing(desk: OpenDesk) -> None:
    async with desk({"a.kt": b"val a = 1 // one\nval b = 2\n"}) as d:
        first, lexed = [("val", "keyword")], d.app.editor.buffer.lexed
        assert lexed is not None
        await d.until(lambda: names(d, 0)[:1] == first)
        assert ("// one", "comment") in names(d, 0)
        assert_painted(d, "found")
        assert lexed.ask() == 0  # so that nobody else does
        await d.press("enter")
        assert names(d, 1)[:1] == first and names(d, 2)[:1] == first and names(d, 0) == []
        await d.press(" ", "x")
        assert names(d, 1)[:1] == first


async def test_edited_text_is_coloured_anew(desk: OpenDesk) -> None:
    async with desk({"a.ini": b"key = 1\n"}) as d:
        await d.until(lambda: ("key", "property") in names(d, 0))
        await d.press(";")
        await d.until(lambda: names(d, 0) == [(";key = 1", "comment")])
        assert_painted(d, "edited")


class _Held:
    """Answers when it is let."""

    def __init__(self, answer: list[Row] | None) -> None:
        self.answer, self.go = answer, Event()
        self.asked: list[tuple[str, str, int]] = []

    def rows_of(self, *given: object) -> Sequence[Row] | None:
        self.asked.append(given)  # type: ignore[arg-type]
        assert self.go.wait(20)
        return self.answer

    def close(self) -> None:
        self.go.set()


async def test_what_comes_for_an_older_text_is_dropped_and_asked_again(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\n"}) as d:
        held = _Held([[(0, 3, "keyword")], []])
        d.app.colouring.lexers = held  # type: ignore[assignment]
        d.app.editor.take_for("a.kt")
        await d._wait(lambda: len(held.asked) == 1)
        d.app.editor.type_text("x")  # no key waits
        assert d.app.editor.text == "xone\n"
        held.go.set()
        await d.until(lambda: len(held.asked) == 2)
        await d.until(lambda: names(d, 0) == [("xon", "keyword")])
        assert [text for _, text, _ in held.asked] == ["one\n", "xone\n"]


async def test_text_that_is_given_up_is_not_asked_for_again(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\n"}) as d:
        held = _Held(None)
        held.go.set()
        d.app.colouring.lexers = held  # type: ignore[assignment]
        d.app.editor.take_for("a.kt")
        await d.until(lambda: len(held.asked) == 1)
        await d.press("x", "y")
        lexed = d.app.editor.buffer.lexed
        assert lexed is not None and not lexed.wants(0) and len(held.asked) == 1
        d.app.editor.take_for("a.cs")
        await d.until(lambda: len(held.asked) == 2)


async def test_rows_are_coloured_when_they_come_into_view_up_to_a_bound(desk: OpenDesk) -> None:
    text = b"val a = 1\n" * 25_000
    async with desk({"a.kt": text}) as d:
        await d.until(lambda: names(d, 0) != [])
        assert names(d, 1000) == []
        d.app.editor.move_cursor((1000, 0))
        await d.until(lambda: names(d, 1000) != [])
        lexed = d.app.editor.buffer.lexed
        assert lexed is not None
        await d.press("ctrl+end")
        await d.until(lambda: not lexed.wants(24_999))
        assert names(d, 24_999) == []


@pytest.mark.parametrize("name", ["a.txt", "a.py"])
async def test_others_start_no_process(desk: OpenDesk, name: str) -> None:
    async with desk({name: b"val a = 1\n"}) as d:
        lexed = d.app.editor.buffer.lexed
        await d.until(lambda: lexed is None or not lexed.wants(0))
        assert d.app.colouring.lexers._process is None


async def test_language_is_chosen_from_hundreds(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"val a = 1\n"}) as d:
        await d.press("alt+x", *"language", "enter", *"kotlin", "enter")
        await d.until(lambda: ("val", "keyword") in names(d, 0))
        assert "as .kt" in d.app.workspace.status.place
        await d.press("ctrl+slash")
        assert d.app.editor.text == "// val a = 1\n"


def test_edits_move_what_is_known() -> None:
    lexed = Lexed()
    assert lexed.ask() == 0 and lexed.ask() is None and not lexed.wants(0)
    lexed.take(0, range(2), [[(0, 3, "keyword")], [(4, 6, "number")]])
    assert not lexed.wants(1) and lexed.wants(2)
    lexed.edited((1, 2), (1, 2), "xx")
    assert lexed.highlights(1) == [(6, 8, "number")] and lexed.wants(1)
    lexed.edited((0, 0), (0, 0), "\n")
    assert lexed.highlights(1) == [(0, 3, "keyword")]
    assert lexed.highlights(2) == [(6, 8, "number")]
    assert lexed.ask() == 2
    lexed.take(1, range(9), [])
    assert lexed.highlights(2) != [] and lexed.wants(0)
