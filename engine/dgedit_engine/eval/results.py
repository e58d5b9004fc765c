"""Read and write the file of results: a line that identifies the run, then one for each result.

A run that was stopped goes on where it was, and results of two runs are never mixed.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dgedit_engine.eval.judge import Judgement

Run = dict[str, Any]
"""All that the figures depend on, JSON-able."""


def results_in(path: Path, run: Run) -> list[Judgement]:
    """Read the results of `run` that the file holds; one that was cut off in writing is dropped
    from it.

    A new file is begun with the run. Raises ValueError where the file is another run's, OSError
    where it is no results file.
    """
    data = path.read_bytes() if path.exists() else b""
    header = json.dumps(run).encode() + b"\n"
    if header.startswith(data):
        path.write_bytes(header)
        return []
    whole = data[: data.rfind(b"\n") + 1]
    try:
        first, *lines = [json.loads(line) for line in whole.splitlines()]
        results = [Judgement(**line) for line in lines]
    except (ValueError, TypeError):
        raise OSError(f"{path} is no results file") from None
    if first != run:
        keys = [key for key in run if not isinstance(first, dict) or first.get(key) != run[key]]
        raise ValueError(f"{path} holds results of another run: {', '.join(keys)} differ")
    if whole != data:
        path.write_bytes(whole)
    return results


def add(path: Path, result: Judgement) -> None:
    """Append a result to the file."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")
