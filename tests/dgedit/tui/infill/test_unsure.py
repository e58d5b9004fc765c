"""A candidate that may well be wrong: how it is drawn, and what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.style import Style

from dgedit.config import Live, Settings
from dgedit.tui.app import DgeditApp
from dgedit.tui.infill.offers import Offer
from dgedit_engine.types import Candidate, Draft, InfillRequest, Step
from scripted import DONE, Choices, Script, draft

from ..conftest import Desk, OpenDesk
from ..editor.test_editor import CODE, masked
from .test_accepting import result


def look(d: Desk, y: int = 1, column: int = 4) -> tuple[str, Style]:
    """The sign in the gutter of a row, and the style of a cell of its text."""
    editor = d.app.editor
    strip = editor.render_line(y)
    styles = [segment.style for segment in strip for _ in segment.text]
    style = styles[editor.gutter_width + column]
    assert style is not None
    return strip.text[editor.gutter_width - 2], style


def attributes(style: Style) -> tuple[bool | None, ...]:
    return style.bold, style.italic, style.dim, style.reverse, style.underline


@pytest.mark.parametrize(
    ("faults", "certainty", "caution", "unsure"),
    [
        (0, 0.34, 0.35, True),
        (0, 0.35, 0.35, False),
        (0, 0.0, 0.0, False),
        (0, 0.99, 1.0, True),
        (None, None, 1.0, False),
        (1, None, 0.35, True),
        (1, 0.9, 0.35, True),
    ],
)
def test_unsure_is_what_has_faults_or_is_seldom_right(
    faults: int | None, certainty: float | None, caution: float, unsure: bool
) -> None:
    one = Candidate(Draft((), (), ()), 0.0, "sample", faults, certainty)
    assert Offer(one.draft, (one,)).is_unsure(caution) is unsure


def test_offer_of_several_parts_is_as_sure_as_the_least() -> None:
    parts = [Candidate(draft("x", DONE), 0.0, "sample", 0, known) for known in (0.9, None, 0.2)]
    assert Offer(draft("xxx", DONE), tuple(parts)).certainty == 0.2


async def test_unsure_shows_without_colour(
    desk: OpenDesk,
) -> None:
    script = Choices("one", "two", "red", certainty=(0.81, 0.9, 0.12))
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d)
        assert d.app.workspace.status.engine.startswith("candidate 1 of 3 · 81% sure · ready")
        sign, sure = look(d)
        await d.press("alt+n")
        said = "candidate 2 of 3 · unsure · leaves 1 syntax error · ready"
        assert d.app.workspace.status.engine.startswith(said)
        await d.press("alt+n")
        assert d.app.workspace.status.engine.startswith("candidate 3 of 3 · only 12% sure · ready")
        mark, unsure = look(d)
        await d.press("left_square_bracket")
        assert look(d)[0] == sign and look(d, column=5)[1].dim
        drafts = attributes(look(d, column=5)[1])
        assert (sign, mark) == ("▌", "?")
        assert attributes(sure) not in (attributes(unsure), drafts)
        await d.press("right_square_bracket")
        assert look(d)[0] == "?" and "only 12% sure" in d.app.workspace.status.engine
        await d.press("alt+c")  # which tells it piece by piece
        assert look(d)[0] == "▌"
        await d.press("alt+c", "enter")
        assert "    red\n" in d.app.editor.text and look(d)[0] == " "


async def test_unsure_alone_is_accepted_as_any_other_and_undone(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}, Choices("return x", certainty=(0.2,))) as d:
        await result(d)
        assert d.app.workspace.status.engine.startswith("only 20% sure · ready")
        await d.press("ctrl+right")
        assert look(d, column=11)[0] == "?"  # what is left of it is no surer
        await d.press("enter")
        assert "    return x\n" in d.app.editor.text
        await d.press("ctrl+z", "ctrl+z")
        assert (look(d)[0], d.row(1)) == ("?", "    return x")
        await d.press("escape")
        assert look(d)[0] == "▌" and d.row(1) == "    pass"


async def test_caution_says_from_when_on(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(CODE)
    script = Choices("one", certainty=(0.5,))
    paths = [tmp_path / "a.py"]
    app = DgeditApp(paths, connect=lambda: script, watch=False, settings=Settings(caution=0.6))
    async with app.run_test(size=(60, 16)) as pilot:
        d = Desk(app, pilot, script)
        await d.until(lambda: app.infill.source.backend is not None)
        await result(d)
        assert "only 50% sure" in app.workspace.status.engine
        app.infill.caution = 0.4
        await d.press("f5")
        fill = app.fill
        assert fill is not None
        await d.step(3)
        assert app.workspace.status.engine.startswith("50% sure")


async def test_list_of_holes_marks_those_that_are_unsure(desk: OpenDesk) -> None:
    script = Choices("one", "two", certainty=(0.81, 0.12))
    async with desk({"a.py": CODE}, script, size=(100, 16)) as d:
        await result(d, (13, 17), (40, 41))
        await d.press("f4")
        panel = d.app.panels._panel
        assert panel is not None

        def signs() -> list[str]:
            return [str(option.prompt)[0] for option in panel.options]

        assert signs() == ["✓", "✓"]
        d.app.screen.set_focus(d.app.editor)
        await d.press("alt+n")
        await d.until(lambda: signs() == ["✓", "?"])
        assert "two" in str(panel.options[1].prompt)


class Drafting(Script):
    """Writes from left to right before it is ready."""

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        for step in super().infill(request):
            yield step if step.last else dataclasses.replace(step, phase="draft")


@pytest.mark.parametrize("live", ["full", "settle"])
async def test_noise_stands_for_what_a_draft_has_still_to_say(tmp_path: Path, live: Live) -> None:
    path, script = tmp_path / "a.py", Drafting("one")
    path.write_bytes(CODE)
    app = DgeditApp([path], connect=lambda: script, watch=False, settings=Settings(live=live))
    async with app.run_test(size=(80, 16)) as pilot:
        d = Desk(app, pilot, script)
        await masked(d, 13, 17)
        await d.press("f5")
        await d.step(2)
        assert d.row(1).count("░") == (21 if live == "full" else 1)
        await d.step(1)
        assert d.row(1) == "    one"
