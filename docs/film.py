"""Draw docs/tui.svg: a real infill by the default model, step by step, as one animated picture.

python docs/film.py [MODEL]
python docs/film.py sudoku    # docs/sudoku.svg: a puzzle, by the model of that name

Every picture is Textual's own of the screen at that step; they lie upon each other, each seen
for its time. Where nothing moves, the last one is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Semaphore

from textual.pilot import Pilot

from dgedit.engines.connect import connect
from dgedit.tui.app import DgeditApp
from dgedit_engine.types import Backend, InfillRequest, Step

HERE = Path(__file__).resolve().parent
_STEP, _STILL = 0.35, 2.5
"""Seconds that a step is seen, and the picture before the first and the last one."""
_KEY = re.compile(r"terminal-\d+")
_START = re.compile(r'<g transform="translate\(9, 41\)" [^>]*>')


class Held:
    """A backend that waits at each step until its picture is taken."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.taken, self.over = inner, Semaphore(0), Event()
        self.name, self.device, self.ability = inner.name, inner.device, inner.ability
        self.at = 0

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        try:
            for step in self.inner.infill(request):
                yield step
                self.at = step.index
                if not step.last:
                    self.taken.acquire(timeout=20)
        finally:
            self.over.set()


def film(pictures: Sequence[str], seconds: Sequence[float]) -> str:
    """One SVG of several of the same size, each seen for so many seconds, again and again.

    What is in all of them is there once: a tenth of the bytes.
    """
    styles: dict[str, str] = {}
    frames = [_elements(picture, styles) for picture in pictures]
    common = set.intersection(*map(set, frames))
    key = _KEY.search(pictures[0])
    assert key is not None
    head = pictures[0][: _START.search(pictures[0]).end()]  # type: ignore[union-attr]
    head = re.sub(rf"\.{key[0]}-r\d+ \{{.*?\}}\s*", "", head).replace(key[0], "t")
    rules = "".join(f".{name} {{{style}}}\n" for style, name in styles.items())
    parts = [head.replace("</style>", rules + "</style>", 1)]
    for kind, group in (("<rect", "<g>"), ("<text", '<g class="t-matrix">')):
        parts += [group, *(one for one in frames[0] if one in common and one.startswith(kind))]
        start, whole = 0.0, sum(seconds)
        for number, (frame, length) in enumerate(zip(frames, seconds, strict=True)):
            own = [one for one in frame if one not in common and one.startswith(kind)]
            seen = _seen(start / whole, (start + length) / whole, whole, number, len(frames))
            parts += [seen, *own, "</g>"]
            start += length
        parts.append("</g>")
    return "\n".join([*parts, "</g>", "</svg>\n"])


def _elements(picture: str, styles: dict[str, str]) -> list[str]:
    """What is drawn in a picture, with classes that are the same in all; adds their styles."""
    key = _KEY.search(picture)
    assert key is not None
    names = {}
    for name, style in re.findall(rf"\.{key[0]}-(r\d+) \{{(.*?)\}}", picture):
        names[name] = styles.setdefault(style, f"s{len(styles)}")
    body = picture[_START.search(picture).end() :]  # type: ignore[union-attr]
    body = re.sub(rf'class="{key[0]}-(r\d+)"', lambda found: f'class="{names[found[1]]}"', body)
    return re.findall(r"<rect [^>]*/>|<text .*?</text>", body.replace(key[0], "t"), re.DOTALL)


def _seen(first: float, last: float, whole: float, number: int, count: int) -> str:
    """The start of a group that is seen from one share of the whole time to another."""
    values, times = "hidden;visible;hidden", f"0;{first:.4f};{last:.4f}"
    if number == 0:
        values, times = "visible;hidden", f"0;{last:.4f}"
    elif number == count - 1:
        values, times = "hidden;visible", f"0;{first:.4f}"
    still = "visible" if number == count - 1 else "hidden"
    return (
        f'<g visibility="{still}"><animate attributeName="visibility" calcMode="discrete" '
        f'dur="{whole:.2f}s" repeatCount="indefinite" values="{values}" keyTimes="{times}"/>'
    )


async def lines_of_code(app: DgeditApp, pilot: Pilot[object]) -> None:
    """Mask two lines of the demo."""
    for row, start in ((29, 8), (32, 8)):
        app.editor.move_cursor((row, start))
        end = len(app.editor.document.get_line(row))
        app.editor.move_cursor((row, end), select=True)
        await pilot.press("f2")


async def puzzle(app: DgeditApp, pilot: Pilot[object]) -> None:
    """Mask all of the text as a template."""
    app.editor.select_all()
    app.templates.mask()


async def main(model: str | None) -> None:
    """Mask holes of a demo, fill them, and take a picture of every step."""
    backend = Held(connect(model, None))
    if model == "sudoku":
        name, size, mask = "sudoku/hard.sudoku", (56, 17), puzzle
    else:
        name, size, mask = "inventory.py", (96, 36), lines_of_code
    text = (HERE.parent / "demo" / name).read_text()
    pictures: list[str] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        path = Path(Path(name).name)
        path.write_text(
            text.replace("<FILL>", "pass").replace("return self.items.get(name)", "pass")
        )
        app = DgeditApp([path], connect=lambda: backend, watch=False)
        async with app.run_test(size=size) as pilot:
            await mask(app, pilot)
            await pilot.pause(0.2)
            pictures.append(app.export_screenshot(title="dgedit"))
            await pilot.press("f5")
            drawn = 0
            while not (drawn and backend.over.is_set() and drawn >= backend.at):
                await pilot.pause(0.05)
                step = app.fill.step if app.fill else None
                if step is not None and step.index > drawn:
                    drawn = step.index
                    pictures.append(app.export_screenshot(title="dgedit"))
                    backend.taken.release()
            await pilot.pause(0.2)
            pictures.append(app.export_screenshot(title="dgedit"))
    seconds = [_STILL / 2, *[_STEP] * (len(pictures) - 2), _STILL]
    (HERE / f"{'sudoku' if model == 'sudoku' else 'tui'}.svg").write_text(film(pictures, seconds))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
