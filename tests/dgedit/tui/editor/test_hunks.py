"""A result accepted hunk by hunk: what is shown is what is put in, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dgedit.files.document import Document, Span
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.editor.hunks import hunks
from dgedit.tui.widgets.diffview import DiffView
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..infill.test_accepting import result, undos
from .test_editor import spans

OLD = "".join(f"line {i}\n" for i in range(40))
NEW = OLD.replace("line 5\n", "five\n").replace("line 20\n", "").replace("line 30\n", "30\nmore\n")


class Held:
    """What `hunks` asks of an editor."""

    def __init__(self, text: str) -> None:
        self.text, self.current = text, Document.from_text(text, Path("a.txt"))
        self.buffer = Buffer(text)


def test_each_change_is_whole_lines_of_its_hole() -> None:
    hole = OpenHole(0, len(OLD))
    found = hunks(Held(OLD), [(hole, NEW)])  # type: ignore[arg-type]
    assert [hunk.lines[0] for hunk in found] == [
        "@@ -3,7 +3,7 @@",
        "@@ -18,7 +18,6 @@",
        "@@ -28,7 +27,8 @@",
    ]
    put_in = [
        (OLD[one.span.start : one.span.end], one.text) for hunk in found for one in hunk.changes
    ]
    assert put_in == [("line 5\n", "five\n"), ("line 20\n", ""), ("line 30\n", "30\nmore\n")]
    assert [hunk.closed for hunk in found] == [frozenset()] * 3


TEXTS = st.lists(st.sampled_from(["a", "b", "c\n", "\n", "\r\n", "  ", "x y"])).map("".join)


@given(TEXTS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), TEXTS), max_size=4))
def test_all_hunks_together_are_all_that_is_accepted(
    text: str, wanted: list[tuple[int, int, str]]
) -> None:
    fills: list[tuple[OpenHole, str]] = []
    done = 0
    for start, length, draft in sorted(wanted):
        start = max(start, done)
        end = min(start + length, len(text))
        inside = any(text[at - 1 : at + 1] == "\r\n" for at in (start, end) if at)
        if start > len(text) or inside or any(hole.span == Span(start, end) for hole, _ in fills):
            continue
        fills.append((OpenHole(start, end), draft))
        done = end
    held = Held(text)
    found = hunks(held, fills)  # type: ignore[arg-type]
    parts, done = [], 0
    for change in (one for hunk in found for one in hunk.changes):
        assert done <= change.span.start
        parts += [text[done : change.span.start], change.text]
        done = change.span.end
    put_in = "".join(parts) + text[done:]
    assert put_in == held.current.apply([(hole.span, draft) for hole, draft in fills]).text
    closed = [hole for hunk in found for hole in hunk.closed]
    assert len(closed) == len(set(closed))


async def shown(d: Desk) -> list[str]:
    assert isinstance(d.app.screen, DiffView)
    return [line for line in d.app.screen.lines if line[:1] in "+-"]


async def test_hunk_by_hunk_each_its_own_undo(desk: OpenDesk) -> None:
    async with desk({"a.txt": OLD.encode()}, Script(NEW[:-1])) as d:
        await result(d, (0, len(OLD) - 1))
        await d.press("alt+d")
        assert await shown(d) == ["-line 5", "+five", "-line 20", "-line 30", "+30", "+more"]
        await d.press("n", "a")
        editor = d.app.editor
        assert editor.text == OLD.replace("line 20\n", "")
        assert await shown(d) == ["-line 5", "+five", "-line 30", "+30", "+more"]
        await d.press("a")
        assert editor.text == OLD.replace("line 20\n", "").replace("line 30\n", "30\nmore\n")
        assert d.app.fill is not None and spans(editor) == [(0, len(editor.text) - 1)]
        await d.press("a")
        assert editor.text == NEW and d.app.fill is None and spans(editor) == []
        assert not isinstance(d.app.screen, DiffView) and undos(d) == 3
        await d.press("ctrl+z", "ctrl+z")
        assert editor.text == OLD.replace("line 20\n", "")
        assert d.app.fill is not None
        await d.press("ctrl+z")
        assert (editor.text, spans(editor)) == (OLD, [(0, len(OLD) - 1)])
        await d.press("alt+y")
        assert editor.text == NEW


async def test_what_is_left_is_rejected_without_a_mask(desk: OpenDesk) -> None:
    async with desk({"a.txt": OLD.encode()}, Script(NEW[:-1])) as d:
        await result(d, (0, len(OLD) - 1))
        await d.press("alt+d", "p", "a", "escape", "escape")
        assert d.app.editor.text == OLD.replace("line 5\n", "five\n")
        assert d.app.fill is None and spans(d.app.editor) == []


async def test_hunks_of_several_holes_and_files(desk: OpenDesk) -> None:
    files = {"a.txt": b"one two\nmid\n" * 9, "b.txt": b"one\r\ntwo\r\n"}
    async with desk(files, Script("1", "2", "3\n4", "5")) as d:
        d.select(0, 3)
        await d.press("f2")
        d.select(4, 7)
        await d.press("f2")
        d.select(96, 99)
        await d.press("f2", "ctrl+pagedown")
        await result(d, (5, 8))
        await d.press("alt+d", "n")
        assert isinstance(d.app.screen, DiffView)
        marked = [line for line in d.app.screen.lines if "A accepts" in line]
        assert [line.split()[1] for line in marked] == ["-14,5"]
        await d.press("a")
        one, two = d.app.editors
        assert one.text == "one two\nmid\n" * 8 + "3\n4 two\nmid\n"
        assert [spans(one), spans(two)] == [[(0, 3), (4, 7)], [(5, 8)]]
        await d.press("a")
        assert two.text == "one\r\n5\r\n"
        await d.press("a")
        assert one.text.startswith("1 2\nmid\n") and d.app.fill is None


async def test_hunk_above_leaves_a_mask_that_is_no_part_of_it(desk: OpenDesk) -> None:
    async with desk({"a.txt": OLD.encode()}, Script("x\ny", "z")) as d:
        await result(d, (0, 6), (70, 76))
        d.select(20, 21)
        d.app.editor.open_holes([OpenHole(22, 27)])
        await d.press("alt+d", "a")
        assert d.app.editor.text.startswith("x\ny\nline 1\n")
        assert spans(d.app.editor) == [(19, 24), (67, 73)]
        await d.press("escape", "ctrl+z")
        assert spans(d.app.editor) == [(0, 6), (22, 27), (70, 76)]


async def test_nothing_changed_has_no_hunk(desk: OpenDesk) -> None:
    async with desk({"a.txt": OLD.encode()}, Script("line 0")) as d:
        await result(d, (0, 6))
        await d.press("alt+d")
        assert isinstance(d.app.screen, DiffView)
        assert d.app.screen.lines[1:] == [" no difference"]
        await d.press("a")
        assert not isinstance(d.app.screen, DiffView) and d.app.editor.text == OLD
