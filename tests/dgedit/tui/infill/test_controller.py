"""What becomes a hole, what is drawn of it, and what happens while it is being filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.document._document import Selection
from textual.widgets._tabbed_content import ContentTab

from dgedit.config import Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.infill.session import Stage
from scripted import Script

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked, spans


def at(d: Desk, index: int) -> None:
    d.app.editor.selection = Selection.cursor(d.app.editor.buffer.location(index))


def covered(d: Desk) -> list[str]:
    text = d.app.editor.text
    return [text[start:end] for start, end in spans(d.app.editor)]


# Holes


async def test_f2_masks_what_the_cursor_is_on_and_again_what_is_around_it(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x = 1\ny = f(a, bc + 1)\n"}) as d:
        at(d, 16)
        seen, told = [], []
        for _ in range(7):
            await d.press("f2")
            seen.append(covered(d))
            told.append(d.notice)
        assert told[1:4] == [
            "masked binary operator, line 2",
            "masked argument list, line 2",
            "masked call, line 2",
        ]
        assert told[5:] == ["masked module, lines 1–2", "no longer masked"]
        assert seen == [
            ["bc"],
            ["bc + 1"],
            ["(a, bc + 1)"],
            ["f(a, bc + 1)"],
            ["y = f(a, bc + 1)"],
            ["x = 1\ny = f(a, bc + 1)"],
            [],
        ]
        assert d.app.editor.cursor_location == (1, 10)


async def test_f2_in_an_indentation_masks_what_begins_behind_it(desk: OpenDesk) -> None:
    async with desk({"a.py": b"if a:\n    b = 1\n    c\n"}) as d:
        at(d, 6)
        seen = []
        for _ in range(4):
            await d.press("f2")
            seen.append(covered(d))
        assert seen == [["b"], ["b = 1"], ["b = 1\n    c"], ["if a:\n    b = 1\n    c"]]
        assert d.app.editor.cursor_location == (1, 4)


async def test_f2_in_a_text_without_grammar_takes_word_line_paragraph(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\r\n\r\n  two words\r\nthree\r\n \r\nfour\r\n"}) as d:
        at(d, 15)
        seen, told = [], []
        for _ in range(4):
            await d.press("f2")
            seen.append(covered(d))
            told.append(d.notice)
        assert seen == [["words"], ["two words"], ["  two words\r\nthree"], []]
        assert told[:3] == [
            "masked word, line 3",
            "masked line, line 3",
            "masked paragraph, lines 3–4",
        ]


@pytest.mark.parametrize("index", [3, 5, 6, 14])
async def test_f2_on_nothing_opens_an_insertion_point(desk: OpenDesk, index: int) -> None:
    async with desk({"a.py": b"x = 1\n\ny = 'a'\n"}) as d:
        at(d, index)
        await d.press("f2")
        assert spans(d.app.editor) == [(index, index)] and "insertion point, line" in d.notice
        await d.press("f2")
        assert spans(d.app.editor) == []


@pytest.mark.parametrize("key", ["shift+f2", "f14"])
async def test_shift_f2_opens_an_insertion_point_and_closes_any_hole(
    desk: OpenDesk, key: str
) -> None:
    async with desk({"a.py": CODE}) as d:
        at(d, 15)
        await d.press(key)
        assert spans(d.app.editor) == [(15, 15)]
        await d.press(key)
        assert spans(d.app.editor) == []
        await d.press("f2", key)
        assert spans(d.app.editor) == []


async def test_hole_does_not_grow_over_another(desk: OpenDesk) -> None:
    async with desk({"a.py": b"y = f(a, bc)\n"}) as d:
        await masked(d, 6, 7)
        at(d, 9)
        await d.press("f2", "f2")
        assert covered(d) == ["a"]
        assert "another hole" in d.notice


async def test_characters_of_many_bytes_do_not_shift_what_is_masked(desk: OpenDesk) -> None:
    async with desk({"a.py": "x = 'äöü你\U0001f600'; y = name\n".encode() + b"# \xff\n"}) as d:
        at(d, d.app.editor.text.index("name"))
        await d.press("f2")
        assert covered(d) == ["name"]


# What is drawn


async def test_settle_shows_only_what_has_settled(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await d.press("alt+v")
        assert "settled" in d.notice
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        assert d.row(1) == "    ░░░░"
        await d.step()
        assert d.row(1) == "    a░c░"
        await d.step()
        assert d.row(1) == "    abcd"
        await d.press("enter")
        assert "    abcd\n" in d.app.editor.text


async def test_off_shows_a_spinner_until_the_end(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("ab\ncd")) as d:
        await d.press("alt+v", "alt+v")
        await masked(d, 13, 17)
        await d.press("f5")
        seen = []
        for _ in range(3):
            await d.step()
            seen.append(d.row(1).strip())
        assert len(seen[0]) == len(seen[1]) == 1 and seen[0] != seen[1]
        assert (seen[2], d.row(2)) == ("ab", "cd")


async def test_live_may_be_changed_while_it_runs(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("abcd")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(2)
        assert d.row(1) == "    a#c#"
        await d.press("alt+v")
        assert d.row(1) == "    a░c░"
        await d.press("alt+v", "alt+v")
        assert d.row(1) == "    a#c#"


async def test_long_stretch_that_has_not_settled_is_short(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"HOLE\n"}, Script("x" * 300)) as d:
        await d.press("alt+v")
        await masked(d, 0, 4)
        await d.press("f5")
        await d.step()
        assert d.row(0) == "░" * 8


@pytest.mark.parametrize("how", ["settings", "environment"])
async def test_reduced_motion_shows_what_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    settings = Settings(reduced_motion=how == "settings")
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False, settings=settings)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).until(lambda: app.infill.live == "settle")


# While it runs


async def test_edit_of_one_hole_cancels_it_alone(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        await d.press("f5")
        await d.step()
        at(d, 15)
        await d.press("y")
        fill = d.app.fill
        assert fill is not None and fill.stage is Stage.RUNNING
        assert "one draft is gone" in d.notice
        assert [d.row(1), d.row(5)] == ["    payss", "    return ???"]
        await d.step(2)
        assert [d.row(1), d.row(5)] == ["    payss", "    return two"]
        await d.press("alt+y")
        assert d.app.editor.text == CODE.decode().replace("pass", "payss").replace("1", "two")
        assert spans(d.app.editor) == [(13, 18)]
        await d.press("ctrl+z")
        assert spans(d.app.editor) == [(13, 18), (41, 42)]


async def test_hole_that_was_edited_between_two_others_survives_their_acceptance(
    desk: OpenDesk,
) -> None:
    async with desk({"a.txt": b"A - BB - C\n"}, Script("one", "two", "three")) as d:
        for start, end in ((0, 1), (4, 6), (9, 10)):
            await masked(d, start, end)
        await d.press("f5")
        await d.step()
        at(d, 5)
        await d.press("x")
        await d.step(2)
        await d.press("alt+y")
        assert d.app.editor.text == "one - BxB - three\n"
        assert covered(d) == ["BxB"]
        await d.press("ctrl+z")
        assert d.app.editor.text == "A - BxB - C\n"
        assert covered(d) == ["A", "BxB", "C"]
        await d.press("ctrl+y")
        assert (d.app.editor.text, covered(d)) == ("one - BxB - three\n", ["BxB"])


async def test_enter_ends_a_line_elsewhere_while_it_runs(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("enter")
        assert "not settled" in d.notice
        at(d, 8)
        await d.press("enter")
        assert d.app.editor.text.startswith("def f():\n    \n    pass")


async def test_edits_above_shift_what_steps_are_drawn_over(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        await d.press("f5")
        for _ in range(3):
            at(d, 0)
            await d.press("#", "enter")
            await d.step()
        await d.press("alt+y")
        text = CODE.decode().replace("pass", "one").replace("1", "two")
        assert d.app.editor.text == "#\n" * 3 + text


async def test_reload_under_a_result_never_lets_it_be_applied(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one", "two")) as d:
        await masked(d, 13, 17)
        await masked(d, 40, 41)
        await d.press("f5")
        await d.step(3)
        text = CODE.replace(b"pass", b"other")
        d.app.editor.replace_text(text.decode())
        await d.until(lambda: "one draft is gone" in d.notice)
        assert [d.row(1), d.row(5)] == ["    other", "    return two"]
        await d.press("enter")
        assert d.app.editor.text.encode() == text.replace(b"1", b"two")


async def test_reload_above_a_result_moves_it(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Script("one")) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        d.app.editor.replace_text("# new\n" + CODE.decode())
        await d.until(lambda: d.row(2) == "    one")
        await d.press("enter")
        assert d.app.editor.text.encode() == b"# new\n" + CODE.replace(b"pass", b"one")


async def test_f5_while_it_runs_says_why_nothing_happens(desk: OpenDesk) -> None:
    script = Script("one")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step()
        await d.press("f5")
        assert "running" in d.notice and len(script.requests) == 1


async def test_failed_rerun_brings_the_result_back(desk: OpenDesk) -> None:
    script = Script("abcd")
    async with desk({"a.py": CODE}, script) as d:
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(3)
        before = d.app.fill
        script.error = RuntimeError("out of memory")
        await d.press("f5")
        script.go(1)
        await d.until(lambda: "out of memory" in d.notice)
        assert d.app.fill is before and d.row(1) == "    abcd"


async def test_locked_file_has_no_holes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    app = DgeditApp([tmp_path / "a.py"], connect=Script, watch=False, read_only=True)
    async with app.run_test() as pilot:
        await pilot.press("f2")
        assert not app.editor.holes and "locked" in app.workspace.status.notice


async def test_whole_lines_are_masked_without_the_end_of_the_last(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one\r\ntwo\r\nthree\r\n"}) as d:
        await d.press("shift+down", "shift+down", "f2")
        assert (covered(d), d.notice) == (["one\r\ntwo"], "masked the selection, lines 1–2")
        await d.press("f2", "ctrl+end", "f2")
        assert covered(d)[-1] == ""


async def test_a_tab_says_where_an_infill_is_running(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}, Script("one")) as d:
        await masked(d, 13, 17)
        labels = [tab.label_text for tab in d.app.query("ContentTab").results(ContentTab)]
        assert labels == ["a.py", "b.py"]
        await d.press("f5", "ctrl+pagedown")
        first, second = d.app.query("ContentTab").results(ContentTab)
        assert (first.label_text, second.label_text) == ("⋯ a.py", "b.py")
        await d.step(3)
        assert first.label_text == "a.py"
