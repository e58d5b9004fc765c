"""`python -m dgedit_engine.domains NAME`: train the model of a domain again, from nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from dgedit_engine.domains import graphs, sudoku
from dgedit_engine.domains.training import train

DOMAINS = {"sudoku": sudoku.domain, "graph": graphs.domain}


def main(arguments: list[str] | None = None) -> int:
    """Parse and train. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.domains", description=__doc__)
    add = parser.add_argument
    add("name", choices=sorted(DOMAINS), help="the domain")
    add("--out", type=Path, required=True, help="folder of the model, which dgedit can open")
    add("--minutes", type=float, help="wall-clock of the training")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--threads", type=int, default=1, help="threads (1)")
    add("--compile", action="store_true", help="compile the layers: a minute or two, then faster")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    make = DOMAINS[given.name]
    domain = make() if given.minutes is None else make(minutes=given.minutes)
    train(domain, given.out, resume=given.resume, compiled=given.compile, told=_told)
    return 0


def _told(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
