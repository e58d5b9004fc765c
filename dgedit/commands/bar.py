"""Show on stderr how far a transfer is, in bytes, if stderr is a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

from dgedit.text.visible import visible


class ByteProgress(Protocol):
    """The progress of a transfer, in bytes."""

    @property
    def done(self) -> int:
        """The bytes that have been transferred."""

    @property
    def total(self) -> int:
        """The bytes of the whole transfer."""


def follow(steps: Iterable[ByteProgress], what: str, *, counted: bool = False) -> None:
    """Run a transfer to its end, and show its progress if stderr is a terminal; `counted` if it is
    of things, not of bytes.
    """
    with contextlib.closing(_shown(iter(steps), what, counted)) as shown:
        for _ in shown:
            pass


def _shown(steps: Iterator[ByteProgress], what: str, counted: bool) -> Generator[ByteProgress]:
    try:
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield from steps
            return
        from rich import progress as bars
        from rich.console import Console
        from rich.text import Text

        far = (bars.DownloadColumn(), bars.TransferSpeedColumn())
        columns = (
            *(bars.RenderableColumn(Text(visible(what))), bars.BarColumn()),
            *((bars.MofNCompleteColumn(),) if counted else far),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = None
            for step in steps:
                if task is None:  # bytes from an earlier run must not count for the speed
                    task = bar.add_task(what, total=step.total, completed=step.done)
                bar.update(task, completed=step.done)
                yield step
    finally:
        getattr(steps, "close", lambda: None)()
