"""Words are completed from the open files, one press after another."""

from __future__ import annotations

import pytest

from ..conftest import Desk, OpenDesk, Script

TEXT = "number name\nna\nnation\n"


def text_of(d: Desk) -> str:
    return d.app.editor.text


async def test_each_press_puts_in_the_next_ending_and_the_last_is_as_typed(
    desk: OpenDesk,
) -> None:
    async with desk({"a.txt": TEXT.encode(), "b.txt": b"native"}) as d:
        d.select(14, 14)
        for word, said in [
            ("name", "1 of 3: name"),
            ("nation", "2 of 3: nation"),
            ("native", "3 of 3: native"),
            ("na", "as typed: na"),
            ("name", "1 of 3: name"),
        ]:
            await d.press("ctrl+@")
            assert text_of(d) == TEXT.replace("\nna\n", f"\n{word}\n")
            assert d.notice == said
            assert d.app.editor.selected == (12 + len(word),) * 2
        await d.press("alt+shift+slash")
        assert text_of(d) == TEXT
        await d.press("alt+question_mark")
        assert d.notice == "3 of 3: native"


@pytest.mark.parametrize("key", ["ctrl+@", "ctrl+space", "alt+slash"])
async def test_run_is_one_undo_and_redo_brings_back_what_was_kept(desk: OpenDesk, key: str) -> None:
    async with desk({"a.txt": TEXT.encode()}) as d:
        d.select(14, 14)
        await d.press(key, key, "!")
        assert text_of(d) == "number name\nnation!\nnation\n"
        await d.press("ctrl+z")
        assert text_of(d) == "number name\nnation\nnation\n"
        await d.press("ctrl+z")
        assert text_of(d) == TEXT and not d.app.editor.dirty
        await d.press("ctrl+y")
        assert text_of(d) == "number name\nnation\nnation\n"


async def test_another_key_keeps_what_is_shown(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT.encode()}) as d:
        d.select(14, 14)
        await d.press("ctrl+@", "left", "right", "ctrl+@")
        assert text_of(d) == "number name\nname\nnation\n"
        assert d.notice == "no other word begins with name"


async def test_nothing_is_begun_behind_a_blank_or_with_a_selection(desk: OpenDesk) -> None:
    async with desk({"a.txt": b" name"}) as d:
        await d.press("ctrl+@")
        assert d.notice == "no word is begun before the cursor"
        d.select(1, 3)
        await d.press("ctrl+@")
        assert text_of(d) == " name" and d.notice == "no word is begun before the cursor"


async def test_each_of_several_cursors_behind_the_same_letters_gets_it(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"name\nno\nna\nna\n"}) as d:
        d.select(7, 7)
        await d.press("ctrl+shift+down", "ctrl+shift+down", "ctrl+@")
        editor = d.app.editor
        assert text_of(d) == "name\nno\nname\nname\n" and editor.cursors.count == 3
        await d.press("ctrl+@")
        assert text_of(d) == "name\nno\nna\nna\n" and editor.cursors.count == 3
        await d.press("ctrl+@", "s")
        assert text_of(d) == "name\nnos\nnames\nnames\n"
        await d.press("ctrl+z", "ctrl+z")
        assert text_of(d) == "name\nno\nna\nna\n" and editor.cursors.count == 3


async def test_holes_stay_on_their_text(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"name hole na"}) as d:
        d.select(5, 9)
        await d.press("f2")
        d.select(12, 12)
        await d.press("ctrl+@")
        (hole,) = d.app.editor.holes
        assert text_of(d) == "name hole name" and (hole.start, hole.end) == (5, 9)


async def test_hole_that_is_filled_is_the_models(desk: OpenDesk) -> None:
    async with desk({"a.py": b"name = na\n"}, Script("x")) as d:
        d.select(7, 9)
        await d.press("f2", "f5")
        d.app.editor.selected = 9, 9
        await d.press("ctrl+@")
        assert text_of(d) == "name = na\n" and "the model fills it" in d.notice


async def test_read_only_text_stays(desk: OpenDesk) -> None:
    async with desk({"a.txt": TEXT.encode()}) as d:
        d.app.editor.locked = True
        d.select(14, 14)
        await d.press("ctrl+@")
        assert text_of(d) == TEXT and "read-only" in d.notice
