"""What the screen looks like: pictures in `snapshots/`, which any browser shows.

    UPDATE_SNAPSHOTS=1 pytest tests/dgedit/tui/test_snapshots.py

draws them anew; look at what `git diff` names before you commit it. Compared is what is to be seen,
which text where in which style, and not how it is written as SVG. No picture shows a place of this
machine, a time that was measured, or a cursor that blinks.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dgedit.tui.app import DgeditApp
from dgedit_engine.types import Candidate
from scripted import Script

from .conftest import Desk

PICTURES = Path(__file__).with_name("snapshots")
UPDATING = bool(os.environ.get("UPDATE_SNAPSHOTS"))

SHAPES = '''\
"""Shapes, and what they measure."""

from math import pi


def area(radius: float) -> float:
    return 0.0


def is_square(width: int, height: int) -> bool:
    pass  # 正方形
'''
TESTS = """\
from shapes import area


def test_area():
    assert area(1) == 3.14
"""
ANSWERS = "pi * radius**2", "if width <= 0:\n        return False\n    return width == height"

Scene = Callable[[Desk], Awaitable[None]]


async def start(d: Desk) -> None:
    pass


async def masked(d: Desk) -> None:
    for held in ("0.0", "pass"):
        at = SHAPES.index(held)
        d.select(at, at + len(held))
        await d.press("f2")


async def under_way(d: Desk) -> None:
    await masked(d)
    await d.press("f5")
    await d.step(2)


async def result(d: Desk) -> None:
    await under_way(d)
    await d.step()


async def unsure(d: Desk) -> None:
    await result(d)
    fill = d.app.fill
    assert fill is not None and fill.step is not None
    candidates = tuple(
        (Candidate(draft, -0.3, "sample", 0, known),)
        for draft, known in zip(fill.step.drafts, (0.81, 0.12), strict=True)
    )
    fill.draw(replace(fill.step, candidates=candidates), 1.0)
    d.app.infill.tell_engine()


async def sure(d: Desk) -> None:
    await result(d)
    await d.press("alt+c")


async def diff(d: Desk) -> None:
    await result(d)
    await d.press("alt+d")


async def split(d: Desk) -> None:
    await masked(d)
    await d.press("ctrl+backslash", "f8", "down", "a")


async def help(d: Desk) -> None:
    await d.press("f1")


async def find(d: Desk) -> None:
    await d.press("ctrl+r", *"width", "tab", *"side")


async def question(d: Desk) -> None:
    await d.press("#")
    Path("shapes.py").write_text(SHAPES.replace("pass", "..."))
    d.app.disk.check()


SCENES: list[Scene] = [
    start,
    masked,
    under_way,
    result,
    unsure,
    sure,
    diff,
    split,
    help,
    find,
    question,
]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files in the folder that we are in, and a clock that ticks once for each step, one for
    each thread, since one of another test may not yet be over.
    """
    monkeypatch.chdir(tmp_path)
    Path("shapes.py").write_text(SHAPES)
    Path("test_shapes.py").write_text(TESTS)
    clocks = defaultdict[int, Iterator[float]](lambda: itertools.count(0, 0.5))
    monkeypatch.setattr("dgedit.tui.workspace.crumbs.REST", 3600.0)
    monkeypatch.setattr(
        "dgedit.tui.infill.worker.monotonic", lambda: next(clocks[threading.get_ident()])
    )


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_screen_looks_as_it_did(scene: Scene, tmp_path: Path) -> None:
    script = Script(*ANSWERS)
    app = DgeditApp(
        [Path("shapes.py"), Path("test_shapes.py")], connect=lambda: script, watch=False
    )
    async with app.run_test(size=(80, 24)) as pilot:
        picture = await taken(app, pilot, script, scene)
        app.infill.drop()
        script.go(100)
    there = PICTURES / f"{scene.__name__}.svg"
    if UPDATING:
        PICTURES.mkdir(exist_ok=True)
        there.write_text(picture)
    (tmp_path / there.name).write_text(picture)
    assert seen(picture) == seen(there.read_text()), f"{tmp_path / there.name} is not {there}"


async def taken(app: DgeditApp, pilot: Pilot[None], script: Script, scene: Scene) -> str:
    """The picture of a scene."""
    d = Desk(app, pilot, script)
    await d.until(lambda: app.infill.source.backend is not None)
    for editor in app.editors:
        editor.cursor_blink = False
    for field in app.query(Input):
        field.cursor_blink = False
    await scene(d)
    await d.settled()
    return re.sub(r"terminal-\d+", "screen", app.export_screenshot(title="dgedit"))


def seen(picture: str) -> list[str]:
    """The rows of a screen: its texts, then what is behind and how it is written."""
    root = ElementTree.fromstring(picture)
    style = "".join(one.text or "" for one in root.iter() if one.tag.endswith("style"))
    looks = dict(re.findall(r"\.([\w-]+)\s*{\s*(.*?)\s*}", style))
    texts, others = list[str](), list[str]()
    for part in _parts(root):
        of = part.attrib
        if part.tag.endswith("text"):
            texts.append(f"{float(of['y']):7.1f} {(part.text or '').replace(chr(0xA0), ' ')}")
            look = "; ".join(sorted(looks[of["class"]].split(";")))
            others.append(f"{of['y']} {of['x']} {look}")
        else:
            others.append(" ".join(of[name] for name in ("y", "x", "width", "fill")))
    return texts + others


def _parts(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """What the screen shows; the frame around it is not of it."""
    for part in root.iter():
        text = part.tag.endswith("text") and part.get("class", "").startswith("screen-r")
        if text or part.get("shape-rendering") == "crispEdges":
            yield part


def test_rows_are_told_apart_by_text_and_by_style() -> None:
    """The comparison sees what it is for."""
    picture = (PICTURES / "start.svg").read_text()
    rows = seen(picture)
    assert any("def" in row for row in rows) and len(rows) > 50
    assert seen(picture.replace("radius", "RADIUS", 1)) != rows
    colour = re.search(r"-r3 { fill: (#\w+)", picture)
    assert colour is not None
    assert seen(picture.replace(colour[1], "#123456")) != rows
    assert seen(picture.replace("Fira Code", "other")) == rows
