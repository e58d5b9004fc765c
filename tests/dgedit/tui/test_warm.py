"""The editor with a warm engine: another process refines, is cancelled and is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgedit.tui.app import DgeditApp
from warm import Warm, warm_engines


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    with warm_engines(monkeypatch) as made:
        yield made


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():
            await asyncio.sleep(0.02)


async def test_editor_fills_cancels_and_goes_on_after_a_crash(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one ")
    app = DgeditApp([tmp_path / "a.txt"], connect=warm.open, watch=False)
    async with app.run_test(size=(60, 16)) as pilot:
        await pilot.press("ctrl+end", "shift+f2", "f5")
        await until(lambda: app.fill is not None and bool(app.fill.step) and app.fill.step.last)
        assert app.infill.source.backend is not None and app.infill.source.backend.name == "model"
        await pilot.press("enter")
        assert app.editor.text == "one filled"

        await pilot.press("ctrl+end", "shift+f2", "f6", *"crawl", "enter")
        await until(lambda: app.fill is not None and app.fill.step is not None)
        await pilot.press("escape")
        await asyncio.to_thread(warm.logged, "cancelled after")
        assert app.editor.text == "one filled"

        (pid,) = warm.pids()
        os.kill(pid, signal.SIGKILL)
        await pilot.press("f6", *(["backspace"] * 5), "enter")
        await until(lambda: app.fill is not None and bool(app.fill.step) and app.fill.step.last)
        await pilot.press("enter")
        assert app.editor.text == "one filledfilled"
        assert warm.pids() != [pid]
