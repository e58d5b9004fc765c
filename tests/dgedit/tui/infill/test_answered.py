"""An infill of the command line that is opened in the editor."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from dgedit.request.markers import marked
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill.session import Stage
from dgedit_engine.types import Candidate, Draft, Hole, Infill, InfillRequest, Passage
from scripted import Script, Scripted

from ..conftest import Desk

TEXTS = "a = <FILL>\nb = <FILL>\n", "c = <FILL>\n"


def candidate(text: str) -> Candidate:
    return Candidate(Draft((text,), (0.5,), (True,)), -0.5, "draft", 0, 0.9)


def infill(*texts: str, others: bool = True) -> Infill:
    offered = tuple((candidate(text), candidate(text + "!")) for text in texts)
    return Infill(texts, -0.5, 3, 0.5, "settled", offered if others else ())


class Opened:
    """An editor of two files with the holes masked, and what was answered."""

    def __init__(
        self, folder: Path, found: Infill, texts: tuple[str, str] = TEXTS, said: str = "say"
    ) -> None:
        paths = [folder / "a.py", folder / "b.py"]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        self.backend = Scripted()
        request = InfillRequest((Passage("", (Hole(),) * 3),), said, seed=4, effort=0.25)
        self.app = DgeditApp(
            paths, connect=lambda: self.backend, watch=False, answered=(request, found)
        )
        for editor in self.app.editors:
            spans = [one.span for one in marked(editor.text)]
            editor.open_holes([OpenHole(span.start, span.end) for span in spans])

    async def ready(self, pilot: Pilot[None]) -> Desk:
        d = Desk(self.app, pilot, Script())
        await d.until(lambda: self.app.fill is not None and self.app.fill.stage is Stage.READY)
        return d

    @property
    def texts(self) -> list[str]:
        return [editor.text for editor in self.app.editors]


@pytest.mark.parametrize("others", [True, False])
async def test_infill_is_open_in_its_holes_and_may_be_accepted(
    tmp_path: Path, others: bool
) -> None:
    opened = Opened(tmp_path, infill("one  1", "two", "", others=others))
    app = opened.app
    async with app.run_test() as pilot:
        d = await opened.ready(pilot)
        drafts = [hole.draft for editor in app.editors for hole in editor.holes]
        assert [draft and draft.text for draft in drafts] == ["one  1", "two", ""]
        assert opened.texts == [*TEXTS] and not opened.backend.requests
        await d.press("alt+y")
        assert opened.texts == ["a = one  1\nb = two\n", "c = \n"]
        await d.press("ctrl+z")
        assert opened.texts[0] == TEXTS[0]


async def test_its_candidates_are_there_and_another_is_asked_for_as_it_was(tmp_path: Path) -> None:
    opened = Opened(tmp_path, infill("1", "2", "3"))
    app = opened.app
    async with app.run_test() as pilot:
        d = await opened.ready(pilot)
        await d.press("alt+n")
        assert app.fill is not None
        assert [draft.text for draft in app.fill.drafts] == ["1!", "2", "3"]
        await d.press("f5")
        await d.until(lambda: bool(opened.backend.requests))
        (request,) = opened.backend.requests
        assert (request.seed, request.instruction, request.effort) == (5, "say", 0.25)


async def test_words_of_its_markers_are_said_once(tmp_path: Path) -> None:
    texts, said = ("a = <FILL: one>\nb = <FILL>\n", TEXTS[1]), "say\nhole 1: one"
    opened = Opened(tmp_path, infill("1", "2", "3"), texts, said)
    async with opened.app.run_test() as pilot:
        d = await opened.ready(pilot)
        assert opened.app.fill is not None
        assert (opened.app.fill.request.instruction, opened.app.fill.said) == (said, "say")
        await d.press("f5")
        await d.until(lambda: bool(opened.backend.requests))
        assert opened.backend.requests[0].instruction == said


async def test_rejected_it_leaves_the_holes(tmp_path: Path) -> None:
    opened = Opened(tmp_path, infill("1", "2", "3"))
    async with opened.app.run_test() as pilot:
        d = await opened.ready(pilot)
        await d.press("escape")
        assert opened.app.fill is None and opened.texts == [*TEXTS]
        assert [len(editor.holes) for editor in opened.app.editors] == [2, 1]


async def test_infill_of_other_holes_is_not_shown(tmp_path: Path) -> None:
    opened = Opened(tmp_path, infill("1", "2"))
    async with opened.app.run_test() as pilot:
        await Desk(opened.app, pilot, Script()).settled()
        assert opened.app.fill is None
