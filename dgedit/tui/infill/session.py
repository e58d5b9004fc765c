"""The state of one infill in the editor: its holes, its progress, its candidates.

For each hole the user can look at candidates and at earlier steps; what is shown is what is
accepted. A hole that is edited meanwhile drops out; the others go on. A part of a hole may be fixed
while the rest is refined again: the engine sees it as text between two holes.

Knows holes and steps; `words.py` puts them into words. Knows no threads, keys or screens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

from dgedit.files.document import Document, Span, readable
from dgedit.request.context import beside
from dgedit.request.markers import instruction_of, passage, words_of
from dgedit.text.drafts import cut, rest, veiled
from dgedit.tui.editor.accepting import accept, accept_start
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill.offers import Offer, Weave, offers, wholes, woven
from dgedit_engine.types import CAUTION, Draft, Hole, InfillRequest, Step

Live = Literal["full", "settle", "off"]
"""What is drawn of a running infill: every step, settled pieces only, or a spinner."""

# The most steps kept to look back at.
_KEPT = 200


class Stage(Enum):
    """The stages of an infill."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Wish:
    """The parameters of an infill, beside its holes."""

    effort: float
    """Like the others, a field of `InfillRequest`."""
    seed: int
    instruction: str = ""
    strength: float = 1.0


