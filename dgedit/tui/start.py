"""Run the editor from start to end: its parts, signals, and its exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer
from types import FrameType

from rich.console import Console
from textual.document._document import Selection

from dgedit.config import current, layers
from dgedit.errors import InputError, UsageError
from dgedit.files.document import Document, Span
from dgedit.files.journal import Journal, state_folder
from dgedit.files.recent import LastTheme, Recent, recent_path, theme_path
from dgedit.files.sessions import SessionStore, sessions_folder
from dgedit.request.ranges import place_in
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.holes import OpenHole
from dgedit_engine.types import Infill, InfillRequest

# Seconds for the screen to end after a signal: with a terminal, and with one that is gone, which
# would block writing to it for ever.
_PATIENCE, _IMPATIENCE = 3.0, 0.2


def run(
    paths: list[Path],
    *,
    model: str | None,
    adapter: Path | None = None,
    verifier: str | None = None,
    drafter: str | None = None,
    device: str | None,
    engine: str = "local",
    effort: float,
    seed: int,
    read_only: bool = False,
    force: bool = False,
    piped: Document | None = None,
    give: Callable[[Document], None] = lambda document: None,
    holes: Sequence[Sequence[Span]] = (),
    answered: tuple[InfillRequest, Infill] | None = None,
    places: Mapping[Path, str | None] | None = None,
) -> int:
    """Edit files, or the project in a folder, until the user quits; return the exit code.

    `holes` are the spans to mask, for each file its own, filled with the infill in `answered`,
    which is open for review; `places` are positions or ranges in the files, see `place_in`; `piped`
    is the text of `-`, which is output by `give` at the end.

    Raises InputError for a file that cannot be opened, UsageError for invalid settings; either for
    invalid places.
    """
    from dgedit.engines.connect import connect

    folders = [path for path in paths if os.path.isdir(path)]
    if len(folders) > 1:
        raise UsageError(f"one folder at a time, not both {folders[0]} and {folders[1]}")
    settings, few = current(), Console(force_terminal=True).color_system == "standard"
    if few and settings.theme not in _OF_16:
        settings = replace(settings, theme=_OF_16[0])
    app = DgeditApp(
        [path for path in paths if path not in folders],
        folder=folders[0] if folders else None,
        connect=partial(connect, model, device, engine, adapter, verifier, drafter),
        effort=effort,
        seed=seed,
        settings=settings,
        recent=Recent(recent_path()),
        last_theme=LastTheme(None if few else theme_path(), _named_by("theme")),
        journal=Journal(state_folder()),
        sessions=SessionStore(sessions_folder()),
        read_only=read_only,
        force=force,
        piped=piped,
        answered=answered,
    )
    for editor, spans in zip(app.workspace.editors, holes, strict=False):
        editor.open_holes([OpenHole(span.start, span.end) for span in spans])
        editor.selection = Selection.cursor(editor.buffer.location(spans[0].start))
    _go(app, places or {})
    try:
        with _heeding_signals(app):
            app.run()
        if app.failure is not None:
            raise app.failure
        app.piped.give(give)
    except BaseException:
        if app.recovery.secure():
            start = "the next start" + " of dgedit -" * (app.piped.result is not None)
            print(f"dgedit: what was not saved is offered at {start}", file=sys.stderr)
        raise
    finally:
        app.recovery.retire()
    return app.return_code or 0


_OF_16 = ("ansi-dark", "ansi-light")
"""Themes of the terminal's own colours, for one that has no more than sixteen."""


def _go(app: DgeditApp, places: Mapping[Path, str | None]) -> None:
    """Select the given place in each file, with the cursor at its start."""
    wanted = {app.started_in.absolute(path): place for path, place in places.items() if place}
    for editor in app.workspace.editors:
        if place := wanted.get(editor.path):
            try:
                span = place_in(editor.file, place)
            except (InputError, UsageError) as error:
                raise type(error)(app.started_in.shortened(str(error))) from None
            start, end = map(editor.buffer.location, (span.start, span.end))
            editor.selection = Selection(end, start)


def _named_by(key: str) -> str:
    """Return the place that decides a setting; empty if none names it."""
    return next((one.where for one in reversed(layers()) if key in one.values), "")


@contextlib.contextmanager
def _heeding_signals(app: DgeditApp) -> Iterator[None]:
    """Let signals end the editor and restore the terminal; ignored ones stay ignored."""
    timers: list[Timer] = []

    def give_up(code: int) -> None:
        app.recovery.retire()
        os._exit(code)

    def ended(number: int, frame: FrameType | None) -> None:
        seconds = _PATIENCE if os.isatty(0) else _IMPATIENCE
        timers.append(Timer(seconds, give_up, (128 + number,)))
        timers[-1].daemon = True
        timers[-1].start()
        app.recovery.end_by_signal(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, ended) for number in heeded}
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
