"""Finding, replacing and going places, without losing where one was or a byte."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._tree_sitter import get_language
from textual.geometry import Offset
from textual.widgets import Input, Static
from tree_sitter import Parser

from dgedit.text.search import Found, Query, SearchError, replacements, search
from dgedit.text.symbols import symbols
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.workspace.finding import place_of

from ..conftest import Desk, OpenDesk

TEXT = b"one two\r\nTwo three\ntwofold\n" + b"x\n" * 40 + b"end two\n"


def places(found: Found) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [found.place(at) for at in range(len(found.spans))]


@pytest.mark.parametrize(
    ("query", "starts"),
    [
        (Query("two"), [(0, 4), (1, 0), (2, 0)]),
        (Query("two", case=True), [(0, 4), (2, 0)]),
        (Query("two", words=True), [(0, 4), (1, 0)]),
        (Query("t.o$", regex=True), [(0, 4)]),
        (Query("t.o"), []),
        (Query(r"^\w", regex=True), [(0, 0), (1, 0), (2, 0)]),
        (Query(r"two\ntwo", regex=True), [(0, 4)]),
        (Query(""), []),
    ],
)
def test_search_finds(query: Query, starts: list[tuple[int, int]]) -> None:
    found = search(["one two", "Two three", "twofold"], query)
    assert [start for start, _ in places(found)] == starts


@given(st.lists(st.text("ab ", max_size=5), min_size=1), st.text("ab", min_size=1, max_size=2))
def test_search_agrees_with_counting(lines: list[str], what: str) -> None:
    found = search(lines, Query(what, case=True))
    columns = {row: found.columns(row) for row in range(len(lines))}
    assert columns == {
        row: [match.span() for match in re.finditer(what, line)] for row, line in enumerate(lines)
    }
    for at, (start, end) in enumerate(places(found)):
        assert found.which(start, end) == at == found.after(start)


def test_columns_of_a_place_on_several_rows() -> None:
    found = search(["ab", "cd", "ef"], Query(r"b\ncd\ne", regex=True))
    assert [found.columns(row) for row in range(4)] == [[(1, 3)], [(0, 3)], [(0, 1)], []]


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("(", "missing ) at the end"),
        ("*a", "nothing to repeat at character 1"),
        ("[a\nb", "unterminated character set at the end"),
        ("a{2,1}", "min repeat greater than max repeat at character 3"),
        ("a)(b", "unbalanced parenthesis at character 2"),
        ("\\", "bad escape (end of pattern) at the end"),
    ],
)
def test_wrong_expression_is_told_in_one_line_with_its_place(
    text: str, wrong: str, words: bool
) -> None:
    with pytest.raises(SearchError) as error:
        search(["a"], Query(text, regex=True, words=words))
    assert str(error.value) == wrong


def test_endless_expression_is_given_up() -> None:
    begun = monotonic()
    with pytest.raises(SearchError, match="given up"):
        search([("a|b" + "a" * 30 + "!") * 2] * 9, Query("(a|a)+$", regex=True), seconds=0.2)
    assert monotonic() - begun < 20


def test_replacements_know_groups() -> None:
    lines = ["f(a, b)", "f(c, d)"]
    query = Query(r"f\((\w), (?P<x>\w)\)", regex=True)
    assert replacements(lines, query, r"g(\g<x>,\n\1)") == [
        ((0, 0), (0, 7), "g(b,\na)"),
        ((1, 0), (1, 7), "g(d,\nc)"),
    ]
    assert replacements(lines, query, "y", only=((1, 0), (1, 7))) == [((1, 0), (1, 7), "y")]
    assert replacements(lines, Query("(a"), r"\1")[0][2] == r"\1"
    with pytest.raises(SearchError, match="replacement"):
        replacements(lines, query, r"\9")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("12", (11, 0)),
        (" 12:5 ", (11, 4)),
        ("+5", (25, 0)),
        ("-5", (15, 0)),
        ("0", (-1, 0)),
        ("12:0", (11, 0)),
        ("", None),
        ("a", None),
        ("1:", None),
        ("٣", None),
    ],
)
def test_line_by_name(text: str, place: tuple[int, int] | None) -> None:
    assert place_of(text, 20) == place


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "class A:\n    def é(self): pass\ndef g(): pass\n", "A A.é g"),
        ("markdown", "# One\n\ntext\n\n## Two\n", "One Two"),
        ("javascript", "class A { m() {} }\nconst f = () => 1\n", "A A.m f"),
        ("toml", "[a.b]\nx = 1\n", "a.b"),
        ("html", "<p>x</p>", ""),
    ],
)
def test_symbols_have_names(language: str, text: str, expected: str) -> None:
    grammar = get_language(language)
    assert grammar is not None
    lines = text.split("\n")
    found = symbols(Parser(grammar).parse(text.encode()), lines, language)
    assert " ".join(one.name for one in found) == expected
    for one in found:
        assert (
            lines[one.row].startswith(one.name.rpartition(".")[2], one.column) or language == "toml"
        )


# In the editor


def count(d: Desk) -> str:
    return str(d.app.finder.find_bar.query_one(".count").render())


def wrong(d: Desk) -> str:
    shown = d.app.finder.find_bar.query_one(".wrong")
    return str(shown.render()) if shown.display else ""


async def found(d: Desk, words: str) -> None:
    await d.until(lambda: count(d) == words)


async def test_typing_finds_from_the_cursor_and_escape_returns(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        await d.press("down", "ctrl+f", "t", "w", "o")
        await found(d, "2 of 4")
        assert editor.selection == ((1, 0), (1, 3))
        d.app.export_screenshot()
        assert [str(s.style.underline) for s in editor.render_line(0) if s.text == "two"] == [
            "True"
        ]
        await d.press("escape")
        assert editor.selection == ((1, 0), (1, 0))
        assert d.app.focused is editor and not d.app.finder.find_bar.display
        assert editor.found is None
        await d.press("ctrl+home", "ctrl+d", "ctrl+f")
        await found(d, "1 of 1")
        assert d.app.finder.find_bar.what.value == "one"


async def test_enter_goes_on_wraps_and_escape_stays(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        await d.press("ctrl+f", *"two", "enter")
        await found(d, "2 of 4")
        await d.press("enter", "enter")
        await found(d, "4 of 4")
        assert editor.cursor_location == (43, 7)
        assert editor.scroll_y > 0
        await d.press("down")
        await found(d, "1 of 4 · from the top")
        await d.press("shift+enter")
        await found(d, "4 of 4 · from the end")
        await d.press("up", "escape")
        assert editor.selection == ((2, 0), (2, 3))
        await d.press("f3")
        await d.until(lambda: editor.selection == ((43, 4), (43, 7)))
        assert d.notice == "4 of 4"
        await d.press("shift+f3")
        await d.until(lambda: editor.selection == ((2, 0), (2, 3)))
        d.app.post_message(events.CursorPosition(1, 0))
        await d.until(lambda: editor.selection == ((1, 0), (1, 3)))


async def test_enter_before_the_search_is_done_goes_on_as_well(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        for key in ("ctrl+f", *"two", "enter", "enter"):
            d.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await found(d, "3 of 4")
        assert d.app.editor.text.encode() == TEXT


async def test_enter_counts_though_what_was_typed_is_told_late(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        await d.press("ctrl+f", *"tw")
        await found(d, "1 of 4")
        finder = d.app.finder
        with finder.find_bar.prevent(Input.Changed):
            finder.find_bar.what.value = "two"
        finder.step(1)
        finder.query_changed()
        await found(d, "2 of 4")


async def test_switches_are_shown_and_heeded(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        await d.press("ctrl+f", *"two")
        await found(d, "1 of 4")
        d.app.post_message(events.Key("alt+c", "c"))  # as terminals send it
        await found(d, "1 of 3")
        await d.press("alt+w")
        await found(d, "1 of 2")
        await d.press("alt+c", "alt+w", "alt+r", "end", "$")
        await found(d, "1 of 2")
        await d.press("(")
        await d.until(lambda: wrong(d) == "missing ) at the end")
        assert count(d) == ""
        assert d.app.editor.selection == ((0, 4), (0, 7))
        await d.press("backspace", "backspace", "x", "q")
        await found(d, "not found")
        assert wrong(d) == ""
        assert d.app.editor.selection == ((0, 0), (0, 0))
        assert d.app.editor.text.encode() == TEXT


@pytest.mark.parametrize("width", [40, 60, 80, 160])
async def test_bar_is_whole_at_any_width_and_has_keys_where_there_is_room(
    desk: OpenDesk, width: int
) -> None:
    async with desk({"a.txt": TEXT}, size=(width, 16)) as d:
        await d.press("ctrl+f", *"two")
        await found(d, "1 of 4")
        bar = d.app.finder.find_bar
        shown = str(bar.query_one(".switches", Static).render())
        keys = " Alt+R .*  Alt+C Aa  Alt+W word "
        assert shown == (keys if width >= 80 else " .*  Aa  word ")
        for part in (*bar.query(".switches"), *bar.query(".count")):
            assert part.region.right <= width or width < 60
        assert bar.what.region.width >= 10


async def test_what_is_wrong_with_an_expression_moves_nothing(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}, size=(80, 16)) as d:
        await d.press("ctrl+f", "alt+r", "x")
        await found(d, "1 of 40")
        before = d.app.finder.find_bar.what.region
        await d.press("home", *"[z-a]{2,1}")
        await d.until(lambda: wrong(d) == "bad character range at character 5")
        assert d.app.finder.find_bar.what.region == before
        shown = d.app.finder.find_bar.query_one(".wrong")
        assert (shown.region.bottom, shown.region.height) == (before.y, 1)


async def test_endless_expression_leaves_the_editor_alive(
    desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgedit.text.search.search.__kwdefaults__", {"seconds": 0.5})
    async with desk({"a.txt": b"a" * 60 + b"!\n"}) as d:
        await d.press("ctrl+f", "alt+r", *"(a|a)+$")
        begun = monotonic()
        await d.press("escape", "end", "z")
        assert monotonic() - begun < 20
        assert d.app.editor.text == "a" * 60 + "!z\n"


async def test_replace_one_and_then_all(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        editor.open_holes([OpenHole(0, 3), OpenHole(19, 26)])
        await d.press("ctrl+r", *"two")
        await found(d, "1 of 4")
        await d.press("tab", *"2!", "enter")
        await found(d, "1 of 3")
        assert editor.text.startswith("one 2!\r\nTwo")
        assert editor.selection == ((1, 0), (1, 3))
        assert [(hole.start, hole.end) for hole in editor.holes] == [(0, 3), (18, 25)]
        await d.press("alt+a")
        await d.until(lambda: d.notice == "3 replaced")
        done = re.sub(rb"(?i)two", b"2!", TEXT)
        assert editor.current.encode() == done
        await d.press("escape", "ctrl+z")
        assert editor.current.encode() == TEXT.replace(b"two", b"2!", 1)
        await d.press("ctrl+z")
        assert editor.current.encode() == TEXT
        await d.press("ctrl+y", "ctrl+y")
        assert editor.current.encode() == done


async def test_replace_knows_groups_and_keeps_line_endings(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        await d.press("ctrl+h", "alt+r", *r"(\w+) (\w+)\n", "tab", *r"\2 \1\n\n")
        await d.press("alt+a")
        await d.until(lambda: d.notice == "3 replaced")
        assert d.app.editor.text.startswith("two one\n\nthree Two\n\ntwofold\n")
        await d.press(*r"\7", "alt+a")
        await d.until(lambda: wrong(d) == "replacement: no such group")


async def test_fault_4_whole_match_is_put_and_saved(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"foo bar\n"}) as d:
        await d.press("ctrl+r", "alt+r", *"foo", "tab", *r"<\0>", "alt+a")
        await d.until(lambda: d.notice == "1 replaced")
        await d.press("escape", "ctrl+s")
        await d.until(lambda: "saved" in d.notice)
    assert (tmp_path / "a.txt").read_bytes() == b"<foo> bar\n"


async def test_viewport_stays_when_lines_above_are_replaced(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        await d.press("ctrl+end", "ctrl+r", "alt+r", *r"^(two|one)")
        await d.press("enter", "tab", *r"\1\n")
        d.app.editor.selected = (len(d.app.editor.text),) * 2
        seen = [d.row(y) for y in range(d.app.editor.size.height)]
        assert "end two" in seen
        await d.press("alt+a")
        await d.until(lambda: d.notice == "3 replaced")
        assert [d.row(y) for y in range(d.app.editor.size.height)] == seen


async def test_go_to_a_line(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT}) as d:
        editor = d.app.editor
        await d.press("ctrl+g", *"40", "enter")
        assert (editor.cursor_location, d.app.focused) == ((39, 0), editor)
        await d.press("ctrl+g", *"-38:3")
        assert editor.cursor_location == (1, 2)
        await d.press("escape")
        assert editor.cursor_location == (39, 0)
        await d.press("ctrl+g", *"99999", "enter")
        assert editor.cursor_location == (44, 0)
        await d.press("ctrl+g", *"1:99", "enter")
        assert editor.cursor_location == (0, 7)
        await d.press("ctrl+g", "x")
        assert "12:5" in str(d.app.finder.line_bar.query_one(".count").render())
        await d.press("enter")
        assert editor.cursor_location == (0, 7)
        for key in ("ctrl+g", *"2:2", "enter", "z"):
            d.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await d.until(lambda: "Tzwo" in editor.text)


async def test_go_to_a_symbol(desk: OpenDesk) -> None:
    code = b"class A:\n    def f(self): pass\n\n" + b"\n" * 40 + b"def other(): pass\n"
    async with desk({"a.py": code, "b.txt": b"x\n"}) as d:
        editor = d.app.editor
        await d.press("ctrl+t")
        assert editor.cursor_location == (0, 0)
        await d.press(*"oth")
        await d.until(lambda: editor.cursor_location == (43, 4))
        await d.press("escape")
        assert (editor.cursor_location, editor.scroll_offset) == ((0, 0), Offset(0, 0))
        await d.press("ctrl+t", *"a.f", "enter")
        assert editor.cursor_location == (1, 8)
        await d.press("ctrl+pagedown", "ctrl+t")
        assert "no symbols" in d.notice


async def test_search_that_ends_after_the_bar_has_gone_tells_nobody(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x\n"}) as d:
        bar = d.app.finder.find_bar
        await bar.remove()
        bar.tell("1 of 2")
        bar.tell("nothing", bad=True)
