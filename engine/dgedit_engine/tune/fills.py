"""Fill spans of text with a base or a tuned model, neither of which was trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from dgedit_engine.engine import open_engine
from dgedit_engine.types import Hole, InfillRequest, Passage, collect

_AROUND = 6_000  # characters on either side of a hole that are given


def fill_spans(
    model: Path,
    spans: Sequence[tuple[str, str, int, int]],
    *,
    adapter: Path | None,
    device: str,
) -> dict[str, list[float]]:
    """Fill each span (path, text, start, end) -> of each whether it is filled exactly, and how
    similar to the right text the found one is, 0 to 1.
    """
    engine = open_engine(str(model), device, adapter=adapter)
    exact, similar = [], []
    for path, text, start, end in spans:
        parts = (text[max(0, start - _AROUND) : start], Hole(), text[end : end + _AROUND])
        passage = Passage(path, tuple(part for part in parts if part != ""))
        (found,) = collect(engine.infill(InfillRequest((passage,)))).texts
        right = text[start:end]
        exact.append(float(found.strip() == right.strip()))
        similar.append(SequenceMatcher(None, found, right, autojunk=False).ratio())
    return {"exact": exact, "similar": similar}
