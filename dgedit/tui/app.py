"""The editor: files in tabs, holes in the files, and each step of an infill drawn where its text
will be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from dgedit.tui.filing import Filing
from dgedit.tui.infilling import Infilling
from dgedit.tui.stream import Source
from dgedit_engine.types import Backend


def run(
    paths: list[Path], *, model: str | None, device: str | None, effort: float, seed: int
) -> int:
    """Edit files until the user leaves; returns the exit code. Raises InputError for a file that
    cannot be opened.
    """
    from dgedit.backend import connect

    app = DgeditApp(paths, connect=partial(connect, model, device), effort=effort, seed=seed)
    app.run()
    return app.return_code or 0


class DgeditApp(Infilling, Filing):
    """All of it, on one screen."""

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        connect: Callable[[], Backend],
        effort: float = 0.5,
        seed: int = 0,
        watch: bool = True,
    ) -> None:
        super().__init__(paths)
        self.effort, self.seed, self.watching = effort, seed, watch
        self.source = Source(connect, self.post_message)
