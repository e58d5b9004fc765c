"""`python -m dgedit_engine.bench.growth`: measure how an engine's memory grows over many requests.

    python -m dgedit_engine.bench.growth --requests 500

Lines are taken from Python's own library, at places and with surroundings of all sizes up to 6,000
characters on each side, and filled again one after another in one engine. Prints as it goes the
memory of the process itself, and how much of the model's file lies in memory beside it, which the
system can take back; and, as JSON, how much more its own is at the end, or at any time, than after
the tenth request.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from dgedit_engine.engine import open_engine
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage

SETTLED = 10
"""Requests after which memory should be level."""

_SHOWN_EVERY = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 0, 2 for too few requests, 5 for no model."""
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.bench.growth")
    add = parser.add_argument
    add("--model", help="nano (the default), tiny or a folder")
    add("--requests", type=int, default=500, help="how many (500)")
    add("--characters", type=int, default=6000, help="on each side of a line, at most (6000)")
    add("--seed", type=int, default=0, help="decides the requests (0)")
    options = parser.parse_args(arguments)
    if options.requests <= SETTLED:
        print(f"growth: {options.requests} requests, not above {SETTLED}", file=sys.stderr)
        return 2
    try:
        engine = open_engine(options.model)
    except ModelError as error:
        print(f"growth: {error}", file=sys.stderr)
        return 5
    sizes = []
    asked = requests(options.requests, seed=options.seed, characters=options.characters)
    for number, request in enumerate(asked, 1):
        for _ in engine.infill(request):
            pass  # only what it leaves behind counts
        sizes.append(resident())
        if number % _SHOWN_EVERY == 0:
            print(f"{number:5} {sizes[-1] >> 20} MiB, {mapped() >> 20} of files", flush=True)
    level = sizes[SETTLED - 1]
    report = {"requests": len(sizes), "tenth_mib": level >> 20, "last_mib": sizes[-1] >> 20}
    report |= {"most_mib": max(sizes) >> 20, "files_mib": mapped() >> 20}
    shares = {"grown": sizes[-1] / level - 1, "grown_at_most": max(sizes[SETTLED:]) / level - 1}
    print(json.dumps({**report, **{name: round(share, 4) for name, share in shares.items()}}))
    return 0


def requests(count: int, *, seed: int, characters: int) -> Iterator[InfillRequest]:
    """Yield requests for a line each, with up to so many characters on each side; the same ones for
    a seed.
    """
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    draw = random.Random(seed)
    while count:
        text = draw.choice(files).read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines(keepends=True)
        if not lines:
            continue
        place = draw.randrange(len(lines))
        before = "".join(lines[:place])[-draw.randrange(1, characters) :]
        behind = "".join(lines[place + 1 :])[: draw.randrange(1, characters)]
        yield InfillRequest((Passage("file.py", (before, Hole(""), behind)),))
        count -= 1


def resident() -> int:
    """Return the bytes of this process's own in memory, without mapped files."""
    return _said("RssAnon") + _said("RssShmem")


def mapped() -> int:
    """Return the bytes of mapped files in memory for this process: they come as they are read."""
    return _said("RssFile")


def _said(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        key, _, size = line.partition(":")
        if key == name:
            return 1024 * int(size.split()[0])
    raise RuntimeError(f"the system does not say {name}")


if __name__ == "__main__":
    sys.exit(main())
