"""Word the status of an infill: how far it is, what it offers at a hole, why nothing is new.

The most important comes first, since a short status line cuts off the end. Knows infills; draws
nothing.
"""

from __future__ import annotations

from dataclasses import replace

from dgedit.files.document import readable
from dgedit.request.ability import not_followed
from dgedit.request.progress import cost, standing
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill.session import Fill, Stage
from dgedit.tui.widgets.status import BETWEEN
from dgedit_engine.types import Backend, Origin, Step

_ORIGINS: dict[Origin, str] = {
    "canvas": "from noise",
    "draft": "drafted",
    "sample": "sampled",
    "revised": "a draft revised",
    "warm": "from the last infill",
    "repaired": "syntax refined again",
}


def progress(fill: Fill, hole: OpenHole | None = None) -> str:
    """Describe what is shown of a hole, or the first one, and the infill's progress."""
    step = fill.step
    if step is None:
        return "starting…"
    seconds = f"{fill.seconds:.1f} s"
    if fill.stage is not Stage.READY:
        return BETWEEN.join([*standing(step, brief=True), seconds])
    left = [one for _, one in fill.present]
    one = hole if hole in left else next(iter(left), None)
    said = [] if one is None else _place(fill, one, left)
    if one is not None and one in fill.back:
        said += standing(_of(fill, one), of=step.index)
    else:
        said += [*standing(step), seconds]
    return BETWEEN.join(said)


def account(fill: Fill) -> list[str]:
    """Describe what an infill cost, and where each hole's candidates came from."""
    if fill.step is None:
        return []
    said = [BETWEEN.join([*standing(fill.step), *cost(fill.step, fill.seconds)])]
    holes = [hole for _, hole in fill.present] if fill.stage is Stage.READY else []
    for number, hole in enumerate(holes, 1):
        which = f"hole {number}, " if len(holes) > 1 else ""
        said += [
            f"{which}candidate {at}: score {part.score:.2f}, {_ORIGINS[part.origin]}"
            for at, one in enumerate(fill.offered(hole), 1)
            for part in one.parts[:1]
        ]
    return said


def remark(fill: Fill) -> str:
    """Explain why a result shows nothing new; empty if it does."""
    if fill.step is None or fill.stage is not Stage.READY:
        return ""
    if fill.step.stopped == "unchanged":
        return "unchanged: strength 0 keeps what is there"
    shown = list(fill.shown())
    if shown and not any(draft.text for _, _, draft in shown):
        covers = any(hole.start < hole.end for _, hole, _ in shown)
        deletes = "accepted, it deletes what the hole covers; " if covers else ""
        return f"the draft is empty: {deletes}F5 draws another"
    held = [
        readable(editor.text[hole.start : hole.end]) == draft.text and not hole.taken
        for editor, hole, draft in shown
    ]
    return "the infill is what is there already: F5 draws another" if all(held) else ""


def unfollowed(fill: Fill, backend: Backend | None) -> str:
    """Explain why the words of the holes' markers have little effect; empty if there are none, if
    the model follows them, and while it is being opened.
    """
    marked = fill.request.instruction != fill.said
    return not_followed(backend) if marked and backend else ""


def _place(fill: Fill, hole: OpenHole, left: list[OpenHole]) -> list[str]:
    """Return the hole's number among those left, and the candidate that is shown for it."""
    said = [f"hole {left.index(hole) + 1} of {len(left)}"] if len(left) > 1 else []
    some, at = fill.offered(hole), fill.chosen(hole)
    which = f"candidate {at + 1} of {len(some)}" if len(some) > 1 else ""
    if hole in fill.back:
        return [*said, f"on the way to {which}"] if at else said
    one = some[at]
    said += [which] if which else []
    said += [_certainty(one.certainty, fill.caution, unsure=fill.is_unsure(hole))]
    if one.faults:
        said.append(f"leaves {one.faults} syntax error" + "s" * (one.faults != 1))
    return [one for one in said if one]


def _certainty(known: float | None, caution: float, *, unsure: bool) -> str:
    """Word the probability that a candidate is right.

    Without the number if it is unsure for another reason; empty if nothing is known.
    """
    if known is None or (unsure and known >= caution):
        return "unsure" if unsure else ""
    return f"{'only ' * unsure}{known:.0%} sure"


def _of(fill: Fill, hole: OpenHole) -> Step:
    """Return the kept step that is shown for a hole, with only that hole's draft."""
    draft = fill.shown_for(hole)
    return replace(fill.kept[fill.back[hole]], drafts=(draft,) if draft else ())
