"""What the small measuring commands share: options, rows as lines and as JSON, an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.eval.texts import held_out
from dgedit_engine.train.excerpts import Texts
from dgedit_engine.types import ModelError

Opened = Callable[[], tuple[Engine, Texts]]
"""Opens the model, and the held-out text."""
Work = Callable[[argparse.Namespace, Opened], tuple[Engine, Sized, Iterable[dict[str, Any]]]]
"""Measures as the options say -> the model, what was drawn of the text, and the rows."""


def parser_of(name: str, about: str, *, drawn: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all have; `--DRAWN` says how many are drawn."""
    parser = argparse.ArgumentParser(prog=name, description=about.splitlines()[0])
    parser.add_argument("--model", help="a model's name or folder; else nano")
    parser.add_argument("--device", help="where it runs")
    parser.add_argument("--corpus", help="held-out text, as `dgedit eval` takes it; else shipped")
    parser.add_argument(f"--{drawn}", type=int, default=20, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=0, help=f"which {drawn}")
    parser.set_defaults(drawn=drawn)
    return parser


def _opened(options: argparse.Namespace) -> tuple[Engine, Texts]:
    engine = open_engine(options.model, options.device)
    return engine, held_out(Path(options.corpus) if options.corpus else None)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, work: Work) -> int:
    """Parse, open the model, print a line for each row as it comes, and all as JSON at last.
    Returns the exit code, as `dgedit_engine.eval` does.
    """
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    try:
        engine, drawn, found = work(options, partial(_opened, options))
        for row in found:
            rows.append(row)
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    except (ModelError, OSError, ValueError) as error:
        print(f"{parser.prog}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 5 if isinstance(error, ModelError) else 3 if isinstance(error, OSError) else 2
    print(json.dumps({"model": engine.name, options.drawn: len(drawn), "rows": rows}))
    return 0
