"""Undo gives drafts back: accepted, edited, rejected or replaced by others."""

from __future__ import annotations

import pytest
from textual.document._document import Selection

from scripted import Choices, Script

from ..conftest import OpenDesk
from ..editor.test_editor import CODE, masked, spans
from .test_accepting import result


@pytest.mark.parametrize("key", ["enter", "alt+a", "alt+l"])
async def test_undo_gives_the_draft_back(desk: OpenDesk, key: str) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await result(d)
        await d.press("alt+n", key)
        assert d.app.fill is None and "two" in d.app.editor.text
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == CODE
        assert (d.row(1), d.notice) == ("    two", "undone: the draft is back")
        assert "candidate 2 of 2" in d.app.workspace.status.engine
        await d.press("ctrl+y")
        assert (d.app.fill, d.notice, spans(d.app.editor)) == (None, "", [])
        await d.press("ctrl+z", "alt+p", "enter")
        assert "    one\n" in d.app.editor.text


async def test_undo_gives_drafts_back_file_by_file(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await d.press("ctrl+pagedown")
        await result(d)
        await d.press("enter", "ctrl+z")
        assert d.row(1) == "    two"
        await d.press("ctrl+pageup")
        assert "    one\n" in d.app.editor.text
        await d.press("ctrl+z")
        assert d.row(1) == "    one"
        await d.press("alt+y")
        assert [editor.text.split()[2] for editor in d.app.editors] == ["one", "two"]


async def test_undo_gives_the_result_before_the_last_back_as_well(desk: OpenDesk) -> None:
    script = Script("one", "two")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("enter")
        script.texts = ("two",)
        await result(d, (39, 40))
        await d.press("enter")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"one").replace(b"1", b"two")
        await d.press("ctrl+z")
        assert d.row(5) == "    return two"
        d.app.editor.holes.clear()  # as the list of holes removes one
        d.app.editor.touch("edited")
        await d.press("ctrl+z")
        assert (d.row(1), d.app.editor.text.encode()) == ("    one", CODE)


