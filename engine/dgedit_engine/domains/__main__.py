"""`python -m dgedit_engine.domains NAME`: train the model of a domain again, or measure one.

python -m dgedit_engine.domains sudoku --out FOLDER --minutes 85
python -m dgedit_engine.domains sudoku --measure
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from dgedit_engine.domains.known import NAMES, domain_of, measured
from dgedit_engine.domains.training import train
from dgedit_engine.nano.names import EMBEDDED
from dgedit_engine.types import ModelError


def main(arguments: list[str] | None = None) -> int:
    """Parse, then train or measure. Returns the exit code: 0, or 2 for unusable arguments."""
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    started = time.process_time()
    try:
        domain = domain_of(given.name, minutes=given.minutes, data=given.data)
        if given.measure:
            folder = given.out or EMBEDDED[given.name]
            for line in measured(domain, folder, given.boards, given.data):
                _told(line)
        elif given.out is None:
            raise ModelError(
                "--out names the folder of the new model, or --measure one that is there"
            )
        else:
            train(domain, given.out, resume=given.resume, compiled=given.compile, told=_told)
    except ModelError as error:
        print(f"domains: {error}", file=sys.stderr)
        return 2
    print(f"{time.process_time() - started:.0f} seconds of processor time", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.domains", description=__doc__)
    add = parser.add_argument
    add("name", choices=NAMES, help="the domain")
    add("--out", type=Path, help="folder of the model, which dgedit can open")
    add("--minutes", type=float, help="wall-clock of the training")
    add("--data", type=Path, help="the proteins' FASTA file, beside blosum62.out")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--threads", type=int, default=1, help="threads (1)")
    add("--compile", action="store_true", help="compile the layers: a minute or two, then faster")
    add("--measure", action="store_true", help="measure the model in --out, or the embedded one")
    add("--boards", type=int, default=100, help="boards a row of the table (100)")
    return parser


def _told(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