@dataclass(eq=False, slots=True)
class Fill:
    """An infill of the holes of all files."""

    request: InfillRequest
    """The request to the engine."""
    holes: tuple[tuple[Editor, OpenHole], ...]
    """The holes, in the request's order."""
    stage: Stage = Stage.WAITING
    """Its stage."""
    step: Step | None = None
    """The last step that was drawn."""
    seconds: float = 0.0
    """The time from the request to that step."""
    weaves: tuple[Weave, ...] = ()
    """The content of each hole: fixed parts and parts to refine."""
    before: Fill | None = None
    """The result that this one refines or replaces, which is shown again if this is cancelled."""
    kept: list[Step] = field(default_factory=list)
    """The steps so far, thinned out if there are too many."""
    candidates: tuple[tuple[Offer, ...], ...] = ()
    """The candidates of each hole at the last step."""
    choices: dict[OpenHole, int] = field(default_factory=dict)
    """The index of the candidate chosen for a hole, also while an earlier step is shown for it; by
    default the first.
    """
    back: dict[OpenHole, int] = field(default_factory=dict)
    """The index of the earlier step that is shown for a hole in place of a candidate."""
    held: dict[OpenHole, tuple[Offer, ...]] = field(default_factory=dict)
    """The earlier candidates of holes of which nothing is refined."""
    caution: float = CAUTION
    """A candidate whose probability of being right is below this is drawn as unsure."""
    said: str = ""
    """The request's instruction without those of the markers that its holes hold."""
    numbers: dict[OpenHole, int] = field(init=False)
    """The index of each hole in the request's order."""

    def __post_init__(self) -> None:
        self.numbers = {hole: number for number, (_, hole) in enumerate(self.holes)}

    @classmethod
    def ask(
        cls,
        editors: Sequence[Editor],
        wish: Wish,
        *,
        others: Sequence[Document] = (),
        weaves: Mapping[OpenHole, Weave] | None = None,
    ) -> Fill:
        """Make an infill of all holes, or of those in `weaves`; `others` serve as context.

        Raises InputError if the holes exceed one passage, ValueError if there is no hole.
        """
        every = [(editor, hole) for editor in editors for hole in editor.holes]
        anew = _anew(every) if weaves is None else {}  # a redo may leave partly accepted holes
        holes = [
            (editor, anew.get(hole, hole))
            for editor, hole in every
            if weaves is None or hole in weaves
        ]
        passages, every_weave = [], []
        words: list[str] = []  # for each of the request's holes
        for editor in dict.fromkeys(editor for editor, _ in holes):
            own = [hole for owner, hole in holes if owner is editor]
            spans = [Span(hole.start, hole.end) for hole in own]
            asked = passage(editor.told, spans, blanks=[hole.blanks for hole in own])
            given = [
                (weaves or {}).get(hole, (part,))
                for hole, part in zip(own, asked.holes, strict=True)
            ]
            passages.append(woven(asked, given))
            every_weave += given
            for span, weave in zip(spans, given, strict=True):
                one = words_of(editor.text[span.start : span.end])
                words += [one for part in weave if isinstance(part, Hole)]
        request = InfillRequest(
            (*passages, *beside(passages, others)),
            instruction=readable(instruction_of(wish.instruction, words)),
            strength=wish.strength,
            effort=wish.effort,
            seed=wish.seed,
        )
        return cls(request, tuple(holes), weaves=tuple(every_weave), said=wish.instruction)

    def again(
        self,
        *,
        instruction: str | None = None,
        strength: float | None = None,
        others: Sequence[Document] = (),
    ) -> Fill:
        """Make an infill of the same holes as they are now, with the next seed. Below strength 1 it
        starts from the drafts that are shown.
        """
        wish = self._next(instruction, strength)
        shown = list(self.shown())
        anew = _anew(self.present)
        again = Fill.ask(self.editors, wish, others=others)
        if wish.strength < 1:
            starts = {
                anew.get(hole, hole): (Hole(draft.text),)
                for _, hole, draft in shown
                if hole.blanks is None  # of a template nothing is kept but what is fixed
            }
            every: dict[OpenHole, Weave] = {
                hole: starts.get(hole, weave)
                for (_, hole), weave in zip(again.holes, again.weaves, strict=True)
            }
            again = Fill.ask(self.editors, wish, others=others, weaves=every)
        again.before = self
        return again

    def refine(self, hole: OpenHole, *, keep: bool, others: Sequence[Document] = ()) -> Fill:
        """Make an infill of a part of one hole, with the next seed: the selected part of its draft
        or, with `keep`, the rest. Everything else stays as it is shown.
        """
        if hole.blanks is not None:
            raise ValueError("the blanks of a template are filled together: F5 does it anew")
        weaves: dict[OpenHole, Weave] = {}
        for _, one, draft in self.shown():
            marked = one.marked if one is hole else range(0)
            parts = [draft] if one is not hole else list(cut(draft, marked))
            refined = [one is hole and (i == 1) is not keep for i in range(len(parts))]
            weaves[one] = tuple(
                Hole(part.text) if again else part
                for part, again in zip(parts, refined, strict=True)
                if part.pieces
            )
        if not any(isinstance(part, Hole) for weave in weaves.values() for part in weave):
            raise ValueError("all of the draft is selected: nothing is left to refine")
        carried = {one: self._carried(one) for one in weaves if one is not hole}
        anew = _anew(self.present)
        now = {anew.get(one, one): weave for one, weave in weaves.items()}
        fill = Fill.ask(self.editors, self._next(None, None), others=others, weaves=now)
        for one, (some, shown) in carried.items():
            fill.held[anew.get(one, one)] = some
            fill.choices[anew.get(one, one)] = shown
        fill.before = self
        return fill

    @property
    def editors(self) -> list[Editor]:
        """The editors concerned that are still open, each once."""
        return [one for one in dict.fromkeys(editor for editor, _ in self.holes) if one.is_attached]

    @property
    def present(self) -> list[tuple[Editor, OpenHole]]:
        """The holes that are still open: neither edited nor accepted."""
        return [
            (editor, hole)
            for editor, hole in self.holes
            if hole in editor.holes and editor.is_attached
        ]

    @property
    def drafts(self) -> list[Draft]:
        """The draft shown for each hole, including any accepted start."""
        return [self._draft(number) for number in range(len(self.holes))]

    def keep(self, step: Step) -> None:
        """Keep a step to look back at; beyond 200, drop every other one."""
        self.kept.append(step)
        if len(self.kept) > _KEPT:
            del self.kept[1::2]

    def draw(self, step: Step, seconds: float, live: Live = "full") -> None:
        """Draw a step's drafts, unless a later step has been drawn."""
        if self.step is not None and (step.index, step.last) < (self.step.index, self.step.last):
            return
        self.step, self.seconds = step, seconds
        fresh = zip(self.holes, offers(step, self.weaves), strict=True)
        self.candidates = tuple(self.held.get(hole, own) for (_, hole), own in fresh)
        self.stage = Stage.READY if step.last else Stage.RUNNING
        self.show(live, quiet=step.last)

    def show(self, live: Live = "full", *, quiet: bool = False) -> None:
        """Draw what is shown for each hole; `quiet` does not mark what changed."""
        if self.step is None:
            return
        self._keep_to_taken()
        shown = list(self.shown())
        ready = self.stage is Stage.READY
        growing = not ready and live == "full" and self.step.phase == "draft"
        if not ready:
            index = self.step.index
            shown = [(owner, hole, veiled(draft, live, index)) for owner, hole, draft in shown]
        for editor in self.editors:
            own = [(hole, draft) for owner, hole, draft in shown if owner is editor]
            fit = {hole for hole, _ in own if ready and hole not in self.back}
            unsure = {hole for hole, _ in own if self.is_unsure(hole)}
            editor.show(own, quiet=quiet, fit=fit, unsure=unsure, growing=growing)

    def clear(self) -> None:
        """Show the documents again. A hole of which a part was accepted is closed."""
        for editor in self.editors:
            own = [hole for owner, hole in self.present if owner is editor]
            editor.show([(hole, None) for hole in own])
            editor.holes[:] = [one for one in editor.holes if one not in own or not one.parted]
            editor.rows.wrap(0)
            editor.refresh()

    def accept(self) -> None:
        """Accept what is shown, with one edit per file."""
        for editor, own in list(self.fills()):
            accept(editor, own)

    def accept_hole(self, hole: OpenHole) -> None:
        """Accept what is shown for one hole."""
        owner, draft = self._of(hole)
        accept(owner, [(hole, draft.text)])

    def accept_part(self, hole: OpenHole, text: str) -> None:
        """Accept the start of what is shown for a hole; the hole continues behind it."""
        owner, draft = self._of(hole)
        if text == draft.text:
            accept(owner, [(hole, text)])
        else:
            accept_start(owner, hole, text)

    def shown(self) -> Iterator[tuple[Editor, OpenHole, Draft]]:
        """Yield what is shown for each open hole, without any accepted start."""
        for (editor, hole), draft in zip(self.holes, self.drafts, strict=True):
            left = rest(draft, hole.taken)
            if hole in editor.holes and left is not None:
                yield editor, hole, left

    def shown_for(self, hole: OpenHole) -> Draft | None:
        """Return what is shown for a hole; None if it has dropped out."""
        return next((draft for _, one, draft in self.shown() if one is hole), None)

    def offered(self, hole: OpenHole) -> tuple[Offer, ...]:
        """Return the candidates of a hole."""
        return self.candidates[self.numbers[hole]]

    def chosen(self, hole: OpenHole) -> int:
        """Return the index of the candidate chosen for a hole."""
        return min(self.choices.get(hole, 0), len(self.offered(hole)) - 1)

    def is_unsure(self, hole: OpenHole) -> bool:
        """Say whether the candidate shown for a hole may well be wrong; no for an earlier step, and
        for a draft that is still being refined.
        """
        if hole in self.back or (self.stage is not Stage.READY and hole not in self.held):
            return False
        return self.offered(hole)[self.chosen(hole)].is_unsure(self.caution)

    def fills(self) -> Iterator[tuple[Editor, list[tuple[OpenHole, str]]]]:
        """Yield each file with its holes, in order, and the texts shown for them."""
        shown = sorted(self.shown(), key=lambda one: one[1].span)
        for editor in self.editors:
            if own := [(hole, draft.text) for owner, hole, draft in shown if owner is editor]:
                yield editor, own

    def turn(self, by: int, hole: OpenHole) -> str:
        """Show the next or previous candidate of a hole; the other holes keep theirs. Returns why
        it cannot, or nothing.
        """
        own = self.offered(hole)
        fitting = [at for at, one in enumerate(own) if rest(one.draft, hole.taken) is not None]
        if len(fitting) < 2:
            if hole.taken and len(own) > 1:
                return "no other candidate begins with what was taken"
            return "there is no other candidate: F5 draws another"
        if len({own[at].draft.text for at in fitting}) == 1:
            return "every candidate is equal: F5 draws another"
        choice = self.chosen(hole)
        at = fitting.index(choice) if choice in fitting else 0
        self.choices[hole] = fitting[(at + by) % len(fitting)]
        self.back.pop(hole, None)
        return ""

    def scrub(self, by: int, hole: OpenHole) -> str:
        """Show the next or previous step of a hole; the other holes keep theirs. Returns why it
        cannot, or nothing.
        """
        number, last = self.numbers[hole], len(self.kept) - 1
        every = [] if hole in self.held else [self._at(at, number) for at in range(last)]
        fitting = [at for at, one in enumerate(every) if rest(one, hole.taken) is not None]
        at = self.back.get(hole, last)
        there = [one for one in (*fitting, last) if (one > at if by > 0 else one < at)]
        if not there:
            return "this is the last step" if by > 0 else "this is the first step"
        self.back[hole] = there[0] if by > 0 else there[-1]
        if self.back[hole] == last:
            del self.back[hole]
        return ""

    def _draft(self, number: int) -> Draft:
        """Return the draft shown for a hole, including any accepted start."""
        hole = self.holes[number][1]
        if hole in self.back:
            return self._at(self.back[hole], number)
        return self.candidates[number][self.chosen(hole)].draft

    def _at(self, step: int, number: int) -> Draft:
        """Return the draft of a hole at a kept step."""
        return wholes(self.kept[step].drafts, self.weaves)[number]

    def _of(self, hole: OpenHole) -> tuple[Editor, Draft]:
        return next((owner, draft) for owner, one, draft in self.shown() if one is hole)

    def _carried(self, hole: OpenHole) -> tuple[tuple[Offer, ...], int]:
        """Return a hole's candidates without any accepted start, and the index of the shown one."""
        some: list[Offer] = []
        at = 0
        for number, one in enumerate(self.offered(hole)):
            if (left := rest(one.draft, hole.taken)) is not None:
                at = len(some) if number == self.chosen(hole) else at
                some.append(replace(one, draft=left))
        if hole in self.back:  # an earlier step is shown: it becomes a candidate
            return (Offer(self._of(hole)[1]), *some), 0
        return tuple(some), at

    def _keep_to_taken(self) -> None:
        """Choose candidates that begin with the accepted start, which a redo may have changed."""
        for number, (editor, hole) in enumerate(self.holes):
            if hole not in editor.holes or rest(self._draft(number), hole.taken) is not None:
                continue
            self.back.pop(hole, None)
            own, now = self.candidates[number], self.chosen(hole)
            fitting = (
                at for at in (now, *range(len(own))) if rest(own[at].draft, hole.taken) is not None
            )
            self.choices[hole] = next(fitting, now)

    def _next(self, instruction: str | None, strength: float | None) -> Wish:
        asked = self.request
        return Wish(
            asked.effort,
            (asked.seed + 1) % 2**63,
            self.said if instruction is None else instruction,
            asked.strength if strength is None else strength,
        )


def _anew(holes: Iterable[tuple[Editor, OpenHole]]) -> dict[OpenHole, OpenHole]:
    """Replace holes of which a start was accepted by new ones.

    Undoing that acceptance brings back the old ones, for which later drafts would not fit.
    """
    anew = {}
    for editor, hole in holes:
        if hole.taken:
            new = OpenHole(hole.start, hole.end, hole.draft, hole.changed, hole.height)
            new.unsure = hole.unsure
            editor.holes[editor.holes.index(hole)] = anew[hole] = new
    return anew
