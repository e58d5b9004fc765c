"""Measure a model: draw spans, fill them in each way, judge the infills, and sum up.

The one implementation behind `dgedit eval` and `python -m dgedit_engine.eval`: a plan in; a table
for people and a JSON line for programs out. Infills that have tests are run in the sandbox.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dgedit_engine.engine import Engine
from dgedit_engine.eval import benchmarks, sandbox
from dgedit_engine.eval.fillers import DEFAULT, Filler, fillers
from dgedit_engine.eval.judge import Judgement, judge
from dgedit_engine.eval.results import Run, add, results_in
from dgedit_engine.eval.table import render, summarise
from dgedit_engine.eval.tasks import SINGLE, Task, draw
from dgedit_engine.eval.texts import held_out
from dgedit_engine.types import InfillRequest

SPANS = 250
"""Spans of each kind that are drawn from held-out text, if a plan does not say."""

SHIPPED = "shipped"
"""Name of the held-out text that ships."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPlan:
    """The settings of an evaluation."""

    corpus: str | None = None
    """The folder of a built corpus, `shipped`, or the name of a language that ships; None:
    `shipped`, but not beside benchmarks.
    """
    benchmarks: Sequence[Path] = ()
    """Files of public benchmarks."""
    ways: Sequence[str] = ()
    """Names of ways to fill, `fillers.DEFAULT` if there are none; a name may be several with
    commas.
    """
    limit: int | None = None
    """Spans of each kind; None: `SPANS` of held-out text, and all of a benchmark."""
    seed: int = 0
    """Decides which spans are drawn, and the sampler's draws."""
    effort: float = 0.5
    """The requests' effort."""
    steps: int | None = None
    """The requests' step cap."""
    out: Path | None = None
    """The file of results, written one by one."""

    def request(self, task: Task) -> InfillRequest:
        """Return the request for a task."""
        return task.request(seed=self.seed, effort=self.effort, steps=self.steps)


def run(plan: EvalPlan, open_engine: Callable[[], Engine], *, bar: TextIO | None = None) -> str:
    """Carry out the plan and return its report: the table and, last, the JSON line. `bar` shows the
    progress.

    Raises ValueError for a plan that cannot be, OSError for files that cannot be used, and whatever
    opening the engine does; each is one line.
    """
    if plan.limit is not None and plan.limit < 1:
        raise ValueError(f"limit must be at least 1, not {plan.limit}")
    tasks, sources = _tasks(plan)
    plan.request(tasks[0])  # raises now for unusable values
    engine = open_engine()
    ways = _ways(plan, fillers(engine))
    facts = {**_facts(engine), **sources}
    facts |= {"seed": plan.seed, "effort": plan.effort, "steps": plan.steps}
    wanted = {(task.name, way) for task in tasks for way in ways}
    found = results_in(plan.out, facts) if plan.out else []
    results = [result for result in found if (result.task, result.way) in wanted]

    def pieces(text: str) -> tuple[str, ...]:
        read = engine.tokenizer.pieces(engine.tokenizer.encode(text))
        return tuple(piece.text for piece in read)

    for result in measure(tasks, ways, pieces, ask=plan.request, done=results):
        results.append(result)
        if plan.out:
            add(plan.out, result)
        if bar:
            _progress(bar, len(results), len(wanted))
    kinds = list(dict.fromkeys(task.kind for task in tasks))
    summaries = summarise(results, kinds=kinds, ways=[*ways], together=SINGLE)
    report = {**facts, "limit": plan.limit, "summaries": summaries}
    return f"{render(summaries)}\n{json.dumps(report)}\n"


def measure(
    tasks: Sequence[Task],
    ways: dict[str, Filler],
    pieces: Callable[[str], tuple[str, ...]],
    *,
    ask: Callable[[Task], InfillRequest],
    done: Sequence[Judgement] = (),
) -> Iterator[Judgement]:
    """Fill each task in each way that is not `done`, and judge. `pieces` splits a text into its
    tokens' texts.
    """
    have = {(result.task, result.way) for result in done}
    for task in tasks:
        gold = pieces(task.gold)
        outcomes: dict[str, bool] = {}  # ways often agree
        for way, fill in ways.items():
            if (task.name, way) in have:
                continue
            answer = fill(ask(task), len(gold))
            passed = None
            if task.check:
                program = task.program(answer.text)
                if program not in outcomes:
                    outcomes[program] = sandbox.run(program).passed
                passed = outcomes[program]
            yield judge(task, way, answer, gold, passed=passed)


def _tasks(plan: EvalPlan) -> tuple[list[Task], Run]:
    """Return the tasks of a plan, held-out text first, and facts that identify their sources."""
    tasks: list[Task] = []
    sources: Run = {}
    if plan.corpus is not None or not plan.benchmarks:
        folder = None if plan.corpus in (None, SHIPPED) else Path(plan.corpus or "")
        texts = held_out(folder)
        tasks += draw(texts, limit=plan.limit or SPANS, seed=plan.seed)
        sources["corpus"] = {"files": len(texts), "bytes": texts.nbytes}
        if not tasks:
            raise OSError(f"{plan.corpus}: no held-out text to fill")
    names = {task.name for task in tasks}
    for path in plan.benchmarks:
        try:
            read = benchmarks.read(path)
        except ValueError as error:
            raise OSError(str(error)) from None
        if twice := names & {task.name for task in read}:
            raise ValueError(f"{path}: {min(twice)} is in a file before it too")
        names |= {task.name for task in read}
        order = np.random.default_rng(plan.seed).permutation(len(read)).tolist()
        tasks += [read[index] for index in order[: plan.limit]]
        sources.setdefault("benchmarks", {})[path.name] = (
            f"{zlib.crc32(benchmarks.file(path).read_bytes()):08x}"
        )
    return tasks, sources


def _ways(plan: EvalPlan, known: dict[str, Filler]) -> dict[str, Filler]:
    """Return the ways that the plan names. Raises ValueError for an unknown one."""
    names = [name for given in plan.ways or DEFAULT for name in given.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(f"no such way of filling: {name!r} (known: {', '.join(known)})")
    return {name: known[name] for name in names}


def _facts(engine: Engine) -> Run:
    """Return what identifies the model and its settings: its weights by a checksum of some of each
    tensor.
    """
    weights = 0
    for name, tensor in sorted(engine.model.state_dict().items()):
        flat = tensor.detach().flatten()
        some = flat[:: max(1, len(flat) // 4096)].float().cpu().numpy()
        weights = zlib.crc32(some.tobytes(), zlib.crc32(name.encode(), weights))
    facts: dict[str, Any] = {
        "model": engine.name,
        "device": engine.device,
        "weights": f"{weights:08x}",
        "sampling": asdict(engine.sampling),
        "decoding": asdict(engine.decoding),
        "canvas": engine.model.config.canvas,
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))  # as it is read again
    return plain


def _progress(bar: TextIO, done: int, total: int) -> None:
    filled = 30 * done // total
    end = "\n" if done == total else ""
    row = "━" * filled + "─" * (30 - filled)
    print(f"\r{row} {done:,} of {total:,} infills", end=end, file=bar, flush=True)


def progress_bar() -> TextIO | None:
    """Return the stream for a progress bar: stderr, if it is a terminal."""
    return sys.stderr if sys.stderr.isatty() else None
