"""An editor over files in a temporary folder, and the backend that fills their holes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key, key_to_character
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.worker import Worker

from dgedit.tui.app import DgeditApp
from scripted import Script

PATIENCE = 90
"""Seconds until a test that waits has failed, on a busy machine too."""

ENDLESS = {"journal", "watch", "tree", "_loader"}
"""The groups of workers that look after something as long as the editor runs."""


class Desk:
    """A running editor."""

    def __init__(self, app: DgeditApp, pilot: Pilot[None], script: Script) -> None:
        self.app, self.pilot, self.script = app, pilot, script

    async def press(self, *keys: str) -> None:
        """Press keys, each when all that the one before did is done."""
        for key in keys:
            one = len(key) == 1
            name, character = (_character_to_key(key), key) if one else (key, key_to_character(key))
            self.app.post_message(events.Key(name, character))
            await self.settled()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact, then for all that is under way."""
        await self._wait(fact)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is under way: no message or callback is left, no worker is at work,
        and what they changed is drawn. An editor that has ended is settled.
        """
        calm = 0

        def is_calm() -> bool:
            nonlocal calm
            # Three looks: a task that was only just made is seen when it has begun.
            calm = 0 if under_way(self.app) else calm + 1
            return calm == 3

        await self._wait(is_calm)

    async def _wait(self, fact: Callable[[], bool]) -> None:
        end = monotonic() + PATIENCE
        while not fact():
            if self.app._exception is not None:
                raise self.app._exception
            if monotonic() > end:
                busy = ", ".join(under_way(self.app)) or "nothing"
                pytest.fail(f"waited {PATIENCE} s; under way: {busy}; said: {self.notice!r}")
            await asyncio.sleep(0.001)

    async def step(self, steps: int = 1) -> None:
        """Let the backend take steps, and wait until the last of them is drawn."""
        fill = self.app.fill
        assert fill is not None
        at = (fill.step.index if fill.step else 0) + steps
        self.script.go(steps)
        await self.until(lambda: fill.step is not None and fill.step.index == at)

    def row(self, y: int) -> str:
        """What is drawn at a row of the editor, without gutter and the blanks at its end."""
        editor = self.app.editor
        return editor.render_line(y).text[editor.gutter_width :].rstrip()

    def select(self, start: int, end: int) -> None:
        """Select by offset; the cursor goes to the end."""
        editor = self.app.editor
        locations = editor.buffer.location(start), editor.buffer.location(end)
        editor.selection = type(editor.selection)(*locations)

    @property
    def notice(self) -> str:
        return self.app.workspace.status.notice


def under_way(app: DgeditApp) -> list[str]:
    """What the editor has still to do by itself; not what an engine does, or what a timer will."""
    if not app.is_running:
        return []
    screen = app.screen
    busy = [str(one) for one in (app, *app._registry) if not _waits(one)]
    busy += [f"worker {one.group}" for one in app.workers if _works(one, asked=screen.is_modal)]
    undrawn = (
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
    )
    busy += ["drawing"] * bool(undrawn)
    busy += ["callbacks"] * any(one._callbacks for one in app.screen_stack)
    busy += ["resizing"] * (app._resize_event is not None)
    busy += ["animation"] * (not app.animator._complete_event.is_set())
    return busy


def _waits(pump: MessagePump) -> bool:
    """Whether it has handled all its messages, and waits for the next; or was never begun."""
    queue = pump._message_queue
    if pump._task is None and not pump.is_running:
        return True
    return queue.empty() and bool(queue.ready_event._waiters) and not pump._next_callbacks


def _works(worker: Worker[Any], *, asked: bool) -> bool:
    """Whether a worker will end by itself; those that are no threads wait when a dialog asks."""
    return (
        not worker.is_finished
        and worker.group not in ENDLESS
        and (worker._thread_worker or not asked)
    )


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk(tmp_path: Path) -> OpenDesk:
    """`async with desk({name: bytes}, script) as d:`"""

    @asynccontextmanager
    async def opened(
        files: dict[str, bytes], script: Script | None = None, size: tuple[int, int] = (60, 16)
    ) -> AsyncIterator[Desk]:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        script = script or Script()
        paths = [tmp_path / name for name in files]
        app = DgeditApp(paths, connect=lambda: script, watch=False)
        async with app.run_test(size=size) as pilot:
            for editor in app.editors:
                editor.cursor_blink = False
            d = Desk(app, pilot, script)
            await d.settled()
            yield d
            app.infill.drop()  # or a step would be drawn on a screen that is gone
            script.go(100)

    return opened
