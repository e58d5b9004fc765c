"""Read the public infilling benchmarks, in the files in which they are published, and our own.

HumanEval-Infilling (github.com/openai/human-eval-infilling): JSON lines, a task each, judged by its
tests. The FIM task of SantaCoder (bigcode/santacoder-fim-task): JSON lines or Parquet, judged by
exact match, and by its tests where it has any. Of these none is shipped. Ours, `functions`, has
HumanEval-Infilling's format and ships (FUNCTIONS.md). Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from dgedit_engine.eval.tasks import Task
from dgedit_engine.train.rows import Row, rows

KINDS = {
    "SingleLineInfilling": "single-line",
    "MultiLineInfilling": "multi-line",
    "RandomSpanInfilling": "random-span",
    "RandomSpanInfillingLight": "random-span-light",
}
"""The kind of a HumanEval-Infilling task, by what its name begins with."""

SHIPPED = {"functions": Path(__file__).with_name("functions.jsonl.xz")}
"""The benchmarks that ship, by name."""

SANTACODER = "santacoder"
"""The kind of SantaCoder's tasks."""

PYTHON = ("py", "python")
"""SantaCoder's names of the language."""

# A model sees a file's name; it must not see a task's.
_PATH = "main.py"


def read(path: Path, *, languages: Collection[str] = PYTHON) -> list[Task]:
    """Read the tasks of a benchmark's file, or of one that ships by its name; SantaCoder's in these
    languages alone.

    Raises ValueError, one line naming file, line and field, for a row that is no task.
    """
    found: dict[str, Task] = {}
    for number, row in rows(file(path)):
        try:
            task = _humaneval(row) if "task_id" in row else _santacoder(row, number, languages)
            if task is None:
                continue
            if task.name in found:
                raise ValueError(f"{task.name} for the second time")
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        found[task.name] = task
    if not found:
        raise ValueError(f"{path}: no tasks")
    return [*found.values()]


def file(path: Path) -> Path:
    """Return the file of a benchmark's rows: the path itself, but for the name of one that
    ships.
    """
    return SHIPPED.get(str(path), path)


def _humaneval(row: Row) -> Task:
    name = _string(row, "task_id")
    kind = KINDS.get(name.split("/", 1)[0])
    if kind is None:
        raise ValueError(f"task_id: {name!r} is none of {', '.join(KINDS)}")
    entry = _string(row, "entry_point")
    if not entry.isidentifier():
        raise ValueError(f"entry_point: {entry!r} is no name")
    check = f"\n{_string(row, 'test')}\ncheck({entry})\n"
    return _task(kind, name, _problem(name, "task_id"), row, check)


def _santacoder(row: Row, number: int, languages: Collection[str]) -> Task | None:
    if _string(row, "language") not in languages:
        return None
    name = _string(row, "name")
    tests = _string(row, "tests") if row.get("tests") is not None else ""
    check = f"\n{tests}\n" if tests.strip() else ""
    # Rows share their problem's name.
    return _task(SANTACODER, f"{SANTACODER}/{name}/{number}", _problem(name, "name"), row, check)


def _task(kind: str, name: str, problem: int, row: Row, check: str) -> Task:
    prompt, gold, suffix = (
        _string(row, field) for field in ("prompt", "canonical_solution", "suffix")
    )
    start, end = len(prompt), len(prompt) + len(gold)
    text = prompt + gold + suffix
    return Task(kind, problem, _PATH, text, start, end, check=check, identity=name)


def _problem(name: str, field: str) -> int:
    """Return the number of the problem that a task was cut from: 3 of `HumanEval/3` or
    `HumanEval_3`.
    """
    found = re.search(r"[A-Za-z][/_](\d+)", name)
    if found is None:
        raise ValueError(f"{field}: {name!r} names no problem by a number")
    return int(found[1])


def _string(row: Row, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise ValueError(f"{field}: {'missing' if field not in row else repr(value)[:40]}")
    return value
