"""Judge how good an infill is. Pure functions on text: no model, no file, no clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgedit_engine.decode.syntax import faults
from dgedit_engine.eval.fillers import FillerOutput
from dgedit_engine.eval.tasks import Task
from dgedit_engine.types import CAUTION


@dataclass(frozen=True, slots=True)
class Judgement:
    """One infill, judged: one line of a results file."""

    task: str
    """The task's name."""
    way: str
    """How it was filled."""
    kind: str
    """The task's kind."""
    file: int
    """The task's file."""
    gold: str
    """What stood in the hole."""
    text: str
    """What the model put there."""
    exact: bool
    """Whether they are the same but for blanks at the ends."""
    identical: bool
    """Whether they are the same."""
    parses: bool | None
    """Whether the file parses with the infill in place; None where it did not before."""
    passed: bool | None
    """Whether the tests pass with the infill in place; None where there are none."""
    similarity: float
    """`similarity` of the two."""
    first: bool
    """Whether the first token is right."""
    tokens: int
    """Tokens of the infill."""
    gold_tokens: int
    """Tokens of the gold text."""
    length: bool
    """Whether `tokens` is within a quarter of `gold_tokens`, or within one token."""
    steps: int
    """Steps that were shown."""
    ms: float
    """Milliseconds of the filling."""
    stopped: str
    """Why the filling ended."""
    origin: str
    """Where the shown infill came from."""
    certainty: float | None = None
    """The probability that it is right, by the model's `Certainty`; None where it has none."""

    @property
    def sure(self) -> bool | None:
        """Whether it would be written without asking."""
        return None if self.certainty is None else self.certainty >= CAUTION

    @property
    def right_if_sure(self) -> bool | None:
        """Whether it is right; None for one that is not sure."""
        if not self.sure:
            return None
        return self.exact if self.passed is None else self.passed


def judge(
    task: Task, way: str, answer: FillerOutput, gold: tuple[str, ...], *, passed: bool | None = None
) -> Judgement:
    """Judge the answer to a task whose text is, token by token, `gold`; `passed` says whether its
    tests did.
    """
    text = answer.text
    apart = abs(len(answer.pieces) - len(gold))
    return Judgement(
        task=task.name,
        way=way,
        kind=task.kind,
        file=task.file,
        gold=task.gold,
        text=text,
        exact=text.strip() == task.gold.strip(),
        identical=text == task.gold,
        parses=_sound(task.path, task.filled(text)) if _sound(task.path, task.text) else None,
        passed=passed,
        similarity=round(similarity(text, task.gold), 4),
        first=answer.pieces[:1] == gold[:1],
        tokens=len(answer.pieces),
        gold_tokens=len(gold),
        length=apart <= max(1, len(gold) / 4),
        steps=answer.steps,
        ms=round(answer.ms, 1),
        stopped=answer.stopped,
        origin=answer.origin,
        certainty=answer.certainty,
    )


def _sound(path: str, text: str) -> bool:
    """Say whether the text is known to be of its language's grammar."""
    return faults(path, text) == ()


def similarity(one: str, other: str) -> float:
    """Return 1 less the edits from one text to the other, as a share of the longer: 1 for equal
    texts.
    """
    longer = max(len(one), len(other))
    return 1 - edits(one, other) / longer if longer else 1.0


def edits(one: str, other: str) -> int:
    """Count the fewest characters to insert, delete or replace (Levenshtein distance), a row at a
    time.
    """
    if len(one) > len(other):
        one, other = other, one
    codes = np.array([ord(character) for character in other], dtype=np.int64)
    places = np.arange(len(other) + 1)
    row = places.copy()
    for index, character in enumerate(one):
        below = np.empty_like(row)
        below[0] = index + 1
        below[1:] = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        # An insertion costs 1 a place: the least of what lies to the left, each at its distance.
        row = np.minimum.accumulate(below - places) + places
    return int(row[-1])
