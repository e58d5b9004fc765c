"""Describe what a command would ask a model, without asking: holes, context and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dgedit.request.context import given
from dgedit.text.visible import visible
from dgedit_engine.types import InfillRequest

_WIDE = 48  # columns of a part's title


def plan(
    holes: list[dict[str, Any]], request: InfillRequest, count: Callable[[str], int] | None
) -> dict[str, Any]:
    """Return the description, JSON-able. `count` returns a text's tokens; without it they are
    estimated.
    """
    parts = given(request, count)
    return {
        "holes": holes,
        "given": [
            {"title": part.title, "characters": len(part.text), "tokens": part.tokens}
            for part in parts
        ],
        "tokens": sum(part.tokens for part in parts),
        "counted": count is not None,
        "instruction": request.instruction,
        "strength": request.strength,
        "effort": request.effort,
        "seed": request.seed,
    }


def told(found: dict[str, Any]) -> str:
    """Format the description in lines."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for number, hole in enumerate(found["holes"], start=1):
        start, end, place = hole["start"], hole["end"], hole["bytes"]
        lines = f"{start['line']}:{start['column']}-{end['line']}:{end['column']}"
        held = hole["span"]["end"] - hole["span"]["start"]
        yield (
            f"hole {number}  {visible(hole['path'])}:{lines}  "
            f"bytes {place['start']}-{place['end']}, {_many(held, 'character')}"
        )
    for part in found["given"]:
        size = f"{part['characters']:>8,} characters {part['tokens']:>7,} tokens"
        yield f"{part['title']:{_WIDE}}{size}"
    about = "" if found["counted"] else "about "
    yield f"{'in all':{_WIDE}}{'':19}{about + format(found['tokens'], ','):>8} tokens"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
