"""The models that ship: they solve a fixed handful, keep what is given, and are small."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from dgedit_engine.domains.known import NAMES
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.nano.names import EMBEDDED
from dgedit_engine.rules import graphs, sudoku
from dgedit_engine.types import Hole, Infill, InfillRequest, Passage, collect

DEMO = Path(__file__).parents[3] / "demo"
opened = cache(open_engine)


def filled(name: str, path: Path, blank: str) -> tuple[str, str, Infill]:
    """A demo's text, the same filled, and how it went."""
    engine: Engine = opened(name, "cpu")
    text = path.read_text()
    blanks = tuple(place for place, one in enumerate(text) if one == blank)
    request = InfillRequest((Passage(path.name, (Hole(text, blanks),)),))
    found = collect(engine.infill(request))
    (answer,) = found.texts
    for place, (before, after) in enumerate(zip(text, answer, strict=True)):
        assert place in blanks or before == after
    return text, answer, found


@pytest.mark.parametrize("name", ["small", "six", "easy", "medium"])
def test_sudokus_of_the_demo_are_solved(name: str) -> None:
    _, answer, found = filled("sudoku", DEMO / "sudoku" / f"{name}.sudoku", ".")
    shape, _, numbers = sudoku.grid(answer)
    assert sudoku.solved(shape, numbers)
    assert found.stopped == "settled"


def test_graph_of_the_demo_is_coloured() -> None:
    _, answer, _ = filled("graph", DEMO / "graph.dot", "?")
    graph, _, labels = graphs.read(answer)
    assert "?" not in labels and graphs.wrong(graph, labels) == []


def test_protein_of_the_demo_is_completed_with_amino_acids() -> None:
    text, answer, _ = filled("protein", DEMO / "protein.fasta", "?")
    assert text.count("?") == 11 and "?" not in answer


@pytest.mark.parametrize("name", NAMES)
def test_shipped_model_is_small_and_says_what_it_fills(name: str) -> None:
    folder = EMBEDDED[name]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3_000_000
    assert json.loads((folder / "decoding.json").read_text())["form"] == name
    card = (folder / "CARD.md").read_text()
    assert card.startswith(f"# {name}") and "python -m dgedit_engine.domains" in card
