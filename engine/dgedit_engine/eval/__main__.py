"""`python -m dgedit_engine.eval`: measure a model on held-out spans and on public benchmarks.

Without --corpus the spans are of the Python that ships; `--corpus go` takes another language.
Prints a table and, last, one JSON line. With --out each judged infill is a line of that file at
once, and a run that was stopped goes on where it was. Exits with 2 for unusable arguments, 3 for
files that cannot be used, 5 for a model that cannot. `dgedit eval` is the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dgedit_engine.engine import open_engine
from dgedit_engine.eval.fillers import DEFAULT
from dgedit_engine.eval.measure import SHIPPED, SPANS, EvalPlan, progress_bar, run
from dgedit_engine.eval.texts import LANGUAGES
from dgedit_engine.types import ModelError

USAGE, INPUT, ENGINE, INTERRUPTED = 2, 3, 5, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print. Returns the exit code; what goes wrong is one line on stderr."""
    options = vars(_parser().parse_args(arguments))
    connect = partial(open_engine, options.pop("model"), options.pop("device"))
    try:
        print(run(EvalPlan(**options), connect, bar=progress_bar()), end="")
    except ModelError as error:
        return _say(error, ENGINE)
    except OSError as error:
        return _say(error, INPUT)
    except ValueError as error:
        return _say(error, USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _say(error: Exception, code: int) -> int:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    print(f"eval: {text.splitlines()[0]}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.eval", description=__doc__)
    add = parser.add_argument
    said = f"a built corpus, or {', '.join(LANGUAGES)} ({SHIPPED}: Python)"
    add("--corpus", metavar="FOLDER", help=said)
    add(
        "--benchmark",
        dest="benchmarks",
        metavar="FILE",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="functions (ours), HumanEval-Infilling (.jsonl, .jsonl.gz) or SantaCoder's (.parquet)",
    )
    add(
        "--ways",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help=f"ways of filling ({', '.join(DEFAULT)})",
    )
    add("--model", metavar="NAME|FOLDER", help="the model to measure: tiny, a folder (nano)")
    add("--device", help="cpu or cuda; a GPU if there is one")
    add("--limit", type=int, help=f"spans of each kind ({SPANS}; of a benchmark, all)")
    add("--seed", type=int, default=0, help="which spans, and the sampler's draws (0)")
    add("--effort", type=float, default=0.5, help="0 is fastest, 1 most careful (0.5)")
    add("--steps", type=int, help="the step cap, instead of --effort's")
    add("--out", type=Path, help="results, a JSON line each; a run goes on where it stopped")
    return parser


if __name__ == "__main__":
    sys.exit(main())
