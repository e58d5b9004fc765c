"""What `dgedit model list --available` prints: the published models that have short names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from dgedit.models.known import KNOWN, KnownModel

_HEAD = ("NAME", "SIZE", "4 BITS", "8 BITS", "FILLS BY", "PASS", "LICENCE")


def as_json() -> str:
    """Return all that is known of them."""
    return json.dumps([asdict(one) for one in KNOWN]) + "\n"


def lines() -> Iterator[str]:
    """Yield the table, a line each: sizes and memory in GB, then what the numbers are."""
    rows = [_HEAD, *map(_row, KNOWN)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield "Memory in GB with 2,048 tokens on a GPU, as pull --quant int4 and int8 make it. PASS:"
    yield "HumanEval-Infilling's single lines, in percent, the length unknown, as others published"
    yield "it; --json says where, and on what terms."
    yield "dgedit model pull NAME fetches one; dgedit doctor says which fits this machine."


def _row(one: KnownModel) -> tuple[str, ...]:
    numbers = [one.size, one.memory4, one.memory8, one.score]
    size, four, eight, score = ("-" if number is None else f"{number:g}" for number in numbers)
    return one.name, size, four, eight, one.way, score, one.licence