async def test_redo_while_the_hole_is_filled_again_cancels_that(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await result(d)
        await d.press("enter", "ctrl+z", "escape", "f5")
        await d.step()
        await d.press("ctrl+y")
        assert (d.app.fill, d.notice) == (None, "the draft is gone: its hole was edited")
        await d.press("ctrl+z")
        assert (d.app.fill, d.row(1), spans(d.app.editor)) == (None, "    pass", [(13, 17)])


async def test_rejected_after_an_undo_it_stays_rejected(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await result(d)
        await d.press("enter", "ctrl+z", "escape")
        assert (d.app.fill, d.row(1), spans(d.app.editor)) == (None, "    pass", [(13, 17)])
        await d.press("ctrl+y", "ctrl+z")
        assert (d.app.fill, d.row(1), spans(d.app.editor)) == (None, "    pass", [(13, 17)])


async def test_an_acceptance_gives_no_other_draft_back(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("enter")
        script.texts = ("two",)
        await result(d, (39, 40))
        await d.press("ctrl+z")
        assert spans(d.app.editor) == [(13, 17), (40, 41)]
        await d.press("alt+y")
        assert d.row(5) == "    return two"
        assert (d.app.fill, d.row(1), d.notice) == (None, "    pass", "")


async def test_undo_of_a_letter_in_a_draft_gives_the_draft_back(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await result(d)
        await d.press("alt+n")
        d.app.editor.selection = Selection.cursor((1, 6))
        await d.press("q")
        assert (d.app.fill, d.notice) == (None, "the draft is gone: its hole was edited")
        assert d.row(1) == "    paqss"
        await d.press("ctrl+z")
        assert (d.row(1), d.notice) == ("    two", "undone: the draft is back")
        assert spans(d.app.editor) == [(13, 17)]
        await d.press("ctrl+y")
        assert (d.app.fill, d.row(1)) == (None, "    paqss")
        await d.press("ctrl+z", "alt+p", "alt+y")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"one")


async def test_undo_of_a_letter_in_one_of_two_drafts(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await result(d, (13, 17), (40, 41))
        d.select(14, 16)
        await d.press("delete")
        assert [d.row(1), d.row(5)] == ["    ps", "    return one"]
        await d.press("ctrl+z")
        assert [d.row(1), d.row(5)] == ["    one", "    return one"]
        await d.press("alt+y")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"one").replace(b"1", b"one")


async def test_a_part_done_anew_after_a_rejection_is_not_asked_for_again(desk: OpenDesk) -> None:
    script = Script("one two")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("alt+w", "escape", "ctrl+z", "ctrl+y")
        assert spans(d.app.editor) == [(16, 16)]
        script.texts = (" and three",)
        await d.press("f5")
        await d.step(3)
        assert d.row(1) == "    one and three"
        await d.press("alt+y")
        assert "    one and three\n" in d.app.editor.text


async def test_a_part_done_anew_shows_a_candidate_that_begins_with_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one a", "two b")) as d:
        await result(d)
        await d.press("alt+w", "ctrl+z", "alt+n")
        assert d.row(1) == "    two b"
        await d.press("ctrl+y")
        assert d.row(1) == "    one a" and "candidate 1 of 2" in d.app.workspace.status.engine
        await d.press("alt+y")
        assert "    one a\n" in d.app.editor.text


@pytest.mark.parametrize("steps", [1, 3])
async def test_undo_of_an_edit_shows_no_draft_that_is_given_up(desk: OpenDesk, steps: int) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(steps)
        if steps == 3:
            await d.press("f5")
        d.select(14, 16)
        await d.press("x", "ctrl+z")
        assert d.app.editor.text.encode() == CODE
        assert (d.app.fill, d.row(1), spans(d.app.editor)) == (None, "    pass", [(13, 17)])


async def test_undo_after_a_cancelled_rerun_gives_back_what_was_taken_from(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one two")) as d:
        await result(d)
        await d.press("alt+w", "f5")
        await d.step()
        await d.press("escape")
        assert (d.app.fill, d.notice) == (None, "cancelled")
        await d.press("ctrl+z")
        assert (d.row(1), d.notice) == ("    one two", "undone: the draft is back")


# Given back without an edit


async def test_undo_brings_a_rejected_result_back(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await d.press("#")
        await result(d, (14, 18))
        await d.press("alt+n", "escape")
        assert (d.app.fill, d.row(1)) == (None, "    pass")
        await d.press("ctrl+z")
        assert (d.row(1), d.notice) == ("    two", "undone: the draft is back")
        await d.press("ctrl+z")
        assert d.app.editor.text.encode() == CODE and d.row(1) == "    two"
        await d.press("alt+y")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"two")


async def test_undo_brings_back_what_a_rerun_replaced(desk: OpenDesk) -> None:
    script = Script("abcd")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("left", "shift+left", "shift+left")
        script.texts = ("XY",)
        await d.press("alt+r")
        await d.step(3)
        assert d.row(1) == "    aXYd"
        script.texts = ("other",)
        await d.press("f5")
        await d.step(3)
        assert d.row(1) == "    other"
        await d.press("ctrl+z")
        assert d.row(1) == "    aXYd"
        await d.press("alt+w", "ctrl+z")
        assert (d.app.editor.text.encode(), d.row(1)) == (CODE, "    aXYd")
        await d.press("ctrl+z")
        assert d.row(1) == "    abcd"
        await d.press("enter")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"abcd")


async def test_undo_of_an_edit_comes_before_what_was_rejected_earlier(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await result(d)
        await d.press("escape", "ctrl+home", "x")
        await d.press("ctrl+z")
        assert (d.app.fill, d.app.editor.text.encode()) == (None, CODE)
        await d.press("ctrl+z")
        assert d.row(1) == "    one"


async def test_undo_brings_a_result_back_in_all_its_files(desk: OpenDesk) -> None:
    files = {"a.py": CODE, "b.py": CODE, "c.py": CODE}
    async with desk(files, Script("one two", "three")) as d:
        await masked(d, 13, 17)
        await d.press("ctrl+pagedown")
        await result(d)
        await d.press("ctrl+pageup", "alt+w", "ctrl+pageup", "escape")
        assert [spans(editor) for editor in d.app.editors] == [[], [(13, 17)], []]
        await d.press("ctrl+z")  # in a file that has no hole of it
        assert d.notice == "undone: the draft is back"
        assert [spans(editor) for editor in d.app.editors] == [[(16, 16)], [(13, 17)], []]
        await d.press("ctrl+pagedown", "ctrl+z")
        assert (d.row(1), d.app.editor.text.encode()) == ("    one two", CODE)
        await d.press("ctrl+pagedown")
        assert d.row(1) == "    three"
        await d.press("ctrl+z", "alt+y")
        assert [editor.text.split()[2] for editor in d.app.editors] == ["one", "three", "pass"]


async def test_undo_opens_the_hole_of_an_empty_draft_again(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("")) as d:
        await d.press("end", "f2", "f5")
        await d.step(3)
        await d.press("enter")
        assert (d.app.fill, spans(d.app.editor), d.app.editor.text.encode()) == (None, [], CODE)
        await d.press("ctrl+z")
        assert d.app.fill is not None and spans(d.app.editor) == [(8, 8)]


async def test_insertion_point_stays_before_what_is_deleted_and_comes_back(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("end", "shift+f2")
        d.select(8, 13)
        await d.press("delete", "ctrl+z")
        assert d.app.editor.text.encode() == CODE and spans(d.app.editor) == [(8, 8)]
