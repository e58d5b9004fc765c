"""Several holes, each looked at and taken by itself; what is stale is applied in none of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from textual.document._document import Selection

from dgedit.tui.infill.session import Fill, Stage
from dgedit.tui.infill.worker import Failed
from dgedit.tui.widgets.diffview import DiffView
from dgedit_engine.types import InfillRequest, Step
from scripted import DONE, HALF, Choices, Script, draft

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans
from .test_accepting import result

HOLES = (13, 17), (40, 41)


def at(d: Desk, row: int, column: int) -> None:
    d.app.editor.selection = Selection.cursor((row, column))


def rows(d: Desk) -> list[str]:
    """What is drawn where the two holes are."""
    return [d.row(1).strip(), d.row(5).strip().removeprefix("return ")]


def filled(one: str, two: str) -> str:
    return CODE.decode().replace("pass", one).replace("1", two)


async def test_status_is_of_the_hole_at_the_cursor_or_the_nearest(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two", "three"), size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+p")
        assert d.app.workspace.status.engine.startswith("hole 2 of 2 · candidate 3 of 3")
        at(d, 1, 5)
        await d.until(
            lambda: d.app.workspace.status.engine.startswith("hole 1 of 2 · candidate 1 of 3")
        )
        await d.press("alt+n")
        assert d.app.workspace.status.engine.startswith("hole 1 of 2 · candidate 2 of 3")
        await d.press("down", "down", "down")
        await d.until(lambda: d.app.workspace.status.engine.startswith("hole 2 of 2 · candidate 3"))
        await d.press("alt+n")
        assert rows(d) == ["two", "one"]


async def test_steps_of_one_hole_leave_the_others(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two"), size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        at(d, 1, 5)
        await d.press("left_square_bracket", "left_square_bracket")
        assert rows(d) == ["???", "two"]
        said = "hole 1 of 2 · refining, step 1 of 3 · 0% settled"
        await d.until(lambda: d.app.workspace.status.engine.startswith(said))
        at(d, 5, 11)
        await d.press("left_square_bracket")
        assert rows(d) == ["???", "t#o"]
        assert "hole 2 of 2 · on the way to candidate 2" in d.app.workspace.status.engine
        await d.press("right_square_bracket")
        assert rows(d) == ["???", "two"]
        await d.press("enter")
        assert d.app.editor.text == filled("???", "two")
        await d.press("ctrl+z")
        assert rows(d) == ["???", "two"]


async def test_a_part_taken_of_one_hole_binds_that_one_alone(desk: OpenDesk) -> None:
    texts = "return y", "pass", "return x + 2"
    async with desk({"a.py": CODE}, Choices(*texts), size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        at(d, 1, 5)
        await d.press("ctrl+right", "alt+n")
        assert rows(d) == ["return x + 2", "pass"]
        await d.press("alt+n")
        assert rows(d) == ["return y", "pass"]
        at(d, 5, 11)
        await d.press("alt+n")
        assert rows(d) == ["return y", "return x + 2"]
        await d.press("ctrl+z")
        assert spans(d.app.editor) == list(HOLES)
        assert rows(d) == ["return y", "return x + 2"]
        await d.press("ctrl+y", "alt+y")
        assert d.app.editor.text == filled("return y", "return x + 2")


async def test_candidate_that_does_not_begin_with_what_is_taken_again_gives_way(
    desk: OpenDesk,
) -> None:
    async with desk({"a.py": CODE}, Choices("return 1", "pass"), size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        at(d, 1, 5)
        await d.press("ctrl+right", "ctrl+z", "alt+n")
        assert rows(d) == ["pass", "pass"]
        await d.press("ctrl+y")
        assert rows(d) == ["return 1", "pass"]


async def test_holes_are_accepted_one_by_one_as_each_is_shown(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two", "three"), size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        at(d, 1, 5)
        await d.press("alt+p", "alt+a")
        assert d.app.editor.text == filled("three", "1")
        assert rows(d) == ["three", "two"]
        assert d.app.workspace.status.engine.startswith("candidate 2 of 3")
        await d.press("alt+a")
        assert d.app.editor.text == filled("three", "two") and d.app.fill is None
        await d.press("ctrl+z", "ctrl+z")
        assert spans(d.app.editor) == list(HOLES) and rows(d) == ["three", "two"]
        assert d.app.workspace.status.engine.startswith("hole 1 of 2 · candidate 3 of 3")
        await d.press("alt+y")
        assert d.app.editor.text == filled("three", "two")


async def test_diff_and_its_hunks_are_of_what_each_hole_shows(desk: OpenDesk) -> None:
    code = CODE.replace(b"\n\n\n", b"\n" * 12)
    async with desk({"a.py": code}, Choices("one", "two"), size=(100, 24)) as d:
        await result(d, (13, 17), (code.index(b"1"), code.index(b"1") + 1))
        await d.press("alt+n", "alt+d")
        assert isinstance(d.app.screen, DiffView)
        added = [line for line in d.app.screen.lines if line.startswith("+ ")]
        assert added == ["+    one", "+    return two"]
        await d.press("n", "a", "escape")
        assert d.app.editor.text.encode() == code.replace(b"1", b"two")
        await d.press("alt+n", "alt+y")
        text = code.replace(b"1", b"two").replace(b"pass", b"two")
        assert d.app.editor.text.encode() == text


async def test_refining_a_part_leaves_the_other_holes_their_candidates(desk: OpenDesk) -> None:
    script = Choices("abcd", "two", "red", certainty=(0.8, 0.2, 0.1))
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+p")
        at(d, 1, 8)
        await d.press("left", "shift+left", "shift+left")
        script.texts, script.certainty = ("X", "Y"), (0.9,)
        await d.press("alt+r")
        await d.step(1)
        assert d.app.editor.render_line(5).text[d.app.editor.gutter_width - 2] == "?"
        await d.step(2)
        assert rows(d) == ["aXd", "red"]
        await d.press("alt+n")
        assert rows(d) == ["aYd", "red"]
        at(d, 5, 11)
        await d.press("left_square_bracket")
        assert "first step" in d.notice
        await d.press("alt+p")
        assert rows(d) == ["aYd", "two"]
        said = "hole 2 of 2 · candidate 2 of 3 · only 20% sure · leaves 1 syntax error"
        assert d.app.workspace.status.engine.startswith(said)
        await d.press("enter")
        assert d.app.editor.text == filled("aYd", "two")
        await d.press("ctrl+z", "ctrl+z")  # the second opens the result before
        assert (rows(d), d.notice) == (["abcd", "red"], "undone: the draft is back")


async def test_a_step_that_is_shown_stays_while_another_hole_is_refined(desk: OpenDesk) -> None:
    script = Choices("abcd", "two")
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("left_square_bracket", "alt+n")
        assert rows(d)[1] == "two"  # a candidate takes the place of a step
        await d.press("alt+p", "left_square_bracket")
        at(d, 1, 8)
        await d.press("left", "shift+left", "alt+r")
        assert rows(d)[1] == "t#o"
        await d.step(3)
        assert rows(d)[1] == "t#o"
        at(d, 5, 11)
        await d.press("alt+n")
        assert rows(d)[1] == "abcd"


async def test_a_rerun_starts_from_what_each_hole_shows_and_cancelled_gives_it_back(
    desk: OpenDesk,
) -> None:
    script = Choices("one", "two")
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        d.app.infill.ask(strength=0.5)
        await d.step(1)
        assert [hole.text for hole in script.requests[-1].holes] == ["one", "two"]
        await d.press("escape")
        assert rows(d) == ["one", "two"]
        script.texts = ("red", "blue")
        await d.press("f5")
        script.go(2)  # of which the one that was given up takes some
        fill = d.app.fill
        await d.until(lambda: fill is not None and fill.step is not None)
        script.go(6)
        await d.until(lambda: fill is not None and fill.stage is Stage.READY)
        assert rows(d) == ["red", "red"]
        await d.press("ctrl+z")
        assert rows(d) == ["one", "two"]
        await d.press("alt+y")
        assert d.app.editor.text == filled("one", "two")


# What is stale


async def begun(d: Desk) -> None:
    """Both holes are masked, and their first step is drawn."""
    for hole in HOLES:
        await masked(d, *hole)
    await d.press("f5")
    await d.step(1)


async def test_hole_that_is_edited_drops_out_while_the_other_goes_on(desk: OpenDesk) -> None:
    script = Choices("one", "two")
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await begun(d)
        at(d, 1, 6)
        await d.press("x", "f5")
        assert "running" in d.notice and len(script.requests) == 1
        await d.step(2)
        assert rows(d) == ["paxss", "one"]
        await d.press("alt+n")  # the nearest that is left
        assert rows(d) == ["paxss", "two"]
        assert d.app.workspace.status.engine.startswith("candidate 2 of 2")
        await d.press("alt+y")
        assert d.app.editor.text == filled("paxss", "two")


async def test_steps_of_a_cancelled_infill_are_never_drawn(desk: OpenDesk) -> None:
    script = Choices("one", "two")
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await begun(d)
        old = d.app.fill
        await d.press("escape", "f5")
        new = d.app.fill
        assert old is not None and new is not None and old is not new
        script.go(1)
        await d.until(lambda: len(script.requests) == 2)  # the first has heeded its end
        await d.step(3)
        assert old.stage is Stage.RUNNING and old.step is not None and old.step.index == 1
        assert d.app.fill is new and rows(d) == ["one", "one"]
        await d.press("alt+y")
        assert d.app.editor.text == filled("one", "one")


async def test_failure_of_a_cancelled_infill_touches_no_other(desk: OpenDesk) -> None:
    script = Choices("one", "two")
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d, *HOLES)
        await d.press("alt+n")
        old = d.app.fill
        await d.press("f5")
        await d.until(lambda: len(script.requests) == 2)
        given_up = d.app.fill
        await d.press("escape")
        d.app.post_message(Failed(given_up, RuntimeError("out of memory")))
        await d.settled()
        assert d.app.fill is old and "memory" not in d.notice
        assert rows(d) == ["one", "two"]


async def test_file_that_changes_on_disk_drops_the_hole_that_it_changes(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.py": CODE}, Choices("one", "two"), size=(100, 16)) as d:
        for hole in HOLES:
            await masked(d, *hole)
        await d.press("f5")
        await d.step(1)
        (tmp_path / "a.py").write_bytes(CODE.replace(b"pass", b"other"))
        d.app.disk.check()
        await d.press("f10", "r")
        await d.until(lambda: "other" in d.app.editor.text)
        await d.step(2)
        assert rows(d) == ["other", "one"]
        at(d, 1, 5)
        await d.press("alt+n", "alt+y")
        assert d.app.editor.text == filled("other", "two")


async def test_older_step_never_takes_the_place_of_a_later_one(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await result(d)
        fill = d.app.fill
        assert fill is not None and fill.step is not None
        last = fill.step
        fill.draw(Step(2, 3, (draft("abcd", HALF),)), 1.0)
        fill.draw(Step(3, 3, (draft("abcd", HALF),)), 1.0)
        assert fill.step is last and fill.stage is Stage.READY and d.row(1) == "    abcd"


async def test_last_step_is_shown_last_however_fast_they_come(desk: OpenDesk) -> None:
    class Many(Script):
        def infill(self, request: InfillRequest) -> Iterator[Step]:
            self.requests.append(request)
            for index in range(1, 500):
                yield Step(index, 500, (draft("bad", HALF),))
            yield Step(500, 500, (draft("good", DONE),), last=True, stopped="settled")

    async with desk({"a.py": CODE}, Many()) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        fill: Fill | None = d.app.fill
        assert fill is not None
        await d.until(lambda: fill.stage is Stage.READY)
        assert fill.step is fill.kept[-1] and d.row(1) == "    good"
        assert fill.step.index == 500
