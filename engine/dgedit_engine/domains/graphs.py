"""The graph model: colours, and distances, of up to 16 vertices.

A canvas holds the vertices' labels alone. Each bears marks: which vertex it is, who its neighbours
are, and whether its label is given. Vertices are numbered anew in every graph.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgedit_engine.domains.domain import CHARACTERS, Board, Domain, puzzle_recipe, shape
from dgedit_engine.model.config import Sampling
from dgedit_engine.rules import graphs as rules
from dgedit_engine.rules.graphs import BLANK, Graph

_BATCH, _IMAGES = 256, 4  # boards, and how many are images of one puzzle
_DENSITY = (1.2, 2.2)  # edges a vertex
_SIZES = (6, 16)


@dataclass(frozen=True, slots=True)
class GraphBoard(Board):
    """A graph with labels to find."""

    graph: Graph
    """The graph."""


def board(graph: Graph, labels: Sequence[str], solution: str) -> GraphBoard:
    """Return a graph as a canvas."""
    given = [label != BLANK for label in labels]
    choices = rules.COLOURS if graph.kind == "c" else rules.DISTANCES
    return GraphBoard(solution, given, rules.marks(graph, given), choices, graph)


Puzzle = tuple[Graph, str, str]
"""A graph, labels of which none can be spared, and the answer."""


def coloured(vertices: int, rng: random.Random, *, spare: float, open_: bool) -> GraphBoard:
    """Draw a graph to colour: with the fewest colours given that leave one answer, and a share
    `spare` of the others; or `open_`, with half of these colours taken away.
    """
    return _given(_colours(vertices, rng), rng, spare=spare, open_=open_)


def _colours(vertices: int, rng: random.Random) -> Puzzle:
    graph, solution = rules.planted(vertices, rng.uniform(*_DENSITY), rng)
    return graph, rules.pinned(graph, solution, rng), solution


def _given(puzzle: Puzzle, rng: random.Random, *, spare: float, open_: bool) -> GraphBoard:
    """Return a puzzle's image under a random order of vertices and colours, with more or fewer
    colours given.
    """
    graph, few, solution = rules.renumbered(*puzzle, rng)
    labels = list(few)
    for vertex, label in enumerate(labels):
        if label == BLANK and rng.random() < spare:
            labels[vertex] = solution[vertex]
        elif open_ and rng.random() < 0.5:
            labels[vertex] = BLANK
    return board(graph, labels, solution)


def measured(vertices: int, rng: random.Random) -> GraphBoard:
    """Draw a graph whose distances from one or two vertices are to be found."""
    coloured, _ = rules.planted(vertices, rng.uniform(1.0, 1.6), rng)
    graph = Graph(coloured.names, coloured.edges, "d")
    sources = rng.sample(range(vertices), rng.choice((1, 1, 2)))
    found = rules.distances(graph, sources)
    solution = "".join(str(min(9, found[vertex])) for vertex in range(vertices))
    labels = [one if one == "0" else BLANK for one in solution]
    return board(graph, labels, solution)


def draw(rng: random.Random, progress: float) -> list[GraphBoard]:
    """Return a batch of graphs of one size: small ones at first, three in ten with distances."""
    least, most = _SIZES
    vertices = rng.randint(least, min(most, round(least + 2 + 30 * progress)))
    if rng.random() < 0.3:
        return [measured(vertices, rng) for _ in range(_BATCH)]
    puzzles = [_colours(vertices, rng) for _ in range(_BATCH // _IMAGES)]
    return [
        _given(puzzle, rng, spare=rng.random() * 0.5, open_=rng.random() < 0.25)
        for puzzle in puzzles
        for _ in range(_IMAGES)
    ]


def domain(*, minutes: float = 55.0) -> Domain:
    """Return the domain."""
    return Domain(
        name="graph",
        suffixes=(".dot", ".gv"),
        characters=CHARACTERS,
        config=shape(
            vocab=16 + len(CHARACTERS),
            dim=96,
            layers=8,
            mlp=192,
            heads=4,
            canvas=rules.MOST,
            marks=rules.MARKS,
        ),
        recipe=puzzle_recipe(minutes),
        # hot at first, as answers that are the only one want it; cold at last, to choose among many
        sampling=Sampling(steps=32, entropy_bound=0.1, t_min=0.02, t_max=0.8, confidence=0.005),
        draw=draw,
    )


def right(board: GraphBoard, found: Iterable[str]) -> bool:
    """Say whether labels are right, whatever others would be too, and the given ones are kept."""
    labels = list(found)
    return board.keeps(labels) and BLANK not in labels and not rules.wrong(board.graph, labels)
