"""An infill that was asked for and looked at elsewhere, opened as a ready result.

It is drawn as the last step of a stream that nobody saw, so that all that can be done with a result
can be done with it. Knows infills and the controller; not who asked.
"""

from __future__ import annotations

import math
import re

from dgedit.errors import DgeditError
from dgedit.tui.infill.controller import InfillController
from dgedit.tui.infill.session import Fill, Wish
from dgedit.tui.infill.worker import Refined
from dgedit_engine.types import Draft, Infill, InfillRequest, Step

_PIECE = re.compile(r"\s*\S+|\s+$")


def open_answered(infills: InfillController, request: InfillRequest, infill: Infill) -> None:
    """Show an infill in the holes that are open, which are those that it is of, in order; another
    one is asked for as this one was.
    """
    wish = Wish(request.effort, request.seed, request.instruction, request.strength)
    try:
        fill = Fill.ask(infills.workspace.editors, wish, others=infills.documents())
    except (DgeditError, ValueError) as error:
        infills.workspace.notice(str(error))
        return
    if len(fill.holes) != len(infill.texts):
        return
    step = _last_step(infill)
    fill.keep(step)
    infills.fill = fill
    infills.redraw()
    infills.app.post_message(Refined(fill, step, infill.seconds))


def _last_step(infill: Infill) -> Step:
    firsts = [infill.first(hole) for hole in range(len(infill.texts))]
    drafts = tuple(
        first.draft if first else _draft(text, infill.score)
        for first, text in zip(firsts, infill.texts, strict=True)
    )
    return Step(
        infill.steps,
        infill.steps,
        drafts,
        last=True,
        stopped=infill.stopped,
        score=infill.score,
        candidates=infill.candidates,
    )


def _draft(text: str, score: float) -> Draft:
    """A text of which no more is known than what all of the infill was scored."""
    pieces = tuple(_PIECE.findall(text))
    sure = min(1.0, math.exp(score))
    return Draft(pieces, (sure,) * len(pieces), (True,) * len(pieces))
