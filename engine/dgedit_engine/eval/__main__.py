"""`python -m dgedit_engine.eval`: measure a model on held-out spans, by the path of `dgedit fill`.

Prints a table and, last, one JSON line. With --out each judged infill is a line of that file at
once, and a run that was stopped goes on where it was. Exits with 2 for unusable arguments, 3 for a
corpus or results file that cannot be used, 5 for a model that cannot.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.eval.fillers import Filler, fillers
from dgedit_engine.eval.judge import Result, judge
from dgedit_engine.eval.table import render, summarise
from dgedit_engine.eval.tasks import SINGLE, Task, draw
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.types import InfillRequest, ModelError

USAGE, INPUT, ENGINE, INTERRUPTED = 2, 3, 5, 130

Run = dict[str, Any]
"""What the figures depend on, JSON-able: results of two runs are never mixed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print. Returns the exit code; what goes wrong is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return _measure(options)
    except ModelError as error:
        return _say(error, ENGINE)
    except OSError as error:
        return _say(error, INPUT)
    except ValueError as error:
        return _say(error, USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED


def measure(
    tasks: Sequence[Task],
    ways: dict[str, Filler],
    pieces: Callable[[str], tuple[str, ...]],
    *,
    ask: Callable[[Task], InfillRequest],
    done: Sequence[Result] = (),
) -> Iterator[Result]:
    """Fill each task in each way that is not `done`, and judge. `pieces` says a text's tokens."""
    have = {(result.task, result.way) for result in done}
    for task in tasks:
        for way, fill in ways.items():
            if (task.name, way) not in have:
                yield judge(task, way, fill(ask(task)), pieces(task.gold))


def results_in(path: Path, run: Run) -> list[Result]:
    """The results of `run` that the file holds; one that was cut off in writing is dropped from it.

    A new file is begun with the run. Raises ValueError where the file is another run's.
    """
    data = path.read_bytes() if path.exists() else b""
    header = json.dumps(run).encode() + b"\n"
    if header.startswith(data):
        path.write_bytes(header)
        return []
    whole = data[: data.rfind(b"\n") + 1]
    try:
        first, *lines = [json.loads(line) for line in whole.splitlines()]
        results = [Result(**line) for line in lines]
    except (ValueError, TypeError):
        raise OSError(f"{path} is no results file") from None
    if first != run:
        keys = [key for key in run if not isinstance(first, dict) or first.get(key) != run[key]]
        raise ValueError(f"{path} holds results of another run: {', '.join(keys)} differ")
    if whole != data:
        path.write_bytes(whole)
    return results


def _measure(options: argparse.Namespace) -> int:
    try:
        corpus = Corpus(options.corpus, "heldout")
    except (ValueError, EOFError) as error:  # an empty or cut-off file
        raise OSError(f"{options.corpus}: {error}") from error
    engine = open_engine(options.model, options.device)
    tasks = draw(corpus, limit=options.limit, seed=options.seed)

    def ask(task: Task) -> InfillRequest:
        return task.request(seed=options.seed, effort=options.effort, steps=options.steps)

    def pieces(text: str) -> tuple[str, ...]:
        read = engine.tokenizer.pieces(engine.tokenizer.encode(text))
        return tuple(piece.text for piece in read)

    if not tasks:
        raise OSError(f"{options.corpus}: no held-out text to fill")
    ask(tasks[0])  # says now what is wrong
    run = _run(engine, corpus, options)
    ways = fillers(engine)
    wanted = {(task.name, way) for task in tasks for way in ways}
    found = results_in(options.out, run) if options.out else []
    results = [result for result in found if (result.task, result.way) in wanted]
    for result in measure(tasks, ways, pieces, ask=ask, done=results):
        results.append(result)
        _progress(len(results), len(wanted))
        if options.out:
            with options.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(result)) + "\n")
    summaries = summarise(results, kinds=SINGLE, ways=[*ways])
    print(render(summaries))
    print(json.dumps({**run, "limit": options.limit, "summaries": summaries}))
    return 0


def _run(engine: Engine, corpus: Corpus, options: argparse.Namespace) -> Run:
    """Weights by a checksum of some that every training step changes."""
    some = engine.model.embedding[:64].detach().float().cpu().numpy()
    return {
        "model": engine.name,
        "device": engine.device,
        "weights": f"{zlib.crc32(some.tobytes()):08x}",
        "sampling": asdict(engine.sampling),
        "canvas": engine.model.config.canvas,
        "corpus": {"files": len(corpus), "bytes": corpus.nbytes},
        "seed": options.seed,
        "effort": options.effort,
        "steps": options.steps,
    }


def _progress(done: int, total: int) -> None:
    """A bar, if somebody looks."""
    if sys.stderr.isatty():
        filled = 30 * done // total
        bar = "━" * filled + "─" * (30 - filled)
        end = "\n" if done == total else ""
        print(f"\r{bar} {done:,} of {total:,} infills", end=end, file=sys.stderr, flush=True)


def _say(error: Exception, code: int) -> int:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    print(f"eval: {text.splitlines()[0]}", file=sys.stderr)
    return code


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {number}")
    return number


def _parser() -> argparse.ArgumentParser:
    kinds = ", ".join(SINGLE)
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.eval", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--model", metavar="NAME|FOLDER", help="the model to measure (nano)")
    add("--device", help="cpu or cuda; a GPU if there is one")
    add("--limit", type=_count, default=100, help=f"spans of each kind: {kinds} (100)")
    add("--seed", type=int, default=0, help="which spans, and the sampler's draws (0)")
    add("--effort", type=float, default=0.5, help="0 is fastest, 1 most careful (0.5)")
    add("--steps", type=int, help="the step cap, instead of --effort's")
    add("--out", type=Path, help="results, a JSON line each; a run goes on where it stopped")
    return parser


if __name__ == "__main__":
    sys.exit(main())
