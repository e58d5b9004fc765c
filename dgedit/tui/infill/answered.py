"""Open an infill that was run elsewhere, such as by `dgedit fill -i`, as a result under review.

It is shown like the last step of an infill, so that everything that can be done with a result can
be done with it. Knows infills and the controller; not who asked.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from dgedit.errors import DgeditError
from dgedit.tui.infill.controller import InfillController
from dgedit.tui.infill.session import Fill, Wish
from dgedit.tui.infill.worker import Refined
from dgedit_engine.types import Draft, Infill, InfillRequest, Step

_PIECE = re.compile(r"\s*\S+|\s+$")


def open_answered(infills: InfillController, request: InfillRequest, infill: Infill) -> None:
    """Show an infill in the open holes, which must be its own, in order. Filling again uses the
    same effort, instruction and strength.
    """
    wish = Wish(request.effort, request.seed, strength=request.strength)
    try:
        fill = Fill.ask(infills.workspace.editors, wish, others=infills.documents())
    except (DgeditError, ValueError) as error:
        infills.workspace.notice(str(error))
        return
    if len(fill.holes) != len(infill.texts):
        return
    own = fill.request.instruction  # the markers'
    fill.said = request.instruction.removesuffix(own).removesuffix("\n")
    fill.request = replace(fill.request, instruction=request.instruction)
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
    """Make a draft of a text, with the score of the whole infill as its confidence."""
    pieces = tuple(_PIECE.findall(text))
    sure = min(1.0, math.exp(score))
    return Draft(pieces, (sure,) * len(pieces), (True,) * len(pieces))
