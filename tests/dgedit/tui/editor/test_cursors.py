"""Several cursors: each key works at all of them, as one undo, and all are drawn."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events

from dgedit.text.indentation import to_stop
from scripted import Script

from ..conftest import Desk, OpenDesk

WORDS = b"one two one\ntwo one\none\n"


def at(d: Desk) -> list[tuple[int, int]]:
    """All selections, in the order of the text."""
    return sorted((one.anchor, one.cursor) for one in d.app.editor.cursors.all)


def cells(d: Desk, y: int, name: str = "cursor") -> list[int]:
    """The cells of a row that are drawn as a cursor, or as selected."""
    editor = d.app.editor
    ground = getattr(editor._ink(), name).bgcolor
    found, x = [], -editor.gutter_width
    for segment in editor.render_line(y):
        if x >= 0 and segment.style is not None and segment.style.bgcolor == ground:
            found += range(x, x + len(segment.text))
        x += len(segment.text)
    return found


async def test_ctrl_d_selects_a_word_and_adds_the_next_ones(desk: OpenDesk) -> None:
    async with desk({"a.txt": WORDS}) as d:
        await d.press("ctrl+d")
        assert at(d) == [(0, 3)]
        await d.press("ctrl+d", "ctrl+d")
        assert at(d) == [(0, 3), (8, 11), (16, 19)]
        assert "3 cursors" in d.app.workspace.status.place
        await d.press("x")
        assert d.app.editor.text == "x two x\ntwo x\none\n"
        await d.press("ctrl+z")
        assert d.app.editor.text == WORDS.decode()
        assert at(d) == [(0, 3), (8, 11), (16, 19)]
        await d.press("ctrl+y")
        assert d.app.editor.text == "x two x\ntwo x\none\n"
        assert at(d) == [(1, 1), (7, 7), (13, 13)]
        await d.press("escape")
        assert at(d) == [(13, 13)] and "cursors" not in d.app.workspace.status.place


async def test_ctrl_d_goes_around_the_end_and_says_when_there_is_no_more(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"ab ab"}) as d:
        d.select(3, 5)
        await d.press("ctrl+d")
        assert at(d) == [(0, 2), (3, 5)]
        await d.press("ctrl+d")
        assert at(d) == [(0, 2), (3, 5)] and "nowhere else" in d.notice


async def test_all_equal_words_are_selected_at_once(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a ab a\nba a"}) as d:
        await d.press("alt+o")
        assert at(d) == [(0, 1), (5, 6), (10, 11)]
        assert d.app.editor.selected == (0, 1)
        await d.press("backspace", "Z")
        assert d.app.editor.text == "Z ab Z\nba Z"


async def test_cursors_above_and_below_type_and_delete(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"12345\n\n12345\n12345\n"}) as d:
        d.select(3, 3)
        d.app.editor.record_cursor_width()
        await d.press("ctrl+shift+down", "ctrl+shift+down")
        assert at(d) == [(3, 3), (6, 6), (10, 10)]  # the empty row in between loses no column
        await d.press("x", "y")
        assert d.app.editor.text == "123xy45\nxy\n123xy45\n12345\n"
        await d.press("backspace")
        assert d.app.editor.text == "123x45\nx\n123x45\n12345\n"
        await d.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert d.app.editor.text == "12345\n\n12345\n12345\n"
        await d.press("escape", "ctrl+shift+up")
        assert len(at(d)) == 2


async def test_movement_and_selection_are_each_cursors_own(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one two\none two\n"}) as d:
        await d.press("ctrl+shift+down", "ctrl+right", "shift+end")
        assert at(d) == [(3, 7), (11, 15)]
        await d.press("delete")
        assert d.app.editor.text == "one\none\n" and at(d) == [(3, 3), (7, 7)]
        await d.press("home", "shift+right", "left", "end", "up")
        assert len(at(d)) == 2
        await d.press("ctrl+home")
        assert at(d) == [(0, 0)]  # they met


async def test_enter_tab_and_pairs_work_at_each(desk: OpenDesk) -> None:
    async with desk({"a.py": b"f f\nf\n"}) as d:
        await d.press("alt+o", "right", "(", "1", ")")
        assert d.app.editor.text == "f(1) f(1)\nf(1)\n"
        await d.press("enter")
        assert d.app.editor.text == "f(1)\n f(1)\n\nf(1)\n\n"
        before = d.app.editor.text
        await d.press("tab")
        assert d.app.editor.text.count("    ") == 3
        await d.press("ctrl+z")
        assert d.app.editor.text == before
        await d.press("ctrl+z")
        assert d.app.editor.text == "f(1) f(1)\nf(1)\n"


async def test_lines_are_commented_and_moved_once(desk: OpenDesk) -> None:
    async with desk({"a.py": b"a a\nb\na\nc\n"}) as d:
        await d.press("alt+o", "ctrl+underscore")
        assert d.app.editor.text == "# a a\nb\n# a\nc\n"
        await d.press("ctrl+underscore", "alt+down")
        assert d.app.editor.text == "b\na a\nc\na\n"
        await d.press("alt+up")
        assert d.app.editor.text == "a a\nb\na\nc\n"
        await d.press("alt+k")
        assert d.app.editor.text == "b\nc\n"


async def test_copies_are_pasted_one_at_each(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a=1\nb=2\n"}) as d:
        await d.press("ctrl+shift+down", "shift+right", "ctrl+x")
        assert d.app.clipboard == "a\nb" and d.app.editor.text == "=1\n=2\n"
        await d.press("end", "ctrl+v")
        assert d.app.editor.text == "=1a\n=2b\n"
        d.app.post_message(events.Paste("X"))  # as a terminal does
        await d.settled()
        assert d.app.editor.text == "=1aX\n=2bX\n"
        await d.press("ctrl+z")
        assert d.app.editor.text == "=1a\n=2b\n"
        await d.press("escape")
        d.app.editor.put("l\n")  # a single cursor gets all of it
        assert "l\n" in d.app.editor.text


async def test_alt_click_adds_a_cursor_and_a_click_ends_them(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"12345\n12345\n"}) as d:
        editor = d.app.editor
        await d.pilot.click(editor, offset=(editor.gutter_width + 2, 1), meta=True)
        await d.settled()
        assert at(d) == [(0, 0), (8, 8)]
        await d.press("x")
        assert editor.text == "x12345\n12x345\n"
        await d.pilot.click(editor, offset=(editor.gutter_width + 2, 1))
        await d.settled()
        assert at(d) == [(9, 9)]


async def test_find_undo_of_older_edits_and_other_files_end_them(desk: OpenDesk) -> None:
    async with desk({"a.txt": WORDS, "b.txt": b"b"}) as d:
        await d.press("x", "ctrl+shift+down", "ctrl+z")
        assert d.app.editor.text == WORDS.decode() and len(at(d)) == 1
        await d.press("ctrl+shift+down", "ctrl+pagedown", "ctrl+pagedown")
        assert len(at(d)) == 1
        await d.press("ctrl+shift+down", "ctrl+f", "t", "w")
        await d.until(lambda: len(at(d)) == 1)


async def test_f2_masks_at_each_and_a_result_has_one_cursor(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x = a\ny = a\n"}, Script("1", "2")) as d:
        d.select(4, 5)
        await d.press("ctrl+d", "f2")
        assert [(hole.start, hole.end) for hole in d.app.editor.holes] == [(4, 5), (10, 11)]
        assert d.notice == "2 × masked the selection" and len(at(d)) == 2
        await d.press("f5")
        await d.step(3)
        assert len(at(d)) == 1
        await d.press("ctrl+shift+up")
        assert len(at(d)) == 1 and "one cursor only" in d.notice
        await d.press("alt+y")
        assert d.app.editor.text == "x = 1\ny = 2\n"


async def test_all_cursors_and_selections_are_drawn(desk: OpenDesk) -> None:
    async with desk({"a.txt": WORDS}) as d:
        await d.press("ctrl+d", "ctrl+d")
        assert cells(d, 0, "selection") == [0, 1, 2, 8, 9, 10] and 3 in cells(d, 0)
        await d.press("right")
        assert cells(d, 0) == [3, 11]
        await d.press("escape")
        assert cells(d, 0) == [11]


KEYS = st.sampled_from(["a", "é", "backspace", "delete", "left", "right", "shift+right", "ctrl+z"])


def test_random_keys_agree_with_a_model_of_text_and_cursors(desk: OpenDesk) -> None:
    """Each key is one replacement at each cursor of a string; an undo is the string before."""

    async def pressed(text: str, places: list[int], keys: list[str]) -> None:
        async with desk({"a.txt": text.encode()}) as d:
            editor = d.app.editor
            for place in places:
                d.app.editor.cursors.add((place, place))
            model, past = (text, merged([(place, place) for place in [0, *places]])), []
            for key in keys:
                await d.press(key)
                if key == "ctrl+z":
                    if not past:
                        break
                    model = past.pop()
                elif (after := done(*model, key, editor.indent_size))[0] != model[0] or key == "a":
                    past, model = [*past, model], after
                else:
                    model = after
                found = at(d)
                assert (editor.text, found) == model, key
                if len(found) == 1:
                    break  # a single cursor's undo takes back several keys

    @settings(max_examples=25, deadline=None)
    @given(
        st.text("ab \n", min_size=1, max_size=12),
        st.lists(st.integers(0, 12), min_size=1, max_size=4),
        st.lists(KEYS, max_size=6),
    )
    def run(text: str, places: list[int], keys: list[str]) -> None:
        asyncio.run(pressed(text, [min(place, len(text)) for place in places], keys))

    run()


def merged(selections: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cursors that meet are one; all are made forwards here."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(selections):
        if joined and (
            start < joined[-1][1]
            or (start == joined[-1][1] and (start == end or joined[-1][0] == joined[-1][1]))
        ):
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def done(
    text: str, selections: list[tuple[int, int]], key: str, step: int
) -> tuple[str, list[tuple[int, int]]]:
    """The text and the cursors after a key; `step` is that of the text's indentation."""
    if key == "backspace":
        return taken_back(text, selections, step)
    by = {"left": -1, "right": 1, "shift+right": 1}.get(key)
    if by is not None:

        def moved(index: int) -> int:
            return min(len(text), max(0, index + by))

        if key == "shift+right":
            return text, merged([(start, moved(end)) for start, end in selections])
        side = int(by > 0)
        return text, merged(
            [
                (to, to)
                for to in (one[side] if one[0] < one[1] else moved(one[0]) for one in selections)
            ]
        )
    new, ends, last = "", [], 0
    for start, end in selections:
        first, stop = start, end
        if start == end:
            stop += key == "delete" and end < len(text)
        first = max(first, last)
        new += text[last:first] + (key if len(key) == 1 else "")
        ends.append((len(new), len(new)))
        last = max(last, stop)
    return new + text[last:], merged(ends)


def taken_back(
    text: str, selections: list[tuple[int, int]], step: int
) -> tuple[str, list[tuple[int, int]]]:
    """The same after a Backspace, which is done at each from the last to the first, and takes the
    blanks that begin a line back to the stop before.
    """
    places = list(selections)
    for at in reversed(range(len(places))):
        first, end = places[at]
        if first == end:
            lead = text[text.rfind("\n", 0, end) + 1 : end]
            blank = lead and not lead.strip(" ")
            first -= to_stop(lead, step, step) if blank else min(1, end)
        text = text[:first] + text[end:]

        def moved(index: int, first: int = first, end: int = end) -> int:
            return index - (end - first) if index >= end else min(index, first)

        places = [(moved(one), moved(two)) for one, two in places]
    return text, merged(places)
