"""Draw the spans that a model is judged on: held-out text with a hole, and what stood in the hole.

The same seed gives the same tasks, and a larger limit only adds to them. Knows neither models nor
scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np

from dgedit_engine.train.excerpts import Texts
from dgedit_engine.train.spans import KINDS, Outline, evaluation_spans
from dgedit_engine.types import Hole, InfillRequest, Passage

SINGLE = tuple(kind for kind in KINDS if kind != "holes")
"""The kinds of tasks: those of one hole."""

# How much of a file the editor shows a model, in characters.
_BEFORE = 16_000
_AFTER = 8_000


@dataclass(frozen=True, slots=True)
class Task:
    """One hole in one file."""

    kind: str
    """How the span was chosen."""
    file: int
    """The file's number; tasks of one file are not independent."""
    path: str
    """The file's name."""
    text: str
    """The whole file, the hole's text included."""
    start: int
    """Where the hole begins."""
    end: int
    """Where it ends."""
    check: str = ""
    """Source to append to the filled file to have a program that tests it; empty: no tests."""
    identity: str = ""
    """A benchmark's name for it; empty: it has none."""

    @property
    def name(self) -> str:
        """A name that no other task has."""
        return self.identity or f"{self.kind}:{self.file}:{self.start}-{self.end}"

    @property
    def gold(self) -> str:
        """The text that stood in the hole."""
        return self.text[self.start : self.end]

    @property
    def passage(self) -> Passage:
        """The excerpt that a model may see, the hole empty. It begins and ends with whole lines,
        and what is around it goes along for judging alone.
        """
        first, last = max(0, self.start - _BEFORE), min(len(self.text), self.end + _AFTER)
        if first > 0:
            first = self.text.find("\n", first - 1, self.start) + 1 or first
        if last < len(self.text):
            last = self.text.rfind("\n", self.end, last) + 1 or last
        before, after = self.text[first : self.start], self.text[self.end : last]
        parts = tuple(part for part in (before, Hole(), after) if part != "")
        return Passage(self.path, parts, self.text[:first], self.text[last:])

    def request(self, *, seed: int, effort: float, steps: int | None) -> InfillRequest:
        """Return the request for a model: never anything that follows from the gold text."""
        return InfillRequest((self.passage,), seed=seed, effort=effort, steps=steps)

    def filled(self, text: str) -> str:
        """Return the file with `text` in the hole."""
        return self.text[: self.start] + text + self.text[self.end :]

    def program(self, text: str) -> str:
        """Return the program that tests the file with `text` in the hole."""
        return self.filled(text) + self.check


def draw(corpus: Texts, *, limit: int, seed: int) -> list[Task]:
    """Draw up to `limit` tasks of each kind, the kinds in turn; one of each kind from a file at a
    time.

    Files are drawn evenly, not by size. Spans of blanks alone are no tasks.
    """
    found: dict[str, dict[str, Task]] = {kind: {} for kind in SINGLE}
    for turn in count():
        before = _size(found)
        for file in np.random.default_rng([seed, turn]).permutation(len(corpus)).tolist():
            wanted = [kind for kind, tasks in found.items() if len(tasks) < limit]
            if not wanted:
                break
            for task in _tasks(corpus, file, np.random.default_rng([seed, turn, file])):
                if task.kind in wanted:
                    found[task.kind].setdefault(task.name, task)
        if not wanted or _size(found) == before:
            break
    columns = [list(tasks.values()) for tasks in found.values()]
    return [column[row] for row in range(limit) for column in columns if row < len(column)]


def _tasks(corpus: Texts, file: int, rng: np.random.Generator) -> list[Task]:
    """Draw a task of each kind that the file has."""
    text, path = corpus.text(file), corpus.path(file)
    cuts = evaluation_spans(Outline(text, path), rng)
    tasks = [Task(cut.kind, file, path, text, *cut.spans[0]) for cut in cuts]
    return [task for task in tasks if task.gold.strip()]


def _size(found: dict[str, dict[str, Task]]) -> int:
    return sum(map(len, found.values()))
