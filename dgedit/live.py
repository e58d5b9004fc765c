"""The refinement, drawn on stderr as it happens, and gone when it is done.

Passes the steps through and draws some of them: the first, the last, and at most 30 a second
between. Draws nothing where nobody looks: stderr is no terminal, or a dumb one. Told apart without
colour: settled text is plain, a draft dim and italic, what changed since the last drawing is
underlined.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from dgedit.visible import visible
from dgedit_engine.types import Backend, Step

if TYPE_CHECKING:
    from rich.text import Text

_INTERVAL = 1 / 30
# More rows than this are not read, only scrolled past.
_MOST_ROWS = 24


def watch(steps: Iterator[Step], backend: Backend) -> Generator[Step]:
    """The same steps, drawn on the way where somebody may look. Closing it closes them."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        yield from _drawn(steps, f"{backend.name} · {backend.device}")
    else:
        yield from steps


def picture(step: Step, before: Step | None, *, least: int, most: int) -> Text:
    """The drafts in `least` to `most` rows; when they have more, those around the first draft."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    first: int | None = None
    pairs = zip(step.drafts, (before or step).drafts, strict=True)
    for number, (draft, old) in enumerate(pairs):
        if number:
            text.append("\n⋯\n", "dim")
        for place, (piece, settled) in enumerate(zip(draft.pieces, draft.settled, strict=True)):
            if first is None and not settled:
                first = text.plain.count("\n")
            style = "" if settled else "dim italic"
            changed = "" if old.pieces[place : place + 1] == (piece,) else " underline"
            text.append(visible(piece, keep="\n\t"), style + changed)
    rows = list(text.split("\n", allow_blank=True))
    top = max(0, min((first or 0) - 2, len(rows) - most))
    rows = rows[top : top + most]
    rows.extend([Text()] * (least - len(rows)))
    return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def status(step: Step, seconds: float, where: str) -> str:
    """One line: how far, how settled, how fast, who and where."""
    settled = sum(sum(draft.settled) for draft in step.drafts)
    pieces = sum(len(draft.pieces) for draft in step.drafts)
    share = settled / pieces if pieces else 1.0
    pace = f" · {settled / seconds:.0f} tok/s" if seconds > 0 else ""
    return f"step {step.index}/{step.total} · {share:.0%} settled{pace} · {visible(where)}"


def _drawn(steps: Iterator[Step], where: str) -> Generator[Step]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    screen = Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    shown: Step | None = None
    started, due, rows = time.monotonic(), 0.0, 0
    try:
        with screen:
            for step in steps:
                now = time.monotonic()
                if now >= due or step.last:
                    # One row for the status and one for the cursor. Never lower than it was: a
                    # picture that shrinks makes what is below it jump.
                    most = max(1, min(_MOST_ROWS, console.height - 2))
                    drafts = picture(step, shown, least=min(rows, most), most=most)
                    rows = len(drafts.split("\n", allow_blank=True))
                    line = Text(status(step, now - started, where), no_wrap=True, end="")
                    screen.update(Group(drafts, line), refresh=True)
                    shown, due = step, now + _INTERVAL
                yield step
    finally:
        getattr(steps, "close", lambda: None)()
