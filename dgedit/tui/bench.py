"""How long the editor takes from a key to the frame that shows it: `python -m dgedit.tui.bench`.

The real editor runs with a driver that keeps what a terminal would be sent. A key is painted when a
frame holds the word typed so far. Wall time says what a user feels, on a busy machine too; CPU time
of this process says what the editor is to blame for. Prints a table, and one line of JSON last.

Knows the editor from outside: keys in, bytes out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path
from string import ascii_lowercase
from time import perf_counter, process_time, sleep
from typing import Any, ClassVar

from textual import events
from textual.driver import Driver
from textual.geometry import Size
from textual.pilot import Pilot

from dgedit.files.journal import Journal
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit_engine.types import Ability, Draft, InfillRequest, Step

SIZE = (120, 40)

_CURSORS = 50
# The pause before a key, in seconds: from a key held down to a slow typist. The pause after which a
# large file is parsed lies between.
_PAUSES = 0.03, 0.25

# As the command loads the editor.
_OPEN = """
from dgedit.loading import loading
with loading():
    from dgedit.tui.bench import main
main()
"""

_NOISE = ("a", "bb ", "    ", "ccc(", "é")

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one measurement, in milliseconds."""

    name: str
    """The name of the measurement."""
    wall_p50: float
    """Median of the wall time."""
    wall_p95: float
    """95th percentile of the wall time."""
    cpu_p50: float
    """Median of this process's CPU time."""
    cpu_p95: float
    """95th percentile of the CPU time."""
    count: int
    """The number of keys, or openings."""

    @classmethod
    def of(cls, name: str, seconds: Sequence[tuple[float, float]]) -> Figures:
        """Compute the figures from pairs of wall and CPU seconds."""
        wall, cpu = zip(*seconds, strict=True)
        return cls(
            name=name,
            wall_p50=_share(wall, 0.5),
            wall_p95=_share(wall, 0.95),
            cpu_p50=_share(cpu, 0.5),
            cpu_p95=_share(cpu, 0.95),
            count=len(seconds),
        )


class Tape(Driver):
    """A driver without a terminal, which passes on what would be drawn."""

    here: ClassVar[Tape]
    """The running driver."""

    def start_application_mode(self) -> None:
        """Report the size."""
        Tape.here = self
        self.frame: Callable[[str], object] = lambda text: None
        size = Size(*SIZE)
        self.send_message(events.Resize(size, size))

    def write(self, data: str) -> None:
        """Pass on the text in a frame."""
        self.frame(_CONTROL.sub("", data))

    def disable_input(self) -> None:
        """Do nothing: there is no input."""

    def stop_application_mode(self) -> None:
        """Do nothing: there is no terminal to restore."""

    async def until(self, text: str, *keys: str) -> tuple[float, float]:
        """Send keys; return the wall and CPU seconds until a frame holds the text."""
        seen = asyncio.get_running_loop().create_future()

        def frame(drawn: str) -> None:
            if text in drawn and not seen.done():
                seen.set_result((perf_counter() - wall, process_time() - cpu))

        self.frame = frame
        wall, cpu = perf_counter(), process_time()
        for key in keys:
            self.send_message(events.Key(key, key if len(key) == 1 else None))
        async with asyncio.timeout(60):
            times: tuple[float, float] = await seen
        return times


