"""Draw docs/tui.svg: the editor in the middle of a real infill by the embedded model.

python docs/still.py [MODEL]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from dgedit.backend import connect
from dgedit.tui.app import DgeditApp
from dgedit_engine.types import Backend, InfillRequest, Step

HERE = Path(__file__).resolve().parent
SHOWN = 6
"""The step at which the picture is taken."""


class Held:
    """A backend that stops at one step until the picture is taken."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.reached, self.taken, self.over = inner, Event(), Event(), Event()
        self.name, self.device = inner.name, inner.device

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        try:
            for step in self.inner.infill(request):
                yield step
                if step.index == SHOWN or step.last:
                    self.reached.set()
                    self.taken.wait(20)
        finally:
            self.over.set()


async def main(model: str | None) -> None:
    """Mask two lines of the demo, fill them, and take the picture."""
    backend = Held(connect(model, None))
    text = (HERE.parent / "demo" / "inventory.py").read_text()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        path = Path("inventory.py")
        path.write_text(text.replace("<FILL>", "return self.items.pop(name)"))
        app = DgeditApp([path], connect=lambda: backend, seed=1, watch=False)
        async with app.run_test(size=(96, 40)) as pilot:
            for row, start in ((25, 8), (29, 8)):
                app.editor.move_cursor((row, start))
                end = len(app.editor.document.get_line(row))
                app.editor.move_cursor((row, end), select=True)
                await pilot.press("f2")
            await pilot.press("f5")
            await asyncio.to_thread(backend.reached.wait, 30)
            await pilot.pause(0.2)
            (HERE / "tui.svg").write_text(app.export_screenshot(title="dgedit"))
            backend.taken.set()
            await asyncio.to_thread(backend.over.wait, 30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
