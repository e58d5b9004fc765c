"""Show the refinement on stderr while it runs, and erase it at the end.

Passes the steps through and draws some of them: the first, the last, and at most 30 a second
between. Draws nothing if stderr is not a terminal, or a dumb one. Readable without colour: settled
text is plain, a draft dim and italic, pieces that changed since the last drawing are underlined.

The status counts steps up without a total, as the cap changes from phase to phase, and shows the
settled share only until everything has settled.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from dgedit.text.visible import visible
from dgedit_engine.types import Backend, InfillRequest, Phase, Step

if TYPE_CHECKING:
    from rich.text import Text

_INTERVAL = 1 / 30
# The most rows drawn: more could not be read in time.
_MOST_ROWS = 24
# The characters before a hole that its syntax is told from.
_NEAR = 2000
_PHASES: dict[Phase, str] = {
    "draft": "drafting",
    "refine": "refining",
    "repair": "repairing",
    "continue": "going on",
}


def watch(
    steps: Iterator[Step], backend: Backend, request: InfillRequest | None = None
) -> Generator[Step]:
    """Yield the same steps, and draw them if stderr is a terminal. Closing it closes them."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        yield from _drawn(steps, f"{backend.name} · {backend.device}", request)
    else:
        yield from steps


def picture(
    step: Step,
    before: Step | None,
    *,
    least: int,
    most: int,
    request: InfillRequest | None = None,
) -> Text:
    """Draw the drafts in `least` to `most` rows; of longer ones, those around the first unsettled
    piece.
    """
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    first: int | None = None
    pairs = zip(step.drafts, (before or step).drafts, strict=True)
    above = [("", "")] * len(step.drafts) if request is None else list(_above(request))
    for number, (draft, old) in enumerate(pairs):
        if number:
            text.append("\n⋯\n", "dim")
        path, before_it = above[number]
        start = len(text)
        text.append(visible(before_it.rpartition("\n")[2], keep="\t"))
        for place, (piece, settled) in enumerate(zip(draft.pieces, draft.settled, strict=True)):
            if first is None and not settled:
                first = text.plain.count("\n")
            style = "" if settled else "dim italic"
            changed = "" if old.pieces[place : place + 1] == (piece,) else " underline"
            text.append(visible(piece, keep="\n\t"), style + changed)
        _color(text, start, path, before_it + draft.text)
    rows = list(text.split("\n", allow_blank=True))
    top = max(0, min((first or 0) - 2, len(rows) - most))
    rows = rows[top : top + most]
    rows.extend([Text()] * (least - len(rows)))
    return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def _above(request: InfillRequest) -> Iterator[tuple[str, str]]:
    """Yield each hole's path and the text before it, from the start of a line."""
    for passage in request.passages:
        before = ""
        for part in passage.parts:
            if isinstance(part, str):
                before = (before + part).replace("\r\n", "\n")
            else:
                yield passage.path, before[before.rfind("\n", 0, max(0, len(before) - _NEAR)) + 1 :]
                before += part.text


def _color(text: Text, start: int, path: str, code: str) -> None:
    """Color what was appended to a text from `start` on, the end of some code, by its syntax."""
    from rich.syntax import Syntax

    lead = len(code) - (len(text) - start)
    if not path or lead < 0 or code[lead:] != text.plain[start:]:
        return  # characters are shown otherwise than they are
    lexer = Syntax.guess_lexer(path, code)
    for span in Syntax("", lexer, theme="ansi_dark").highlight(code).spans:
        if span.end > lead:
            text.stylize(span.style, start + max(0, span.start - lead), start + span.end - lead)


def status(step: Step, seconds: float, where: str) -> str:
    """Return the status line: progress, settled share, speed, cost, model and device."""
    return " · ".join([*standing(step), *cost(step, seconds), visible(where)])


def standing(step: Step, *, of: int | None = None, brief: bool = False) -> list[str]:
    """Return the phase, the step (out of `of`) and the settled share, as parts of a line; `brief`
    leaves out the step.
    """
    if step.last:
        return ["ready, not all settled" if step.stopped == "cap" else "ready"]
    at = _PHASES[step.phase]
    if not brief:
        at += f", step {step.index}" + (f" of {of}" if of else "")
    settled, pieces = _counted(step)
    if step.phase == "draft" or not pieces:
        return [at]
    if settled < pieces:
        return [at, f"{100 * settled // pieces}% settled"]
    if of:
        return [at, "all settled"]
    return ["settled, checking"] if brief else [at, "all settled, checking"]  # it may still change


def cost(step: Step, seconds: float) -> list[str]:
    """Return the number of steps (in the end), tokens a second, the time, and forward passes."""
    settled, pieces = _counted(step)
    done = pieces if step.phase == "draft" else settled
    said = [_many(step.index, "step")] if step.last else []
    if seconds > 0 and done:
        said.append(f"{done / seconds:.0f} tok/s")
    return [
        *said,
        f"{seconds:.1f} s",
        *([_many(step.forwards, "forward")] if step.forwards else []),
    ]


def _counted(step: Step) -> tuple[int, int]:
    """Return how many pieces have settled, and how many there are."""
    drafts = step.drafts
    return sum(sum(one.settled) for one in drafts), sum(len(one.pieces) for one in drafts)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _drawn(steps: Iterator[Step], where: str, request: InfillRequest | None) -> Generator[Step]:
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
                    # One row for the status and one for the cursor. The picture never shrinks, or
                    # what is below it would jump.
                    most = max(1, min(_MOST_ROWS, console.height - 2))
                    least = min(rows, most)
                    drafts = picture(step, shown, least=least, most=most, request=request)
                    rows = len(drafts.split("\n", allow_blank=True))
                    line = Text(status(step, now - started, where), no_wrap=True, end="")
                    screen.update(Group(drafts, line), refresh=True)
                    shown, due = step, now + _INTERVAL
                yield step
    finally:
        getattr(steps, "close", lambda: None)()