class Restless:
    """A backend that redraws 30 lines 30 times a second and never settles."""

    name, device, ability = "restless", "none", Ability()

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Yield steps without end."""
        dice = random.Random(0)
        for index in range(1, 1_000_000):
            pieces = tuple("\n" if i % 10 == 9 else dice.choice(_NOISE) for i in range(300))
            settled = tuple(dice.random() < 0.5 for _ in pieces)
            draft = Draft(pieces, (0.5,) * len(pieces), settled)
            yield Step(index, 1_000_000, (draft,) * len(request.holes))
            sleep(1 / 30)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurements and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m dgedit.tui.bench", description=__doc__)
    parser.add_argument("--keys", type=int, default=120, help="keys for each measurement")
    parser.add_argument("--lines", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--wide", type=int, default=100_000, help="length of the long line")
    parser.add_argument("--files", type=int, default=10_000, help="files of the project")
    parser.add_argument("--openings", type=int, default=3)
    parser.add_argument("--only", default="", help="only measurements with this in their name")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.open:
        open_once(given.open)
        return 0
    gc.freeze()  # as `loading` leaves the modules
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'ms':32}{'wall p50':>10}{'p95':>10}{'cpu p50':>10}{'p95':>10}{'count':>7}")
        found = []
        for one in measure(Path(folder), given):
            times = (one.wall_p50, one.wall_p95, one.cpu_p50, one.cpu_p95)
            row = "".join(f"{time:10.1f}" for time in times)
            print(f"{one.name:32}{row}{one.count:7}", flush=True)
            found.append(one)
    print(json.dumps({"python": sys.version.split()[0], "figures": [asdict(one) for one in found]}))
    return 0


def measure(folder: Path, given: argparse.Namespace) -> Iterator[Figures]:
    """Run every measurement in turn."""
    for lines in given.lines:
        file = folder / f"{lines}.py"
        file.write_text(python_of(lines))
        many = f"{lines:,} lines"
        typed = partial(key_times, file, given.keys)
        plans: dict[str, Callable[[], list[tuple[float, float]]]] = {
            f"key, {many}": typed,
            f"key, {many}, wrapped": partial(typed, wrap=True),
            f"key, {many}, infill": partial(typed, live=True),
            f"key, {many}, {_CURSORS} cursors": partial(typed, cursors=_CURSORS),
        }
        if lines == max(given.lines):
            plans[f"opening, {many}"] = partial(opening_times, file, given.openings)
        yield from (Figures.of(name, plan()) for name, plan in plans.items() if given.only in name)
    name = f"opening a project, {given.files:,} files"
    if given.only in name:
        yield Figures.of(name, opening_times(project_of(folder, given.files), given.openings))
    file = folder / "wide.py"
    numbers = ", ".join(map(str, range(given.wide // 4)))[: given.wide - 6].rstrip(", ")
    file.write_text(f"x = [{numbers}]\ny = 1\n")
    for name, wrap in ("", False), (", wrapped", True):
        name = f"key, a line of {given.wide:,}{name}"
        if given.only in name:
            yield Figures.of(name, key_times(file, given.keys, wrap=wrap))


def python_of(lines: int) -> str:
    """Return this many lines of Python from the standard library, repeated if need be."""
    library = Path(sysconfig.get_path("stdlib"))
    texts = (file.read_text("utf-8", "replace") for file in sorted(library.glob("*.py")))
    every = list(islice(chain.from_iterable(text.splitlines() for text in texts), lines))
    return "\n".join(islice(cycle(every), lines)) + "\n"


def project_of(folder: Path, files: int) -> Path:
    """Make a project with so many files, a hundred in a folder; return the folder."""
    project = folder / "project"
    for number in range(files):
        file = project / f"part{number // 100}" / f"file{number % 100}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    return project


def key_times(
    file: Path, keys: int, *, wrap: bool = False, live: bool = False, cursors: int = 1
) -> list[tuple[float, float]]:
    """Return the wall and CPU seconds of every key typed in the middle of a file."""
    found: list[tuple[float, float]] = []

    async def drive(app: DgeditApp) -> None:
        editor, dice = app.editor, random.Random(0)
        editor.cursor_blink = False
        editor.soft_wrap = wrap
        await _go_to_middle(editor)
        for _ in range(cursors - 1):
            editor.action_add_cursor(True)
        if live:
            start = editor.buffer.index((editor.cursor_location[0] + 2, 0))
            editor.open_holes([OpenHole(start, start)])
            Tape.here.send_message(events.Key("f5", None))
            await asyncio.sleep(0.5)
        word = ""
        for i in range(keys):
            await asyncio.sleep(dice.uniform(*_PAUSES))
            if i % 20 == 0:
                for _ in word:
                    Tape.here.send_message(events.Key("backspace", None))
                word = "qx"
                await Tape.here.until(word, *word)
                await asyncio.sleep(_PAUSES[1])
            key = dice.choice(ascii_lowercase)
            word += key
            found.append(await Tape.here.until(word, key))

    _run(file, drive)
    return found


def opening_times(file: Path, times: int) -> list[tuple[float, float]]:
    """Return the wall and CPU seconds from the start of a process to its first text."""
    found = []
    for _ in range(times):
        start = perf_counter()
        command = [sys.executable, "-c", _OPEN, "--open", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            cpu = float(process.stdout.readline())
            found.append((perf_counter() - start, cpu))
            process.kill()
    return found


def open_once(file: Path) -> None:
    """Open a file or a project; when it is painted, print the CPU seconds that it took."""
    line = file.name if file.is_dir() else file.read_text().splitlines()[0]

    async def drive(app: DgeditApp) -> None:
        del app

    class First(Tape):
        def write(self, data: str) -> None:
            if line[:60] in _CONTROL.sub("", data):
                print(process_time(), file=sys.__stdout__, flush=True)
                os._exit(0)

    _run(file, drive, First)


def _run(
    file: Path, drive: Callable[[DgeditApp], Awaitable[None]], driver: type[Tape] = Tape
) -> None:
    journal = Journal(Path(tempfile.mkdtemp(dir=file.parent)))
    files, folder = ([], file) if file.is_dir() else ([file], None)
    app = DgeditApp(files, folder=folder, connect=Restless, watch=False, journal=journal)
    app.driver_class = driver
    failed: list[BaseException] = []

    async def pilot(pilot: Pilot[Any]) -> None:
        try:
            await pilot.pause()
            await drive(app)
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            if driver is Tape:
                app.exit()

    with suppress(asyncio.CancelledError):
        asyncio.run(app.run_async(size=SIZE, auto_pilot=pilot))
    if failed:
        raise failed[0]


async def _go_to_middle(editor: Editor) -> None:
    row = editor.document.line_count // 2
    if editor.document.line_count < 10:
        row = 0
    column = len(editor.document[row]) // 2 if row == 0 else 0
    editor.move_cursor((row, column), center=True)  # so that an infill below is visible
    await asyncio.sleep(0.5)


def _share(times: Sequence[float], share: float) -> float:
    """Return the time in milliseconds that this share of the times does not exceed."""
    return round(1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))], 2)


if __name__ == "__main__":
    sys.exit(main())
