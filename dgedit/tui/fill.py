"""One infill as the editor sees it: which holes it is for, how far it is, what to say about it.

Knows holes, steps and words; nothing of threads or screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from dgedit.document import Span
from dgedit.holes import passage
from dgedit.tui.editor import Editor
from dgedit.tui.overlay import OpenHole
from dgedit_engine.types import InfillRequest, Step


class Stage(Enum):
    """How far an infill is."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"


@dataclass(eq=False, slots=True)
class Fill:
    """The holes of all files, filled together."""

    request: InfillRequest
    """What was asked."""
    holes: tuple[tuple[Editor, OpenHole], ...]
    """What is filled, in the request's order."""
    stage: Stage = Stage.WAITING
    """How far it is."""
    step: Step | None = None
    """The last step drawn."""
    seconds: float = 0.0
    """From the request to that step."""

    @classmethod
    def ask(cls, editors: Sequence[Editor], *, effort: float, seed: int) -> Fill:
        """An infill of all holes. Raises InputError for holes too much for one passage, ValueError
        for no hole at all.
        """
        holed = [editor for editor in editors if editor.holes]
        passages = tuple(
            passage(
                editor.current, [Span(hole.start, hole.end) for hole in editor.holes], marker=""
            )
            for editor in holed
        )
        holes = tuple((editor, hole) for editor in holed for hole in editor.holes)
        return cls(InfillRequest(passages, effort=effort, seed=seed), holes)

    def again(self) -> Fill:
        """The same holes as they are now, with the next seed."""
        again = Fill.ask(self.editors, effort=self.request.effort, seed=self.request.seed)
        return replace(again, request=replace(again.request, seed=(self.request.seed + 1) % 2**63))

    @property
    def editors(self) -> list[Editor]:
        """The files concerned, each once."""
        return list(dict.fromkeys(editor for editor, _ in self.holes))

    @property
    def intact(self) -> bool:
        """Whether no edit has touched any of the holes."""
        return all(hole in editor.holes for editor, hole in self.holes)

    def draw(self, step: Step, seconds: float) -> None:
        """Let a step's drafts stand in for the holes."""
        self.step, self.seconds = step, seconds
        self.stage = Stage.READY if step.last else Stage.RUNNING
        for editor in self.editors:
            pairs = zip(self.holes, step.drafts, strict=True)
            editor.show([(hole, draft) for (owner, hole), draft in pairs if owner is editor])

    def clear(self) -> None:
        """Show the documents again."""
        for editor in self.editors:
            editor.show([(hole, None) for owner, hole in self.holes if owner is editor])

    def accept(self) -> None:
        """Put the drafts into the texts, one edit per file."""
        for editor in self.editors:
            editor.accept([hole for owner, hole in self.holes if owner is editor])

    def progress(self) -> str:
        """Step, share settled and speed, for the status line."""
        if self.step is None:
            return "starting…"
        settled = [one for draft in self.step.drafts for one in draft.settled]
        share = sum(settled) / len(settled) if settled else 1.0
        speed = sum(settled) / self.seconds if self.seconds else 0.0
        at = f"step {self.step.index}/{self.step.total}"
        if self.step.stopped == "cap":
            return f"ready, unsettled at the cap of {self.step.index} steps · {speed:.0f} tok/s"
        if self.stage is Stage.READY:
            at = f"ready after {self.step.index} steps" if self.step.index > 1 else "ready"
        return f"{at} · {share:.0%} settled · {speed:.0f} tok/s"
