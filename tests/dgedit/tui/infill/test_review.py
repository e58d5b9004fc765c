"""A result: taken in part, looked at from other sides, refined again; each key of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from textual.document._document import Selection
from textual.widgets._footer import FooterKey

from dgedit.tui.infill.session import Stage
from dgedit.tui.widgets.diffview import DiffView
from dgedit_engine.types import Draft, InfillRequest, Step
from scripted import DONE, NOISE, Choices, Script, draft

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans
from .test_accepting import result, undos

# Candidates


async def test_other_candidates_and_their_scores(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two", "three")) as d:
        await result(d)
        assert "candidate 1 of 3 · ready" in d.app.workspace.status.engine
        await d.press("alt+right_square_bracket")
        assert d.row(1) == "    two"
        said = "candidate 2 of 3 · unsure · leaves 1 syntax error · ready"
        assert said in d.app.workspace.status.engine
        await d.press("alt+left_square_bracket", "alt+p")
        assert d.row(1) == "    three"
        await d.press("alt+n", "alt+n", "enter")
        assert "    two\n" in d.app.editor.text


async def test_each_of_several_holes_has_candidates_of_its_own(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await result(d, (13, 17), (40, 41))
        said = "hole 2 of 2 · candidate 1 of 2 · ready"
        assert d.app.workspace.status.engine.startswith(said)
        await d.press("alt+n")
        assert "hole 2 of 2 · candidate 2 of 2" in d.app.workspace.status.engine
        assert [d.row(1), d.row(5)] == ["    one", "    return two"]
        await d.press("ctrl+home", "down", "end", "alt+n", "alt+y")
        assert d.app.editor.text.count("two") == 2


async def test_only_candidates_that_begin_with_what_was_taken(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("return 1", "pass", "return x + 2")) as d:
        await result(d)
        await d.press("ctrl+right", "alt+right_square_bracket")
        assert d.row(1) == "    return x + 2"
        assert "3 of 3" in d.app.workspace.status.engine
        await d.press("ctrl+right", "alt+right_square_bracket")
        assert "begins with what was taken" in d.notice
        await d.press("enter")
        assert "    return x + 2\n" in d.app.editor.text


@pytest.mark.parametrize(("texts", "why"), [(("a", "a"), "equal"), (("a",), "no other")])
async def test_no_other_candidate_is_told(desk: OpenDesk, texts: tuple[str, ...], why: str) -> None:
    async with desk({"a.py": CODE}, Choices(*texts)) as d:
        await result(d)
        await d.press("alt+right_square_bracket")
        assert why in d.notice


# Steps


async def test_scrub_through_the_steps_and_take_one(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await d.press("left_square_bracket")
        assert (d.row(1), "step 2 of 3" in d.app.workspace.status.engine) == ("    a#c#", True)
        await d.press("left_square_bracket", "left_square_bracket")
        assert (d.row(1), "first step" in d.notice) == ("    ????", True)
        await d.press("right_square_bracket", "right_square_bracket")
        assert "ready" in d.app.workspace.status.engine
        await d.press("right_square_bracket")
        assert "last step" in d.notice
        await d.press("left_square_bracket", "enter")
        assert d.app.editor.text == CODE.decode().replace("pass", "a#c#")


async def test_brackets_type_when_no_result_is_open(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await d.press("left_square_bracket", "right_square_bracket")
        assert d.app.editor.text.startswith("[]def")
        await masked(d, 15, 19)
        await d.press("f5")
        await d.step()
        d.app.editor.selection = Selection.cursor((0, 0))
        await d.press("right_square_bracket")
        assert d.app.editor.text.startswith("][]def")


async def test_no_more_than_200_steps_are_kept(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("x")) as d:
        await result(d)
        fill = d.app.fill
        assert fill is not None
        for index in range(4, 1000):
            fill.keep(Step(index, 1000, (draft("x", DONE),)))
        assert len(fill.kept) <= 200
        assert (fill.kept[0].index, fill.kept[-1].index) == (1, 999)


# In a draft


async def test_arrows_walk_over_a_draft_and_leave_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        editor = d.app.editor
        x, y = editor.gutter_width, 1

        def caret() -> int:
            offset = editor.cursor_screen_offset - editor.region.offset
            assert offset.y == y
            return offset.x - x - 4

        await d.press("left", "left")
        assert caret() == 2
        await d.press("right", "right", "right")
        assert editor.cursor_location == (2, 0)
        await d.press("left", "left", "left", "left", "left")
        assert caret() == 0
        await d.press("left")
        assert editor.cursor_location == (1, 3)
        await d.press("shift+right")
        assert editor.selection == Selection((1, 3), (1, 4))


async def test_selected_pieces_are_refined_again(desk: OpenDesk) -> None:
    script = Script("abcd")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("left", "shift+left", "shift+left")
        assert "Alt+R" in d.notice
        marked = [run.text for run in d.app.editor.rows.row(1)[0] if run.marked]
        assert marked == ["b", "c"]
        script.texts = ("XY",)
        await d.press("alt+r")
        await d.step(3)
        request = script.requests[-1]
        assert [hole.text for hole in request.holes] == ["bc"]
        assert request.passages[0].parts[0] == "def f():\n    a"
        assert request.passages[0].parts[2] == "d\n\n\ndef g():\n    return 1\n"
        assert request.seed == 1
        assert d.row(1) == "    aXYd"
        await d.press("enter")
        assert d.app.editor.text == CODE.decode().replace("pass", "aXYd")
        assert undos(d) == 1


async def test_selected_pieces_are_held_and_the_rest_refined(desk: OpenDesk) -> None:
    script = Script("abcd", "two")
    async with desk({"a.py": CODE}, script) as d:
        await result(d, (13, 17), (40, 41))
        d.app.editor.selection = Selection.cursor((1, 8))
        await d.press("left", "shift+left", "shift+left")
        script.texts = ("1x", "2y")
        await d.press("alt+h")
        await d.step(3)
        assert [hole.text for hole in script.requests[-1].holes] == ["a", "d"]
        parts = script.requests[-1].passages[0].parts
        assert parts[2] == "bc" and parts[4] == "\n\n\ndef g():\n    return two\n"
        assert [d.row(1), d.row(5)] == ["    1xbc2y", "    return two"]
        await d.press("left_square_bracket")
        assert d.row(1) == "    1#bc2#"
        await d.press("right_square_bracket", "enter")
        text = CODE.decode().replace("pass", "1xbc2y").replace("return 1", "return two")
        assert d.app.editor.text == text


async def test_escape_drops_a_selection_before_it_rejects(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        await d.press("shift+left", "escape")
        assert d.app.fill is not None
        assert not any(run.marked for run in d.app.editor.rows.row(1)[0])
        await d.press("alt+r")
        assert "nothing is selected" in d.notice
        await d.press("escape")
        assert d.app.fill is None


async def test_all_of_a_draft_cannot_be_held(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("ab")) as d:
        await result(d)
        await d.press("shift+left", "shift+left", "alt+h")
        assert "nothing is left" in d.notice
        assert d.app.fill is not None and d.app.fill.stage is Stage.READY


async def test_giving_up_a_rerun_brings_the_result_back(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        before = d.app.fill
        await d.press("f5")
        await d.step()
        assert d.row(1) == "    ????"
        await d.press("escape")
        assert d.app.fill is before and d.row(1) == "    abcd"
        await d.press("enter")
        assert "    abcd\n" in d.app.editor.text


async def test_rerun_after_a_part_was_taken_is_for_the_rest(desk: OpenDesk) -> None:
    script = Script("return x")
    async with desk({"a.py": CODE}, script) as d:
        await result(d)
        await d.press("ctrl+right")
        script.texts = (" None",)
        await d.press("f5")
        await d.step(3)
        assert script.requests[-1].passages[0].parts[0] == "def f():\n    return"
        assert d.row(1) == "    return None"
        await d.press("ctrl+z")
        assert spans(d.app.editor) == [(13, 17)] and d.app.editor.text.encode() == CODE
        assert (d.row(1), d.notice) == ("    return x", "undone: the draft is back")


# Other views


async def test_diff_of_the_result(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("return 2")) as d:
        await result(d)
        await d.press("alt+d")
        assert isinstance(d.app.screen, DiffView)
        lines = [line for line in d.app.screen.lines if line[:1] in "+-"]
        assert [line.split() for line in lines[-2:]] == [["-", "pass"], ["+", "return", "2"]]
        await d.press("escape", "enter")
        assert "return 2" in d.app.editor.text


async def test_diff_is_of_all_files_that_enter_accepts_in(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE, "c.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await d.press("ctrl+pagedown")
        await result(d, (40, 41))
        await d.press("ctrl+pagedown", "alt+d")
        assert isinstance(d.app.screen, DiffView)
        lines = d.app.screen.lines
        names = [line.rpartition("/")[2] for line in lines if line.startswith("━━ ")]
        assert names == ["a.py", "b.py"] and "2 files" in d.app.screen.heading
        assert [line for line in lines if line[0] == "+"] == ["+    one", "+    return two"]


async def test_heat_differs_without_colour(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        fill = d.app.fill
        assert fill is not None and fill.step is not None
        warm = Draft(tuple("abcd"), (0.99, 0.8, 0.5, 0.1), (True,) * 4)
        fill.draw(Step(3, 3, (warm,), last=True, stopped="settled"), 1.0)
        cool = looks(d)
        assert len(set(cool)) == 1
        await d.press("alt+c")
        assert len(set(looks(d))) == 4
        await d.press("alt+c")
        assert looks(d) == cool


def looks(d: Desk) -> list[tuple[object, ...]]:
    editor = d.app.editor
    first = editor.gutter_width + 4
    styles = [s.style for s in editor.render_line(1) for _ in s.text][first : first + 4]
    return [(s.bold, s.italic, s.underline, s.reverse) for s in styles if s is not None]


# Why nothing happened


@pytest.mark.parametrize(
    ("text", "why"), [("", "the draft is empty"), ("pass", "what is there already")]
)
async def test_result_that_is_nothing_new_is_told(desk: OpenDesk, text: str, why: str) -> None:
    async with desk({"a.py": CODE}, Script(text)) as d:
        await result(d)
        assert why in d.notice


# At a hole and elsewhere


async def test_away_from_all_holes_keys_are_the_texts_own(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        d.app.editor.selection = Selection.cursor((0, 8))
        await d.press("a", "left_square_bracket", "0", "right_square_bracket", "enter")
        assert d.app.editor.text == CODE.decode().replace(":", ":a[0]\n", 1)
        assert (d.row(2), d.app.fill is not None) == ("    abcd", True)
        await d.press("alt+y")
        assert d.app.editor.text == CODE.decode().replace(":", ":a[0]\n", 1).replace("pass", "abcd")


def accept_keys(d: Desk) -> list[str]:
    shown = d.app.screen.query(FooterKey)
    return [key.key_display for key in shown if key.description == "accept"]


async def test_footer_names_the_key_that_accepts_from_where_the_cursor_is(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("abcd")) as d:
        await result(d)
        await d.until(lambda: accept_keys(d) == ["Enter"])
        await d.press("up")
        await d.until(lambda: accept_keys(d) == ["Alt+Y"])
        await d.press("down")
        await d.until(lambda: accept_keys(d) == ["Enter"])
        await d.press("ctrl+pagedown")
        await d.until(lambda: accept_keys(d) == ["Alt+Y"])


async def test_steps_after_another_candidate_lead_back_to_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two")) as d:
        await result(d)
        await d.press("alt+n", "left_square_bracket")
        assert (d.row(1), "on the way to candidate 2" in d.app.workspace.status.engine) == (
            "    o#e",
            True,
        )
        await d.press("right_square_bracket")
        assert (d.row(1), "candidate 2 of 2" in d.app.workspace.status.engine) == ("    two", True)
        await d.press("enter")
        assert "    two\n" in d.app.editor.text


async def test_rows_that_a_longer_step_took_are_given_back(desk: OpenDesk) -> None:
    class Shrinking(Script):
        def infill(self, request: InfillRequest) -> Iterator[Step]:
            for step in super().infill(request):
                long = (draft("a\nb\nc\nd", NOISE),)
                yield step if step.last else dataclasses.replace(step, drafts=long)

    async with desk({"a.py": CODE}, Shrinking("x")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(2)
        assert d.row(4) == "?"
        await d.step()
        assert [d.row(y) for y in range(1, 5)] == ["    x", "", "", "def g():"]
        await d.press("left_square_bracket")
        assert d.row(7) == "def g():"
        await d.press("right_square_bracket")
        assert d.row(4) == "def g():"


async def test_enter_accepts_where_the_cursor_has_not_moved(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        d.app.editor.selection = Selection.cursor((0, 0))
        await d.press("f5")
        await d.step(3)
        d.app.editor.selection = Selection.cursor((1, 4))
        await d.press("alt+a", "enter")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"one").replace(b"1", b"two")
        await d.press("ctrl+z", "ctrl+z", "escape")
        d.app.editor.selection = Selection.cursor((0, 0))
        await d.press("f5")
        await d.step(3)
        await d.press("enter")
        assert d.app.editor.text.encode() == CODE.replace(b"pass", b"one").replace(b"1", b"two")


async def test_keys_below_follow_when_the_hole_at_the_cursor_goes(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await result(d, (13, 17), (40, 41))
        d.app.editor.selection = Selection.cursor((1, 4))
        await d.press("delete")
        assert "one draft is gone" in d.notice and "for both" not in d.app.workspace.status.engine
        shown = d.app.screen.query(FooterKey)
        await d.until(
            lambda: [k.key_display for k in shown if k.description == "accept"] == ["Alt+Y"]
        )


async def test_accepting_in_several_files_says_so(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("one", "two", "three")) as d:
        await masked(d, 13, 17)
        await d.press("ctrl+pagedown")
        await result(d, (13, 17), (40, 41))
        await d.press("enter")
        assert d.notice == "accepted 3 holes in 2 files"
