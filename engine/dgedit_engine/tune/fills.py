"""Compare what a base and its adapter fill into spans of text that neither was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean

from dgedit_engine.engine import open_engine
from dgedit_engine.types import Hole, InfillRequest, Passage, collect

_AROUND = 6_000  # characters on either side of a hole that are given


def rates(
    base: Path,
    spans: Sequence[tuple[str, str, int, int]],
    *,
    adapter: Path | None,
    device: str,
) -> dict[str, float]:
    """Return the share of spans (path, text, start, end) that are filled exactly, and the mean
    similarity of what is filled, 0 to 1.
    """
    engine = open_engine(str(base), device, adapter=adapter)
    exact, similar = [], []
    for path, text, start, end in spans:
        parts = (text[max(0, start - _AROUND) : start], Hole(), text[end : end + _AROUND])
        passage = Passage(path, tuple(part for part in parts if part != ""))
        (found,) = collect(engine.infill(InfillRequest((passage,)))).texts
        right = text[start:end]
        exact.append(found.strip() == right.strip())
        similar.append(SequenceMatcher(None, found, right, autojunk=False).ratio())
    return {"exact": round(mean(exact), 4), "similar": round(mean(similar), 4)}
