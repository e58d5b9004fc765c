"""Measures what a warm engine costs a command: from the start of its process to its first step,
beside the model's own time, which the engine tells.

`python -m dgedit.engines.warm.bench` prints medians, and one line of JSON last. Starts the engine
if it does not run, and leaves it. On a busy machine the processor's time says more than the
clock's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from dgedit.engines.warm import client
from dgedit.engines.warm.client import Daemon
from dgedit.errors import EngineError
from dgedit.models import store

_TEXT = "".join(f"def half_{n}(x):\n    return x / {n}\n\n\n" for n in range(1, 11))
_RANGE = "21-22"


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark as the options say."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit.engines.warm.bench", description=__doc__
    )
    parser.add_argument("--model", help="a model's name or its folder")
    parser.add_argument("--device", help="where it runs: cpu, cuda, …")
    parser.add_argument("--rounds", type=int, default=20, help="calls that are measured")
    asked = parser.parse_args(words)
    engine = Daemon.open(store.resolve(asked.model), asked.device)
    options = [f"--model={asked.model}"] if asked.model else []
    options += [f"--device={asked.device}"] if asked.device else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "halves.py"
        path.write_text(_TEXT)
        command = [sys.executable, "-m", "dgedit", "fill", f"{path}:{_RANGE}", "--events"]
        command += ["--effort=0", "--candidates=1", "--engine=warm", *options]
        calls = [_call(command, engine) for _ in range(asked.rounds + 1)][1:]
    python = median(_seconds([sys.executable, "-c", ""]) for _ in range(asked.rounds))
    start, model = (median(one[place] for one in calls) for place in (0, 1))
    besides = median(start - model for start, model, _ in calls)
    processor = median(one[2] for one in calls)
    figures = {"start_to_first_step": start, "model": model, "besides": besides}
    figures |= {"processor_of_the_call": processor, "python_alone": python}
    for name, seconds in figures.items():
        print(f"{name.replace('_', ' '):22} {1000 * seconds:6.0f} ms")
    print(json.dumps({"rounds": asked.rounds} | figures))
    return 0


def _call(command: Sequence[str], engine: Daemon) -> tuple[float, float, float]:
    """Run one command; return the seconds from its start to its first step, the model's share of
    them, and the processor seconds of the whole process.
    """
    began, used = time.perf_counter(), _used()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        process.stdout.read()
    said = client.status(engine.place.socket)
    if process.returncode not in (0, 6) or said is None:
        raise EngineError(f"the call ended with {process.returncode}")
    return seconds, float(said["first_step"]), _used() - used


def _used() -> float:
    """Return the processor seconds of all child processes that have ended."""
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
